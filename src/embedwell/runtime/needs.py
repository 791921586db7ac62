"""What a model will take: estimated before it is loaded, measured while it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from embedwell.core.artifact import Artifact, Quantization
from embedwell.core.space import Space
from embedwell.runtime.batching import TOKENS_PER_BATCH

# Beside its weights: the tokenizer, the session, the engine's code that is paged in. Measured at
# 15 to 30 MB for all-MiniLM-L6-v2 and at -20 for a BERT-base, not all of whose weights are read.
_OVERHEAD_BYTES = 24 << 20
# What a run holds for each token and dimension. Measured as what the first batch of the longest
# text adds: 122 for a 768-d BERT-base at 512 tokens, 190 for all-MiniLM-L6-v2 at 256.
_ACTIVATION_BYTES = 128
_ACTIVATION_OVERHEAD_BYTES = 8 << 20
_SAMPLE_S = 0.005
_RESERVED_TOKENS = 1024
# Measured by `benchmarks/model_memory.py`. onnxruntime widens float16 to float32 when it loads, but
# for the table of words; it packs weights of four bits, with a scale for each sixteen, once more;
# a piece of a tokenizer takes 450 bytes, which is 110 MB for the 250,000 of many languages.
_UNPACKED: dict[Quantization, float] = {"q4": 1.25, "q16": 1.5}
_BYTES_EACH: dict[Quantization, float] = {"q4": 1.25, "q8": 1.0, "q16": 4.0, "q32": 4.0}
_TABLE_BYTES_EACH: dict[Quantization, float] = {"q4": 1.0, "q8": 1.0, "q16": 2.0, "q32": 4.0}
_TABLE_SHARE = 0.1
_PIECE_BYTES = 450
_SESSION_BYTES = 14 << 20


def estimated_load_bytes(artifact: Artifact) -> int:
    """Memory that loading an artifact is expected to add."""
    factor = _UNPACKED.get(artifact.quantization, 1) if artifact.engine == "onnx" else 1
    return int(artifact.size_bytes * factor) + _OVERHEAD_BYTES


def estimated_model_bytes(
    n_parameters: int, n_table: int, width: int, quantization: Quantization
) -> int:
    """Memory that a model is expected to need, runs included, before any artifact of it is there.

    Of the table of words only the rows in use are read into memory: a tenth is counted.

    Args:
        n_parameters: All its weights.
        n_table: Those of the table of words.
        width: Length of a token vector.
        quantization: Bits per weight.
    """
    inner = (n_parameters - n_table) * _BYTES_EACH[quantization]
    table = n_table * _TABLE_BYTES_EACH[quantization] * _TABLE_SHARE
    pieces = n_table // max(1, width) * _PIECE_BYTES
    runs = _ACTIVATION_OVERHEAD_BYTES + TOKENS_PER_BATCH * _ACTIVATION_BYTES * width
    return int(inner + table + pieces + runs) + _SESSION_BYTES


def activation_bytes(space: Space) -> int:
    """Memory that runs of one model take beside it: the largest batch, or the longest text.

    Nothing is set aside for texts of more than `_RESERVED_TOKENS`: passages are shorter, and one
    of 8,192 tokens would need gigabytes.
    """
    n_tokens = max(TOKENS_PER_BATCH, min(space.max_tokens, _RESERVED_TOKENS))
    return _ACTIVATION_OVERHEAD_BYTES + n_tokens * bytes_per_token(space)


def estimated_bytes(artifact: Artifact) -> int:
    """Memory that a loaded artifact is expected to need, runs included."""
    return estimated_load_bytes(artifact) + activation_bytes(artifact.space)


def bytes_per_token(space: Space) -> int:
    """Memory that each token of a batch takes while it runs."""
    return _ACTIVATION_BYTES * space.dimensions


def tokens_that_fit(
    free_bytes: int, space: Space, share: float, most: int = TOKENS_PER_BATCH
) -> int:
    """Most padded tokens of a batch: what fits, no more than is quick, one text at the least.

    Args:
        free_bytes: Memory that activations may take.
        space: Of the model.
        share: Part of the usual batch that pressure leaves.
        most: What is quick.
    """
    fit = (free_bytes - _ACTIVATION_OVERHEAD_BYTES) // bytes_per_token(space)
    return max(1, min(fit, int(most * share)))


class PeakMemory:
    """Follows the memory of this process in a thread while the `with` block runs.

    Attributes:
        before: Bytes at the beginning.
        peak: Most bytes that were seen.

    Args:
        read: Reads the memory now.
    """

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="embedwell-peak")
        self.before = self.peak = 0

    def __enter__(self) -> Self:
        self.before = self.peak = self._read()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, self._read())

    def _run(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            self.peak = max(self.peak, self._read())
