"""What a bare runtime needs around it: tokens in sorted batches, mean pooling, unit length.

The best arrangement known for onnxruntime and OpenVINO on one processor, so that they are
compared at their best and not at a wrapper's defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

MAX_TOKENS = 256
BATCH_TOKENS = 256  # padded: the same as the product's, and the fastest for int8

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Run = Callable[[Ids, Ids, Ids], Floats]  # ids, mask, types (n, s) -> hidden states (n, s, d)


def embedder(tokenizer_file: Path, run: Run) -> Callable[[list[str], str], Floats]:
    """Make texts -> unit vectors out of ids -> hidden states."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)

    def embed(texts: list[str], kind: str) -> Floats:
        del kind
        encodings = tokenizer.encode_batch_fast(texts)
        rows: list[Floats | None] = [None] * len(texts)
        for batch in batches([len(e.ids) for e in encodings], BATCH_TOKENS):
            ids, mask = _padded([encodings[i] for i in batch])
            for i, vector in zip(
                batch, _pool(run(ids, mask, np.zeros_like(ids)), mask), strict=True
            ):
                rows[i] = vector
        return np.stack(rows)

    return embed


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions, longest first, in batches of at most `budget` padded tokens (or one text)."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _padded(encodings: Sequence[Encoding]) -> tuple[Ids, Ids]:
    ids = np.zeros((len(encodings), max(len(e.ids) for e in encodings)), np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = encoding.ids
        mask[row, : len(encoding.ids)] = 1
    return ids, mask


def _pool(hidden: Floats, mask: Ids) -> Floats:
    summed = np.einsum("nsd,ns->nd", hidden, mask.astype(np.float32))
    unit: Floats = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    return unit
