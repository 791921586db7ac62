"""Files as applications make them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from embedwell.core.vectors import FloatArray
from embedwell.stores.foreign.tables import Place

DIMENSIONS = 8
SUMMARIES = Place("embeddings", "entry_id", "embedding", {"embedding_type": "summary"})

Encode = Callable[[FloatArray], Any]
ENCODERS: dict[str, Encode] = {
    "float32": lambda vector: vector.astype("<f4").tobytes(),
    "float16": lambda vector: vector.astype("<f2").tobytes(),
    "float64": lambda vector: vector.astype("<f8").tobytes(),
    "JSON text": lambda vector: json.dumps(vector.tolist()),
}


def unit(number: int) -> FloatArray:
    """A unit vector that follows from a number."""
    vector = np.random.default_rng(number).standard_normal(DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def connect(path: Path) -> sqlite3.Connection:
    """The application's own connection."""
    return sqlite3.connect(path, isolation_level=None)


def make(path: Path, n: int = 20, form: str = "float32", *, wal: bool = True) -> Path:
    """A plain table with n summaries and as many other vectors."""
    application = connect(path)
    if wal:
        application.execute("PRAGMA journal_mode = WAL")
    application.execute("CREATE TABLE entries (id TEXT PRIMARY KEY, content TEXT)")
    application.execute(
        "CREATE TABLE embeddings (entry_id TEXT, embedding_type TEXT, embedding, "
        "PRIMARY KEY (entry_id, embedding_type))"
    )
    for number in range(n):
        add(application, number, form)
    application.close()
    return path


def add(application: sqlite3.Connection, number: int, form: str = "float32") -> None:
    """Write one entry as the application does."""
    rows = [
        (f"e{number}", "summary", ENCODERS[form](unit(number))),
        (f"e{number}", "full", ENCODERS[form](-unit(number))),
    ]
    application.execute("BEGIN")
    application.execute("REPLACE INTO entries VALUES (?, ?)", (f"e{number}", f"text {number}"))
    application.executemany("REPLACE INTO embeddings VALUES (?, ?, ?)", rows)
    application.execute("COMMIT")
