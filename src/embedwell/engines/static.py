"""The static engine: the mean of a table's rows, in numpy; the table is mapped from its file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedwell.core.artifact import Artifact
from embedwell.core.vectors import FloatArray
from embedwell.engines.faults import does_not_load, does_not_run, is_closed
from embedwell.engines.native import native_build
from embedwell.engines.protocol import Engine, EngineBuild, TokenBatch

TABLE_FILE, SCALES_FILE = "table.npy", "scales.npy"
_NATIVE = "numpy._core._multiarray_umath"  # what adds numpy's rows up


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact.

    Args:
        artifact: Made by `models.static`.
        n_threads: Not needed: one thread is faster than the tokenizer.

    Raises:
        EngineError: The artifact cannot be loaded.
    """
    del n_threads
    return StaticEngine(artifact)


class StaticEngine:
    """A loaded artifact; see `engines.protocol.Engine`."""

    def __init__(self, artifact: Artifact) -> None:
        self._name = artifact.name
        try:
            self._table: npt.NDArray[np.generic] | None = np.load(
                artifact.folder / TABLE_FILE, mmap_mode="r", allow_pickle=False
            )
            scales = artifact.folder / SCALES_FILE
            self._scales = np.load(scales, allow_pickle=False) if scales.exists() else None
            self._fallback = self._rows(np.arange(len(self._table))).mean(axis=0)
        except (OSError, ValueError, EOFError) as error:
            raise does_not_load(artifact, error) from error

    @property
    def build(self) -> EngineBuild:
        """See `Engine.build`."""
        return engine_build()

    def run(self, batch: TokenBatch) -> FloatArray:
        """See `Engine.run`.

        A text none of whose tokens has a row gets the mean of the table: vectors are never zero.
        """
        if self._table is None:
            raise is_closed(self._name)
        is_token = batch.mask.astype(bool)
        counts = is_token.sum(axis=1)
        try:
            rows = self._rows(batch.ids[is_token])
        except IndexError as error:
            raise does_not_run(self._name, batch, error) from error
        vectors = np.zeros((len(counts), rows.shape[1]), np.float32)
        filled = counts > 0
        starts = (np.cumsum(counts) - counts)[filled]
        if len(rows):
            vectors[filled] = np.add.reduceat(rows, starts, axis=0) / counts[filled, None]
        vectors[~vectors.any(axis=1)] = self._fallback
        return vectors

    def close(self) -> None:
        """See `Engine.close`."""
        self._table = None

    def _rows(self, ids: npt.NDArray[np.int64]) -> FloatArray:
        assert self._table is not None  # noqa: S101 - for the type checker
        rows: FloatArray = self._table[ids].astype(np.float32)
        return rows if self._scales is None else rows * self._scales[ids]


def engine_build() -> EngineBuild:
    """The code that is installed."""
    library = Path(str(sys.modules[_NATIVE].__file__))
    return EngineBuild("static", np.__version__, native_build(library))
