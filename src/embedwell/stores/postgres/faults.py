"""What PostgreSQL and its driver say, as embedwell's errors. No message holds a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from embedwell.core.errors import (
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreReadOnlyError,
    StoreSetupError,
)

if TYPE_CHECKING:
    import psycopg

# Said while connecting, when there is no code yet: it will pass by itself.
_PASSING = ("starting up", "shutting down", "recovery mode", "not yet accepting")
_CROWDED = ("too many clients", "connection slots are reserved", "too many connections")


@contextmanager
def faults_named(shown: str) -> Iterator[None]:
    """Let what goes wrong inside come out as `StoreError` and its kinds.

    Args:
        shown: The database's address for people, without password.

    Raises:
        StoreError: Whatever the server or the driver reported.
    """
    import psycopg  # noqa: PLC0415 - loaded with the first store of this kind

    try:
        yield
    except psycopg.Error as error:
        raise named(error, shown) from error
    except UnicodeEncodeError as error:
        raise StoreError(
            f"A text or name has characters that are not valid Unicode ({error}).",
            "Replace lone surrogates before storing, as `text.encode(errors='replace')` does.",
        ) from error


def named(error: psycopg.Error, shown: str) -> StoreError:
    """The store error for one of the driver's."""
    import psycopg  # noqa: PLC0415 - as above

    said = first_line(error)
    state = error.sqlstate
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return _not_connected(said, shown)
    if state is None:
        return _failed(said, shown)
    for prefix, make in _BY_STATE:
        if state.startswith(prefix):
            return make(said, shown)
    return _failed(said, shown)


def first_line(error: Exception) -> str:
    """The first line of what an error says, without a full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def gone(said: str, shown: str) -> StoreGoneError:
    """No server answers, or it went away."""
    return StoreGoneError(
        f"The database {shown} cannot be reached ({said}).",
        "See that the server runs and the address is right; what was stored before is kept.",
    )


def _not_connected(said: str, shown: str) -> StoreError:
    if any(hint in said for hint in _CROWDED):
        return _crowded(said, shown)
    if "FATAL" in said and not any(hint in said for hint in _PASSING):
        return _refused(said, shown)
    return gone(said, shown)


def _refused(said: str, shown: str) -> StoreError:
    return StoreSetupError(
        f"The server of {shown} lets us not in ({said.partition('FATAL:')[2].strip() or said}).",
        "Check the user, the password and the database's name in the address.",
    )


def _crowded(said: str, shown: str) -> StoreError:
    return StoreBusyError(
        f"The server of {shown} takes no more connections ({said}).",
        "Try again later, close other programs' connections, or raise max_connections.",
    )


def _busy(said: str, shown: str) -> StoreError:
    return StoreBusyError(
        f"Another process holds what was to be changed in {shown} ({said}).",
        "Try again when it is done; nothing half-done was kept.",
    )


def _full(said: str, shown: str) -> StoreError:
    return StoreFullError(
        f"The disk of {shown} is full ({said}); what was stored before is kept.",
        "Free some space and run the same again: it goes on where it stopped.",
    )


def _read_only(said: str, shown: str) -> StoreError:
    return StoreReadOnlyError(
        f"{shown} was opened for reading, or its server only takes reads ({said}).",
        "Name the server that takes writes.",
    )


def _not_allowed(said: str, shown: str) -> StoreError:
    return StoreSetupError(
        f"The database user of {shown} lacks a right ({said}).",
        "Let the owner grant it: docs/postgres.md lists the rights that are needed.",
    )


def _failed(said: str, shown: str) -> StoreError:
    return StoreError(
        f"The index in {shown} failed: {said}.",
        "Run `embedwell doctor`; nothing half-done was kept.",
    )


# By SQLSTATE or its beginning; https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_STATE = (
    ("08", gone),
    ("28", _refused),
    ("3D000", _refused),
    ("25006", _read_only),
    ("25P03", gone),
    ("40", _busy),
    ("42501", _not_allowed),
    ("53100", _full),
    ("53300", _crowded),
    ("55P03", _busy),
    ("57P", gone),
    ("57014", _busy),
)
