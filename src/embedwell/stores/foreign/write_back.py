"""A column of an application's own SQLite table that is given vectors."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from embedwell.core.errors import QueueError, StoreError, StoreNotFoundError
from embedwell.stores.foreign.file import BUSY_S
from embedwell.stores.rows import VectorPlace

_VALUE_BYTES = 4  # float32, little-endian


class SqliteVectors:
    """Writes vectors beside rows; see `stores.rows.VectorColumn`.

    Args:
        target: The application's SQLite file.
        place: Which column.
        dimensions: Length of the vectors.

    Raises:
        StoreNotFoundError: There is no such file.
        QueueError: There is no such column, or it holds something else.
        StoreError: The file cannot be written.
    """

    def __init__(self, target: str | Path, place: VectorPlace, dimensions: int) -> None:
        path = Path(target).expanduser()
        if not path.is_file():
            raise StoreNotFoundError(
                f"There is no file {path}.", "Name the application's SQLite file."
            )
        self._path = path
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        table, column, key = map(_quoted, (place.table, place.column, place.key))
        self._update = f"UPDATE {table} SET {column} = ?1 WHERE {key} = ?2 AND {column} IS NOT ?1"  # noqa: S608 - quoted names
        other = (
            f"SELECT length({column}) FROM {table} WHERE {column} IS NOT NULL "  # noqa: S608 - the same
            f"AND (typeof({column}) <> 'blob' OR length({column}) <> ?) LIMIT 1"
        )
        try:
            self._check(place, other, dimensions)
        except BaseException:
            self.close()
            raise

    def write(self, rows: Sequence[tuple[str, bytes | None]]) -> int:
        """Write vectors by key, all or none; what is there already stays as it is.

        Returns:
            How many rows changed.
        """
        before = self._connection.total_changes
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(self._update, [(blob, key) for key, blob in rows])
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error
        return self._connection.total_changes - before

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _check(self, place: VectorPlace, other: str, dimensions: int) -> None:
        try:
            listed = self._connection.execute(
                "SELECT name FROM pragma_table_info(?)", [place.table]
            )
            names = {name for (name,) in listed}
            for name in (place.column, place.key):
                if name not in names:
                    raise QueueError(
                        f"The table '{place.table}' in {self._path} has no column '{name}'.",
                        "Add it, or name another with `--write-back TABLE.COLUMN --key COLUMN`.",
                    )
            n_bytes = dimensions * _VALUE_BYTES
            if found := self._connection.execute(other, [n_bytes]).fetchone():
                raise QueueError(
                    f"{place.table}.{place.column} holds values of length {found[0]}; vectors of "
                    f"{dimensions} dimensions are blobs of {n_bytes:,} bytes.",
                    "Name another column, or empty this one.",
                )
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error


def _failed(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"{path} could not be written: {error}.",
        "See that the file can be written and no other program holds it for long; run it again.",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
