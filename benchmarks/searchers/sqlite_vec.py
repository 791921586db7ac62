"""sqlite-vec: a `vec0` table of float32, scanned; the group is a metadata column."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import sqlite_vec


def _open(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "sqlite-vec.db")
    database.enable_load_extension(True)  # noqa: FBT003 - its only form
    sqlite_vec.load(database)
    return database


def build(folder: Path) -> None:
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    groups = np.load(folder / "groups.npy").tolist()
    (folder / "sqlite-vec.db").unlink(missing_ok=True)
    database = _open(folder)
    database.execute(
        f"CREATE VIRTUAL TABLE v USING vec0(e float[{rows.shape[1]}] distance_metric=cosine, g int)"
    )
    database.executemany(
        "INSERT INTO v (rowid, e, g) VALUES (?, ?, ?)",
        ((i, row.astype(np.float32).tobytes(), groups[i]) for i, row in enumerate(rows)),
    )
    database.commit()
    database.close()


class Searcher:
    filters = True

    def __init__(self, folder: Path) -> None:
        self._database = _open(folder)

    def search(self, question, k, below):
        where = "" if below == 100 else f" AND g < {below}"
        statement = f"SELECT rowid FROM v WHERE e MATCH ? AND k = {k}{where}"
        return [row for (row,) in self._database.execute(statement, (question.tobytes(),))]

    def rows(self, ids):
        return ids

    def close(self):
        self._database.close()
