"""Where the index of a folder lies, and how it is found again."""

from __future__ import annotations

import re
from pathlib import Path

from embedwell.app.config.settings import Settings
from embedwell.app.config.trust import check_index_inside
from embedwell.core.errors import StoreNotFoundError, StoreReadOnlyError

FOLDER = ".embedwell"
FILE = "index.db"


def target_of(settings: Settings, folder: Path, *, create: bool) -> Path | str:
    """Where the index of a folder is: a file, or the address of a database.

    Args:
        settings: They may name it.
        folder: Else it is in this folder.
        create: Whether it may be made there; else it is looked for in the folders above as well.

    Raises:
        StoreNotFoundError: None is named, and there is none; or a file is named by an address.
        SettingsError: A link of the folder puts its index elsewhere, without the user's consent.
    """
    named = settings.db or settings.database_url
    if named:
        from embedwell.stores.registry import store_kind  # noqa: PLC0415 - with numpy; few need it

        if named.lower().startswith("sqlite:"):
            path = named.partition(":")[2].removeprefix("///")
            raise StoreNotFoundError(
                f"'{named}' is not how an index file is named.", f"Give its path: `--db {path}`."
            )
        return named if store_kind(named) != "sqlite" else Path(named).expanduser()
    file = default_file(folder) if create else find_file(folder)
    check_index_inside(file)
    return file


def shown_target(target: Path | str) -> str:
    """A target for people: the password and the parameters of an address are left out.

    However the address is written: a password may hold any character, also where it must not.
    """
    scheme, separator, rest = str(target).partition("://")
    if isinstance(target, Path) or not separator:
        return str(target)
    login, at, place = rest.rpartition("@")
    if "?" in login:  # in a password, or the @ is in a parameter: nobody can tell
        return f"{scheme}://…"
    user = re.split(r"[:/?#]", login)[0]
    return f"{scheme}://{user}{at}{place.partition('?')[0]}"


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
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / ".gitignore").write_text("/index.db*\n", "utf-8")
    except OSError as error:
        raise StoreReadOnlyError(
            f"{file.parent} cannot be made: {error.strerror}.",
            "Index a folder that you may write to, or put the index elsewhere with `--db FILE`.",
        ) from error
