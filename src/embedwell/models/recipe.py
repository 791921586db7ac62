"""A recipe: what calibration found out about a model, so that conversion need not.

A recipe's file is a safetensors file: arrays by name, `<layer>.<place>.<field>`. The package has
those of the catalogue's models, named by the hash of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from embedwell.core.errors import WrongBytesError
from embedwell.core.vectors import FloatArray
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.quantize import Int8Array, to_int8

VERSION = "2"
_ENTRY = "recipe"  # of the file's metadata: version and hash of the weights

# Element types in memory and in the file. Calibration rounds to the file's before it fits on.
_USED: dict[str, type[np.generic]] = {
    "smooth": np.float32,
    "copies": np.int64,
    "step": np.float32,
    "zero": np.uint8,
    "scales": np.float32,
    "gains": np.float32,
    "bias": np.float32,
}
_STORED = _USED | {
    "smooth": np.float16,
    "copies": np.uint16,
    "gains": np.float16,
    "bias": np.float16,
}


@dataclass(frozen=True)
class SiteRecipe:
    """How the dense parts that share one input are rounded.

    Attributes:
        smooth: float32, shape (k,). Each input channel is multiplied by it, and the weights that
            meet the channel are divided by it, so that no channel stands out.
        copies: int64, shape (k',). Channels of the input in their new order: those that still
            stand out occur more than once, their weights divided by how often.
        step: Size of one unit of the rounded input, float32, shape (1,).
        zero: uint8, shape (1,). The rounded input that stands for 0.
        scales: float32, shape (n,). Size of one unit of each output's rounded weights.
        gains: float32, shape (n,). What the products are multiplied by; near 1.
        bias: float32, shape (n,). Bias that also takes out the mean error of rounding.
    """

    smooth: FloatArray
    copies: npt.NDArray[np.int64]
    step: FloatArray
    zero: npt.NDArray[np.uint8]
    scales: FloatArray
    gains: FloatArray
    bias: FloatArray

    def outputs(self, part: range) -> SiteRecipe:
        """The same for a part of the outputs."""
        cut = slice(part.start, part.stop)
        return replace(self, scales=self.scales[cut], gains=self.gains[cut], bias=self.bias[cut])

    def smoothed_weight(self, weight: FloatArray) -> FloatArray:
        """What will be rounded, of a weight of shape (n, k): float32, shape (n, k')."""
        times = np.bincount(self.copies).astype(np.float32)
        smoothed: FloatArray = (weight / self.smooth / times)[:, self.copies]
        return smoothed

    def integer_weight(self, weight: FloatArray) -> Int8Array:
        """The rounded weight: int8, shape (n, k')."""
        return to_int8(self.smoothed_weight(weight), self.scales[:, None])

    def dequantized_weight(self, weight: FloatArray) -> FloatArray:
        """The values that the rounded weight stands for: float32, shape (n, k')."""
        values: FloatArray = self.integer_weight(weight) * self.scales[:, None]
        return values

    def dequantized(self, x: FloatArray) -> FloatArray:
        """The values that the rounded input stands for: float32, from (t, k) to (t, k')."""
        zero = self.zero.astype(np.float32)
        units = np.clip(np.rint(x * self.smooth / self.step) + zero, 0, 255) - zero
        values: FloatArray = (units * self.step)[:, self.copies]
        return values

    def apply(self, weight: FloatArray, x: FloatArray) -> FloatArray:
        """The rounded site in plain numpy: float32, from (t, k) to (t, n)."""
        products = self.dequantized(x) @ self.dequantized_weight(weight).T
        return products * self.gains + self.bias


@dataclass(frozen=True)
class Recipe:
    """All sites of a model.

    Attributes:
        weights_sha256: The weights that it was made for.
        sites: By `Site.key`.
    """

    weights_sha256: str
    sites: Mapping[str, SiteRecipe]

    def to_bytes(self) -> bytes:
        """The recipe's file, the same for the same recipe."""
        arrays = {
            f"{key}.{field}": array.astype(_STORED[field])
            for key, site in self.sites.items()
            for field, array in vars(site).items()
        }
        # One entry only: safetensors writes several in any order.
        return bytes(save(arrays, {_ENTRY: f"{VERSION} {self.weights_sha256}"}))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe's file.

    Raises:
        WrongBytesError: It is not a recipe, or one of another version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _wrong(path, str(error)) from error
    version, _, weights_sha256 = metadata.get(_ENTRY, "").partition(" ")
    if version != VERSION or not weights_sha256:
        raise _wrong(path, f"version '{version}', expected '{VERSION}'")
    keys = {name.rpartition(".")[0] for name in arrays}
    try:
        sites = {key: _site(arrays, key) for key in sorted(keys)}
    except KeyError as error:
        raise _wrong(path, f"no array {error}") from error
    return Recipe(weights_sha256, sites)


def check_recipe(recipe: Recipe, config: EncoderConfig) -> None:
    """Refuse a recipe that was made for another network.

    Raises:
        WrongBytesError: A site is missing or has other sizes.
    """
    shapes = config.shapes()
    for layer in range(config.n_layers):
        for site in config.sites(layer):
            n_out = sum(shapes[f"{name}.weight"][0] for name in site.names)
            n_in = shapes[f"{site.names[0]}.weight"][1]
            found = recipe.sites.get(site.key)
            if found is None or (len(found.bias), len(found.smooth)) != (n_out, n_in):
                raise WrongBytesError(
                    f"The recipe does not fit the network at '{site.key}', "
                    f"expected {n_in} inputs and {n_out} outputs.",
                    "Make it again with `embedwell models calibrate`.",
                )


def _site(arrays: Mapping[str, npt.NDArray[Any]], key: str) -> SiteRecipe:
    return SiteRecipe(
        **{field: arrays[f"{key}.{field}"].astype(used) for field, used in _USED.items()}
    )


def _wrong(path: Path, reason: str) -> WrongBytesError:
    return WrongBytesError(
        f"'{path}' is not a recipe ({reason}).", "Make it again with `embedwell models calibrate`."
    )
