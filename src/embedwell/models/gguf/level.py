"""Which level a GGUF file's weights count as. It stands alone because every start may ask."""

from __future__ import annotations

from embedwell.core.artifact import Quantization

# Bits of a weight, on average, from which a level is reached. Q8_0 has 8.5, all types below have
# 6.6 or less; the tables that stay F32 add up to half a bit to a small model's file.
_LEVELS: tuple[tuple[float, Quantization], ...] = ((24, "q32"), (12, "q16"), (7.5, "q8"))


def level_of(n_bytes: int, n_weights: int) -> Quantization:
    """The level of weights that take so many bytes: `q4` for all that is below `q8`."""
    bits = 8 * n_bytes / max(n_weights, 1)
    return next((level for least, level in _LEVELS if bits >= least), "q4")
