"""Places for new stores, for state machines: each example gets one of its own."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path


class SqliteTarget:
    """A file in a folder of its own."""

    def new_target(self) -> str:
        self.folder = Path(tempfile.mkdtemp())
        return str(self.folder / "index.db")

    def remove(self) -> None:
        shutil.rmtree(self.folder)


class PostgresTarget:
    """A schema of its own; `server` is set by a fixture."""

    server = ""
    numbers = itertools.count()

    def new_target(self) -> str:
        self.schema = f"machine_{next(self.numbers)}"
        return f"{self.server}&embedwell_schema={self.schema}"

    def remove(self) -> None:
        import psycopg

        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {self.schema} CASCADE")
