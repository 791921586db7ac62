"""Finds a recipe: walks calibration texts through the network and fits the rounding, site by site.

The ideas: static scales with smoothing after SmoothQuant (Xiao et al. 2022,
https://arxiv.org/abs/2211.10438), outlier channels split in two after OCS (Zhao et al. 2019,
https://arxiv.org/abs/1901.09504), bias correction after Nagel et al. 2019
(https://arxiv.org/abs/1906.04721). Two streams of token vectors go through every layer: the exact
one, and the one that the rounded network so far would give. Each site is fitted so that the
second comes out as the first, so a layer also mends what the layers before it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import ConversionError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.models.forward import NumpyParts, Texts, embed_tokens
from embedwell.models.networks.config import Site
from embedwell.models.networks.layer import run_layers
from embedwell.models.opening import open_network, tokenizer_of
from embedwell.models.quantize import row_scales
from embedwell.models.recipe import Recipe, SiteRecipe
from embedwell.models.source import SourceFiles

_CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
_COPIES_SHARE = 48  # one channel in so many of the feed-forward part gets a copy
_FITTED_ROWS = 10_000
_TRIED_ROWS = 2000  # rows on which smoothing factors are compared


@dataclass(frozen=True)
class _Streams:
    """Token vectors as they are, and as the rounded network gives them: shape (n_tokens, k)."""

    exact: FloatArray
    rounded: FloatArray


@dataclass(frozen=True)
class _Problem:
    """One site to fit, on some of the tokens.

    Attributes:
        low: Smallest value of each input channel over all tokens: float32, shape (k,).
        high: Largest value: float32, shape (k,).
        rounded: Input as the rounded network gives it: float32, shape (t, k).
        wanted: Exact output: float32, shape (t, n).
        weight: float32, shape (n, k).
        bias: float32, shape (n,).
        shares: How much each token counts: float32, shape (t, 1), mean 1.
    """

    low: FloatArray
    high: FloatArray
    rounded: FloatArray
    wanted: FloatArray
    weight: FloatArray
    bias: FloatArray
    shares: FloatArray


def calibrate(source: SourceFiles, texts: Sequence[str], watch: Watch) -> Recipe:
    """Find the recipe of a model.

    Takes minutes on one core for a small model and 20,000 tokens, and about 25 kB of memory for
    each token at a width of 384.

    Args:
        source: The published files.
        texts: What the model will meet: natural texts of all lengths, and odd ones.
        watch: Told of each finished site.

    Raises:
        ConversionError: There are fewer than 50 texts, or the network is not known.
        WrongBytesError: A published file is not what its name says.
        TaskCancelledError: The watch asked to stop.
    """
    if len(texts) < 50:
        raise ConversionError(
            f"{len(texts)} texts are too few to calibrate with, expected at least 50.",
            "Give more texts of the kind that will be embedded.",
        )
    tokens = _tokens(source, texts)
    with open_network(source) as (config, tensors):
        fitting = _Fitting(NumpyParts(config, tensors, tokens), _sampled_rows(tokens), watch)
        exact = embed_tokens(fitting.numpy)
        run_layers(config, fitting, _Streams(exact, exact))
    return Recipe(source.card.files[source.card.weights].sha256, fitting.fitted)


def _tokens(source: SourceFiles, texts: Sequence[str]) -> Texts:
    tokenizer = tokenizer_of(source)
    tokenizer.enable_truncation(source.card.max_tokens)
    return Texts.of([encoding.ids for encoding in tokenizer.encode_batch(list(texts))])


@dataclass(frozen=True)
class _Fitting:
    """See `networks.layer.Parts`: values are streams, and each site is fitted as it is met.

    Attributes:
        numpy: The exact parts.
        sample: Tokens to fit on, and how much each counts.
        watch: Told of each finished site.
        fitted: What was found so far, by `Site.key`.
    """

    numpy: NumpyParts
    sample: tuple[IntArray, FloatArray]
    watch: Watch
    fitted: dict[str, SiteRecipe] = field(default_factory=dict)

    def dense(self, x: _Streams, site: Site) -> list[_Streams]:
        rows, shares = self.sample
        config, tensors = self.numpy.config, self.numpy.tensors
        weight = np.concatenate([tensors.read(f"{name}.weight") for name in site.names])
        bias = np.zeros(len(weight), np.float32)
        if config.has_bias(site):
            bias = np.concatenate([tensors.read(f"{name}.bias") for name in site.names])
        wanted = x.exact @ weight.T + bias
        problem = _Problem(
            low=x.rounded.min(axis=0),
            high=x.rounded.max(axis=0),
            rounded=x.rounded[rows],
            wanted=wanted[rows],
            weight=weight,
            bias=bias,
            shares=shares,
        )
        n_copies = weight.shape[1] // _COPIES_SHARE if site.place == "ffn_out" else 0
        recipe = self.fitted[site.key] = fit_site(problem, n_copies)
        self.watch.progress("calibrate", len(self.fitted), 4 * config.n_layers, "sites")
        got = _in_blocks(lambda some: recipe.apply(weight, some), x.rounded)
        parts = (np.split(stream, len(site.names), axis=1) for stream in (wanted, got))
        return [_Streams(*pair) for pair in zip(*parts, strict=True)]

    def norm(self, x: _Streams, name: str) -> _Streams:
        return _both(x, lambda stream: self.numpy.norm(stream, name))

    def add(self, a: _Streams, b: _Streams) -> _Streams:
        return _Streams(a.exact + b.exact, a.rounded + b.rounded)

    def attend(self, parts: list[_Streams], layer: int) -> _Streams:
        return _together(parts, lambda streams: self.numpy.attend(streams, layer))

    def activate(self, parts: list[_Streams]) -> _Streams:
        return _together(
            parts, lambda streams: _in_blocks(lambda *some: self.numpy.activate([*some]), *streams)
        )


def fit_site(problem: _Problem, n_copies: int) -> SiteRecipe:
    """The rounding of one site that loses least on the calibration texts.

    Args:
        problem: Inputs, wanted outputs and weights.
        n_copies: How many channels of the input to add as copies.
    """
    rows = slice(None, None, max(1, len(problem.wanted) // _TRIED_ROWS))
    some = replace(
        problem,
        rounded=problem.rounded[rows],
        wanted=problem.wanted[rows],
        shares=problem.shares[rows],
    )
    largest = np.maximum(np.maximum(problem.high, -problem.low), np.float32(1e-3))
    tries = [
        _with_scales(some, _input_side(problem, smooth, n_copies), (1.0,))
        for smooth in _smoothings(largest, np.abs(problem.weight).max(axis=0))
    ]
    best = min(tries, key=lambda tried: _error(some, tried))
    return _with_scales(problem, best, _CLIPS)


def _input_side(problem: _Problem, smooth: FloatArray, n_copies: int) -> SiteRecipe:
    """A recipe whose input side is set; the rest is still plain rounding."""
    low = min(float((problem.low * smooth).min()), 0.0)
    high = max(float((problem.high * smooth).max()), 0.0)
    step = max(high - low, 1e-6) / 255
    copies = _copies(problem.weight / smooth, n_copies)
    unset = np.ones(len(problem.weight), np.float32)
    return SiteRecipe(
        smooth=smooth,
        copies=copies,
        step=np.array([step], np.float32),
        zero=np.array([np.clip(round(-low / step), 0, 255)], np.uint8),
        scales=unset,
        gains=unset,
        bias=problem.bias,
    )


def _with_scales(problem: _Problem, side: SiteRecipe, clips: Sequence[float]) -> SiteRecipe:
    """The same with each output's best scale, and the gain and bias that then fit best."""
    seen = side.dequantized(problem.rounded)
    weight = side.smoothed_weight(problem.weight)
    power = (np.square(seen) * problem.shares).mean(axis=0)
    fitting = row_scales(weight)
    best, least = fitting, np.full_like(fitting, np.inf)
    for clip in clips:
        scales = fitting * np.float32(clip)
        wrong = np.clip(np.rint(weight / scales), -127, 127) * scales - weight
        error = (np.square(wrong) @ power)[:, None]
        best, least = np.where(error < least, scales, best), np.minimum(error, least)
    side = replace(side, scales=best[:, 0])
    got = seen @ side.dequantized_weight(problem.weight).T
    return _with_gains(problem, side, got)


def _with_gains(problem: _Problem, side: SiteRecipe, got: FloatArray) -> SiteRecipe:
    """Least squares of the wanted outputs over the ones got, output by output."""
    got_mean = (got * problem.shares).mean(axis=0)
    wanted_mean = (problem.wanted * problem.shares).mean(axis=0)
    got_off, wanted_off = got - got_mean, problem.wanted - wanted_mean
    spread = (np.square(got_off) * problem.shares).mean(axis=0)
    gains = (got_off * wanted_off * problem.shares).mean(axis=0) / np.maximum(spread, 1e-12)
    gains = _half(np.where(spread > 1e-12, gains, 1))
    return replace(side, gains=gains, bias=_half(wanted_mean - gains * got_mean))


def _error(problem: _Problem, recipe: SiteRecipe) -> float:
    """Mean square error of a recipe's outputs, tokens weighted by their shares."""
    wrong = recipe.apply(problem.weight, problem.rounded) - problem.wanted
    return float((np.square(wrong) * problem.shares).mean())


def _smoothings(largest: FloatArray, weight_largest: FloatArray) -> list[FloatArray]:
    """Factors worth trying, from each input channel's largest value and largest weight."""
    weights = np.maximum(weight_largest, np.float32(1e-4))
    middle = np.median(largest)
    divisors: list[npt.NDArray[Any]] = [np.ones_like(largest)]
    divisors += [np.maximum(largest / (share * middle), 1) for share in (0.8, 1, 1.3, 1.7, 2.2)]
    divisors += [largest**power for power in (0.25, 0.5, 0.75, 1)]
    divisors += [largest**alpha / weights ** (1 - alpha) for alpha in (0.6, 0.75, 0.9)]
    return [_half(np.median(divisor) / divisor) for divisor in divisors]


def _half(values: npt.NDArray[Any]) -> FloatArray:
    """Rounded as recipes keep them."""
    return values.astype(np.float16).astype(np.float32)


def _copies(weight: FloatArray, n_copies: int) -> npt.NDArray[np.int64]:
    """Channels in order, those whose weights stand out more than once."""
    times = np.ones(weight.shape[1], np.int64)
    size = np.abs(weight)
    eighth = -np.partition(-size, 7, axis=1)[:, 7]
    for _ in range(n_copies):
        largest = size.argmax(axis=1)
        excess = size[np.arange(len(size)), largest] / eighth
        chosen = int(np.bincount(largest, weights=excess, minlength=len(times)).argmax())
        size[:, chosen] *= times[chosen] / (times[chosen] + 1)
        times[chosen] += 1
    return np.repeat(np.arange(len(times)), times)


def _sampled_rows(tokens: Texts) -> tuple[IntArray, FloatArray]:
    """Tokens to fit on, and how much each counts: float32, shape (t, 1), mean 1.

    Each text should count the same, so a token of a short text counts more. Half of that (as a
    power) is done by taking more of them, the other half by weights.
    """
    counts = np.concatenate([np.full(n, n**-0.5) for n in tokens.lengths])
    places = np.cumsum(counts)
    evenly = np.linspace(0, places[-1], min(_FITTED_ROWS, len(counts)), endpoint=False)
    rows = np.unique(np.searchsorted(places, evenly, side="right"))
    shares = counts[rows].astype(np.float32)[:, None]
    return rows, shares / shares.mean()


def _in_blocks(part: Callable[..., FloatArray], *x: FloatArray) -> FloatArray:
    """A function of rows, applied to some rows after the other to keep memory low."""
    starts = range(0, len(x[0]), 4096)
    return np.concatenate([part(*(one[at : at + 4096] for one in x)) for at in starts])


def _both(x: _Streams, part: Callable[[FloatArray], FloatArray]) -> _Streams:
    return _Streams(part(x.exact), part(x.rounded))


def _together(parts: list[_Streams], part: Callable[[list[FloatArray]], FloatArray]) -> _Streams:
    """A part that takes several inputs, of each stream."""
    return _Streams(part([x.exact for x in parts]), part([x.rounded for x in parts]))
