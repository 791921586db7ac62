"""usearch: its graph over float16 vectors, searched wide enough for the recall asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from usearch.index import Index

EXPANSION = 512


def build(folder: Path) -> None:
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    index = Index(ndim=rows.shape[1], metric="cos", dtype="f16")
    for start in range(0, len(rows), 10_000):
        some = np.array(rows[start : start + 10_000])
        index.add(np.arange(start, start + len(some)), some, threads=1)
    index.save(str(folder / "usearch.index"))


class Searcher:
    filters = False  # nothing in its Python interface

    def __init__(self, folder: Path) -> None:
        self._index = Index.restore(str(folder / "usearch.index"))
        self._index.expansion_search = EXPANSION

    def search(self, question, k, below):
        del below
        return self._index.search(question.astype(np.float16), k, threads=1).keys

    def rows(self, ids):
        return ids

    def close(self):
        """Nothing is open."""
