"""Giving space back, and copying an index that is in use."""

from __future__ import annotations

import shutil
from pathlib import Path

from embedwell.core.errors import StoreFullError
from embedwell.stores.sqlite import faults, segments, statements
from embedwell.stores.sqlite.database import Database, connect
from embedwell.stores.sqlite.files import draft_of
from embedwell.stores.values import Compacted

MERGE_PAGES = 1_000
"""How much of the lexical index is merged in one transaction: about 0.1 s."""


def compact(database: Database) -> Compacted:
    """Give back what deleted rows took.

    The file is written anew by VACUUM, through the log, so that readers go on with what they see.
    Nothing less helps: deleted passages lie scattered, and the half-empty pages that they leave
    are never filled again, because ids grow. Killed in it, the file is as before.

    Raises:
        StoreFullError: There is no room for what the file will hold, beside it.
        StoreBusyError: Another process is writing.
    """
    before = size_bytes(database.path)
    _check_room(database)
    for number, dimensions in database.rows(statements.SPACES_WITH_REMOVED):
        with database.transaction():
            segments.rewrite(database, number, dimensions)
    _merge_lexical(database)
    database.rows(statements.VACUUM)
    # What a reader still sees stays in the log until it is done; then SQLite goes on by itself.
    database.rows(statements.TRUNCATE_LOG)
    return Compacted(before, size_bytes(database.path))


def backup(database: Database, target: Path) -> None:
    """Copy the file as of now into a new one; others may write meanwhile.

    Raises:
        StoreError: There is a file already, or the copy is not sound.
        StoreFullError: There is no room.
        StoreReadOnlyError: The folder cannot be written.
    """
    with faults.faults_named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(target) as draft:
            copy = connect(draft, "rwc", read_only=False)
            try:
                database.copy_to(copy)
                verdict = copy.value(statements.QUICK_CHECK)
            finally:
                copy.close()
            if verdict != "ok":
                raise faults.damaged(database.path, f"its copy is not sound: {verdict}")


def size_bytes(path: Path) -> int:
    """Size of an index, its log included."""
    files = [path, path.with_name(f"{path.name}-wal")]
    return sum(file.stat().st_size for file in files if file.exists())


def _check_room(database: Database) -> None:
    pages, free, page_bytes = database.rows(statements.PAGES)[0]
    needed = (pages - free) * page_bytes
    available = shutil.disk_usage(database.path.parent).free
    if available < needed:
        raise StoreFullError(
            f"{database.path} is written anew to be compacted, which needs up to "
            f"{needed / 1e6:,.0f} MB; {available / 1e6:,.0f} MB are free.",
            "Free some space first; the index can be used as it is.",
        )


def _merge_lexical(database: Database) -> None:
    """Merge the lexical index into one segment, in steps between which others may write."""
    pages = -MERGE_PAGES  # negative: all segments; afterwards what remains of these
    n_changes = -1
    while n_changes < 0 or database.n_changes - n_changes >= 2:  # below 2, nothing was left
        n_changes = database.n_changes
        with database.transaction():
            database.rows(statements.MERGE_LEXICAL, (pages,))
        pages = MERGE_PAGES
