"""Ways in which right vectors, or the texts that they are of, can go wrong on the way."""

from __future__ import annotations

import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.metrics import Floats

Alter = Callable[[Floats, Sequence[str]], Floats]  # unit vectors of texts, and the texts
Learn = Callable[[Floats], Alter]  # from stored vectors
ChangeText = Callable[[str], str]
Choose = Callable[[str], bool]

_DIMENSIONS = 384


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny).astype(np.float32)


def _direction(seed: int) -> Floats:
    drawn = np.random.default_rng(seed).standard_normal((1, _DIMENSIONS), np.float32)
    return _unit(drawn)


def _of_texts(texts: Sequence[str]) -> Floats:
    """A random direction for each text, always the same."""
    seeds = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts)
    return np.concatenate([_direction(seed) for seed in seeds])


def noise(size: float) -> Alter:
    """Something random of that length added, other for each text."""
    return lambda v, texts: _unit(v + np.float32(size) * _of_texts(texts))


def offset(size: float) -> Alter:
    """The same random vector of that length added to all."""
    return lambda v, _: _unit(v + np.float32(size) * _direction(5))


def towards_mean(size: float) -> Alter:
    """The mean of all vectors taken away, or added again, so many times."""
    return lambda v, _: _unit(v + np.float32(size) * v.mean(axis=0))


def towards(size: float) -> Learn:
    """The mean of what is stored added, made that long."""

    def learn(stored: Floats) -> Alter:
        mean = _unit(stored.mean(axis=0, keepdims=True))
        return lambda v, _: _unit(v + np.float32(size) * mean)

    return learn


def main_directions_times(factor: float) -> Learn:
    """Larger or smaller in the eight directions in which what is stored differs most."""

    def learn(stored: Floats) -> Alter:
        main = _main_directions(stored)
        return lambda v, _: _unit(v + np.float32(factor - 1) * (v @ main.T) @ main)

    return learn


def main_directions_noise(size: float) -> Learn:
    """Something random of that length added in these eight directions alone."""

    def learn(stored: Floats) -> Alter:
        main = _main_directions(stored)
        return lambda v, texts: _unit(
            v + np.float32(size) * _unit(_of_texts(texts) @ main.T) @ main
        )

    return learn


def _main_directions(stored: Floats) -> Floats:
    """Unit vectors in rows: shape (8, 384)."""
    centred = stored - stored.mean(axis=0)
    directions: Floats = np.linalg.svd(centred, full_matrices=False)[2][:8]
    return directions


def constant(value: float) -> Alter:
    """The same number everywhere."""
    return lambda v, _: np.full_like(v, value)


def one_vector(v: Floats, _: Sequence[str]) -> Floats:
    """The first text's vector for all."""
    return np.repeat(v[:1], len(v), axis=0)


def one_nan(v: Floats, _: Sequence[str]) -> Floats:
    """NaN in one dimension of every third text."""
    v = v.copy()
    v[::3, 100] = np.nan
    return v


def one_infinite(v: Floats, _: Sequence[str]) -> Floats:
    """Infinity in one dimension of every text."""
    v = v.copy()
    v[:, 17] = np.inf
    return v


def other_rows(step: int) -> Alter:
    """Each text gets the vector of the one so many places before it."""
    return lambda v, _: np.roll(v, step, axis=0)


def last_two_swapped(v: Floats, _: Sequence[str]) -> Floats:
    """In every group of eight, the last two change places."""
    v = v.copy()
    for at in range(6, len(v) - 1, 8):
        v[[at, at + 1]] = v[[at + 1, at]]
    return v


def reversed_dimensions(v: Floats, _: Sequence[str]) -> Floats:
    """Dimensions from last to first."""
    return v[:, ::-1]


def rolled_dimensions(v: Floats, _: Sequence[str]) -> Floats:
    """Dimensions moved by one."""
    return np.roll(v, 1, axis=1)


def swapped_dimensions(n: int) -> Alter:
    """n pairs of neighbouring dimensions exchanged."""

    def alter(v: Floats, _: Sequence[str]) -> Floats:
        order = np.arange(_DIMENSIONS)
        pairs = order[: 2 * n].reshape(-1, 2)[:, ::-1].reshape(-1)
        return v[:, np.concatenate([pairs, order[2 * n :]])]

    return alter


def bytes_swapped(v: Floats, _: Sequence[str]) -> Floats:
    """Two halves of every pair of float32 exchanged, as by the wrong width of a load."""
    return v.reshape(len(v), -1, 2)[:, :, ::-1].reshape(v.shape)


def negated(n: int) -> Alter:
    """The sign of the first n dimensions turned."""

    def alter(v: Floats, _: Sequence[str]) -> Floats:
        v = v.copy()
        v[:, :n] *= -1
        return v

    return alter


def dropped(n: int) -> Alter:
    """The last n dimensions are zero."""

    def alter(v: Floats, _: Sequence[str]) -> Floats:
        v = v.copy()
        v[:, _DIMENSIONS - n :] = 0
        return _unit(v)

    return alter


def scaled(factor: float) -> Alter:
    """Longer or shorter vectors in the right direction."""
    return lambda v, _: v * np.float32(factor)


def rotated(radians: float) -> Alter:
    """Every plane of two dimensions, drawn at random, turned by an angle."""

    def alter(v: Floats, _: Sequence[str]) -> Floats:
        planes = np.random.default_rng(11).permutation(_DIMENSIONS).reshape(-1, 2)
        turned = v.copy()
        cos, sin = np.float32(np.cos(radians)), np.float32(np.sin(radians))
        a, b = v[:, planes[:, 0]], v[:, planes[:, 1]]
        turned[:, planes[:, 0]], turned[:, planes[:, 1]] = cos * a - sin * b, sin * a + cos * b
        return turned

    return alter


def whitened(v: Floats, _: Sequence[str]) -> Floats:
    """Every dimension with mean 0 and spread 1 over the texts of a call."""
    return _unit((v - v.mean(axis=0)) / (v.std(axis=0) + np.float32(1e-6)))


def stretched(power: float) -> Alter:
    """Values raised to a power, their signs kept."""
    return lambda v, _: _unit(np.sign(v) * np.abs(v) ** np.float32(power))


def clipped(limit: float) -> Alter:
    """Values cut at a limit."""
    return lambda v, _: _unit(np.clip(v, -limit, limit))


def in_steps(bits: int) -> Alter:
    """Values rounded to so many bits, one scale for each vector."""

    def alter(v: Floats, _: Sequence[str]) -> Floats:
        step = np.abs(v).max(axis=1, keepdims=True) / np.float32(2 ** (bits - 1) - 1)
        return _unit(np.rint(v / step) * step)

    return alter


def signs(v: Floats, _: Sequence[str]) -> Floats:
    """One bit a dimension."""
    return _unit(np.where(v > 0, 1, -1).astype(np.float32))


def in_float8(v: Floats, _: Sequence[str]) -> Floats:
    """Three bits of fraction, as in the float8 format E4M3."""
    fraction, exponent = np.frexp(v)
    return _unit(np.ldexp(np.rint(fraction * 16) / 16, exponent).astype(np.float32))


def in_float16(v: Floats, _: Sequence[str]) -> Floats:
    """Half precision: what a store keeps anyway."""
    return v.astype(np.float16).astype(np.float32)


def bag_of_words(_: Floats, texts: Sequence[str]) -> Floats:
    """A static model of the same dimension: the mean of a random vector for each word."""
    return _unit(np.stack([_of_texts(text.lower().split() or [""]).sum(axis=0) for text in texts]))


def only_where(is_hit: Choose, alter: Alter) -> Alter:
    """Broken for some texts alone."""

    def altered(v: Floats, texts: Sequence[str]) -> Floats:
        hit = np.array([is_hit(text) for text in texts])
        return np.where(hit[:, None], alter(v, texts), v)

    return altered


def is_one_word(text: str) -> bool:
    """Without a space."""
    return len(text.split()) == 1


def is_long(text: str) -> bool:
    """More than 500 characters."""
    return len(text) > 500


def is_short(text: str) -> bool:
    """At most 50 characters."""
    return len(text) <= 50


def is_accented(text: str) -> bool:
    """With a letter that ASCII lacks."""
    return not text.isascii()


def is_code(text: str) -> bool:
    """With what functions look like."""
    return bool(re.search(r"\w\(.*\)", text)) and any(sign in text for sign in "={;")


def has_digits(text: str) -> bool:
    """With a number in it."""
    return any(letter.isdigit() for letter in text)


def misread(text: str) -> str:
    """UTF-8 read as Latin-1."""
    return text.encode().decode("latin-1")


def ascii_only(text: str) -> str:
    """Letters that ASCII lacks are dropped."""
    return text.encode("ascii", "ignore").decode()


def questioned(text: str) -> str:
    """Letters that ASCII lacks become question marks."""
    return text.encode("ascii", "replace").decode()


def decomposed(text: str) -> str:
    """Accents as characters of their own (NFD), which this tokenizer drops anyway."""
    return unicodedata.normalize("NFD", text)


def escaped(text: str) -> str:
    """As inside a JSON string, every other letter as backslash, u and four digits."""
    return json.dumps(text)


def as_html(text: str) -> str:
    """Markup's own signs escaped."""
    return html.escape(text)


def no_punctuation(text: str) -> str:
    """Letters, digits and spaces only."""
    return re.sub(r"[^\w\s]|_", " ", text)


def first_line(text: str) -> str:
    """The rest is lost."""
    return text.split("\n", 1)[0]


def first_characters(n: int) -> ChangeText:
    """The first n; the rest is lost."""
    return lambda text: text[:n]


def no_last_word(text: str) -> str:
    """The last word is lost, where there are several."""
    return " ".join(text.split()[:-1]) or text


def no_spaces(text: str) -> str:
    """Words run together."""
    return "".join(text.split())


def no_digits(text: str) -> str:
    """Every digit becomes 0."""
    return re.sub(r"\d", "0", text)


def twice(text: str) -> str:
    """Embedded after itself."""
    return f"{text} {text}"


def with_prefix(prefix: str) -> ChangeText:
    """Something put before every text."""
    return lambda text: prefix + text


def one_line(text: str) -> str:
    """Every run of blanks one space: this tokenizer sees no difference."""
    return " ".join(text.split())
