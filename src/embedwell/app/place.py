"""Where the index of a folder lies, and how it is found again."""

from __future__ import annotations

from pathlib import Path

from embedwell.core.errors import StoreNotFoundError, StoreReadOnlyError

FOLDER = ".embedwell"
FILE = "index.db"


def default_file(folder: Path) -> Path:
    """The index file of a folder that has no other."""
    return folder / FOLDER / FILE


def find_file(start: Path) -> Path:
    """The index file of a folder or of the nearest folder above it, as git finds its own.

    Raises:
        StoreNotFoundError: There is none up to the root.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        file = default_file(folder)
        if file.is_file():
            return file
    raise StoreNotFoundError(
        f"There is no index in {start.absolute()} or above it.",
        "Make one with `embedwell index`, or name one with `--db FILE`.",
    )


def indexed_folder(file: Path) -> Path | None:
    """The folder that an index file speaks of, where its place tells."""
    in_place = file.name == FILE and file.parent.name == FOLDER
    return file.absolute().parent.parent if in_place else None


def prepare_folder(file: Path) -> None:
    """Make the folder of a default index file, which keeps itself out of the repository.

    Raises:
        StoreReadOnlyError: It cannot be made.
    """
    if file.parent.name != FOLDER or file.parent.exists():
        return
    try:
        file.parent.mkdir(parents=True)
        (file.parent / ".gitignore").write_text("/index.db*\n", "utf-8")
    except OSError as error:
        raise StoreReadOnlyError(
            f"{file.parent} cannot be made: {error.strerror}.",
            "Index a folder that you may write to, or put the index elsewhere with `--db FILE`.",
        ) from error
