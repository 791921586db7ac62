"""Ways in which weights can be wrong. Each is a `Change`: what is read instead of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.metrics import Floats
from benchmarks.wrong_readers_networks import Change, Read

N_HEADS, HEAD_WIDTH = 12, 32  # of all-MiniLM-L6-v2
WORDS, POSITIONS, TYPES = "words.weight", "positions.weight", "types.weight"
_PARTS = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attention_out",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
}
Edit = Callable[[Floats], Floats]


def layer(number: int, part: str) -> str:
    """The product's name of a layer's tensor that was published so."""
    return f"{number}.{_PARTS[part]}.weight"


def edited(name: str, edit: Edit) -> Change:
    """One tensor changed; the published one stays as it is."""

    def change(read: Read, asked: str) -> Floats:
        return edit(read(asked).copy()) if asked == name else read(asked)

    return change


def everywhere(edit: Edit, *, words: bool = True) -> Change:
    """Every matrix changed, the table of words too unless told otherwise."""

    def change(read: Read, asked: str) -> Floats:
        is_dense = asked[0].isdigit() and asked.endswith(".weight") and "norm" not in asked
        return edit(read(asked).copy()) if is_dense or (words and asked == WORDS) else read(asked)

    return change


def renamed(names: Mapping[str, str]) -> Change:
    """Parts of names exchanged, as `1.` for `2.`."""

    def change(read: Read, asked: str) -> Floats:
        for old, new in names.items():
            if old in asked:
                return read(asked.replace(old, new))
        return read(asked)

    return change


def times(factor: float) -> Edit:
    """All of it too large or too small."""
    return lambda w: w * np.float32(factor)


def column_times(column: int, factor: float) -> Edit:
    """One output of a dense part too large or too small, as by a broken scale."""

    def edit(w: Floats) -> Floats:
        w[column] *= np.float32(factor)
        return w

    return edit


def transposed(w: Floats) -> Floats:
    """Rows for columns, as only a square matrix lets pass."""
    return w.T


def shuffled_rows(w: Floats) -> Floats:
    """Heads in another order: their rows moved by one head."""
    return np.roll(w, HEAD_WIDTH, axis=0)


def zeroed_head(head: int) -> Edit:
    """What one attention head gives is dropped, where it enters the output product."""

    def edit(w: Floats) -> Floats:
        w[:, head * HEAD_WIDTH : (head + 1) * HEAD_WIDTH] = 0
        return w

    return edit


def zeroed(w: Floats) -> Floats:
    """All zero."""
    return np.zeros_like(w)


def zeroed_from(share: float) -> Edit:
    """The end of the tensor is zero, as after a download that was cut."""

    def edit(w: Floats) -> Floats:
        w.ravel()[int(share * w.size) :] = 0
        return w

    return edit


def moved(n_rows: int) -> Edit:
    """Rows moved on."""
    return lambda w: np.roll(w, n_rows, axis=0)


def flipped_bit(seed: int, bit: int, n: int = 1) -> Edit:
    """A bit flipped in n values drawn by the seed; bit 30 is the exponent's highest."""

    def edit(w: Floats) -> Floats:
        flat = np.ascontiguousarray(w).reshape(-1)
        drawn = np.random.default_rng(seed).integers(0, flat.size, n)
        flat.view(np.uint32)[drawn] ^= np.uint32(1 << bit)
        return flat.reshape(w.shape)

    return edit


def noisy(share: float, seed: int = 0) -> Edit:
    """Random noise, as large as a share of the tensor's own spread."""

    def edit(w: Floats) -> Floats:
        rng = np.random.default_rng([seed, w.size])
        return w + rng.standard_normal(w.shape, np.float32) * np.float32(share * w.std())

    return edit


def low_rank(share: float, rank: int = 8) -> Edit:
    """An adapter merged in by mistake: a product of two thin random matrices."""

    def edit(w: Floats) -> Floats:
        rng = np.random.default_rng(w.size)
        added = rng.standard_normal((w.shape[0], rank)) @ rng.standard_normal((rank, w.shape[1]))
        return w + (added * (share * w.std() / added.std())).astype(np.float32)

    return edit


def rounded(bits: int, block: int | None = None) -> Edit:
    """Plain rounding to so many bits, a scale for each block of a row, or one for all."""

    def edit(w: Floats) -> Floats:
        blocks = w.reshape(1, -1) if block is None else w.reshape(-1, block)
        top = 2 ** (bits - 1) - 1
        scale = np.maximum(np.abs(blocks).max(axis=1, keepdims=True), 1e-12) / np.float32(top)
        return (np.rint(blocks / scale) * scale).reshape(w.shape)

    return edit


def in_bfloat16(w: Floats) -> Floats:
    """The upper 16 bits, rounded to nearest."""
    bits = np.ascontiguousarray(w).view(np.uint32).astype(np.uint64)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def in_float8(w: Floats) -> Floats:
    """Three bits of fraction, as in the float8 format E4M3 with a scale of its own."""
    fraction, exponent = np.frexp(w)
    return np.ldexp(np.rint(fraction * 16) / 16, exponent).astype(np.float32)


def as_four_bits_too_coarse(w: Floats) -> Floats:
    """4 bits with the zero point off by one step in every block of 32."""
    blocks = w.reshape(-1, 32)
    scale = np.maximum(np.abs(blocks).max(axis=1, keepdims=True), 1e-12) / np.float32(7)
    return ((np.rint(blocks / scale) + 1) * scale).reshape(w.shape)


def other(seed: int) -> Change:
    """Another model of the same shape: random matrices, words too."""

    def edit(w: Floats) -> Floats:
        rng = np.random.default_rng([seed, w.size])
        return rng.standard_normal(w.shape, np.float32) * w.std()

    return everywhere(edit)
