"""The address of a PostgreSQL database, as people and applications write it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from embedwell.core.errors import MissingExtraError, SettingsError
from embedwell.stores.postgres.upgrade import Names

SCHEMA = "embedwell_schema"
VERSION_TABLE = "embedwell_version_table"
_OURS = (SCHEMA, VERSION_TABLE)
_SCHEMES = ("postgresql", "postgres")
_MOST_NAME_BYTES = 63  # PostgreSQL cuts longer names off

# What applications' drivers and pools take in an address, and libpq does not know.
_OTHERS = frozenset(
    {
        *("async_fallback", "command_timeout", "statement_cache_size"),  # asyncpg
        *("prepared_statement_cache_size", "prepared_statement_name_func"),
        *("connection_limit", "pgbouncer", "pool_timeout", "schema", "sslaccept"),  # Prisma
        *("max_overflow", "pool_pre_ping", "pool_recycle", "pool_size"),
    }
)


@dataclass(frozen=True)
class Address:
    """Where a database is, and what our things are called in it.

    Attributes:
        conninfo: An address for libpq; it may hold a password, and is never shown.
        shown: The same for people, without user's password and parameters.
        names: What our things are called.
    """

    conninfo: str = field(repr=False)
    shown: str
    names: Names


def parse_address(text: str) -> Address:
    """Read an address such as `postgresql://user@host/database`.

    Addresses of applications are understood: `postgres://`, `postgresql+asyncpg://` and other
    drivers, their `ssl=`, and their parameters that mean nothing here. `embedwell_schema=NAME` and
    `embedwell_version_table=NAME` name our schema and version table.

    Raises:
        SettingsError: It is no such address; the message does not repeat what may be a password.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.partition("+")[0].lower() not in _SCHEMES:
        raise _wrong("it does not begin with postgresql://")
    parts = _split(rest)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    login = f"{_clean(name)}{colon}{_clean(password)}{at}"
    ours, libpq = _parameters(parts.query)
    names = Names(**{_field(key): _name(key, value) for key, value in ours.items()})
    query = f"?{urlencode(libpq, quote_via=quote)}" if libpq else ""
    shown_login = f"{name}@" if name else ""
    return Address(
        f"postgresql://{login}{hosts}{parts.path}{query}",
        f"postgresql://{shown_login}{hosts}{parts.path}",
        names,
    )


def _split(rest: str) -> SplitResult:
    """The parts of an address; one that a password would have torn apart is refused."""
    try:
        parts = urlsplit(f"postgresql://{rest}")
    except ValueError:  # a bracket that is no IPv6 address
        parts = None
    if parts is None or "#" in rest or "@" in parts.path or "@" in parts.query:
        raise _wrong("one of / ? # @ [ ] in it must be written as %2F %3F %23 %40 %5B %5D")
    return parts


def _parameters(query: str) -> tuple[dict[str, str], dict[str, str]]:
    """Ours, and those for libpq."""
    try:
        from psycopg import pq  # noqa: PLC0415 - only where a server is named
    except ImportError as error:
        raise MissingExtraError("An index in PostgreSQL", "postgres") from error
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | {"ssl"}
    given = dict(parse_qsl(query, keep_blank_values=True))
    ours = {name: given.pop(name) for name in _OURS if name in given}
    libpq = {name: value for name, value in given.items() if name not in _OTHERS}
    if unknown := sorted({*libpq} - known):
        raise _wrong(f"it has parameters that PostgreSQL does not know: {', '.join(unknown)}")
    if "ssl" in libpq:
        libpq["sslmode"] = _sslmode(libpq.pop("ssl"))
    return ours, libpq


def _sslmode(ssl: str) -> str:
    """What asyncpg and others call `ssl`: a mode, or yes or no."""
    return {"true": "require", "1": "require", "false": "disable", "0": "disable"}.get(ssl, ssl)


def _field(key: str) -> str:
    return key.removeprefix("embedwell_")


def _name(key: str, value: str) -> str:
    if not value or "\0" in value or len(value.encode()) > _MOST_NAME_BYTES:
        raise _wrong(f"{key} must have 1 to {_MOST_NAME_BYTES} bytes")
    return value


def _clean(part: str) -> str:
    """A user name or password in which only what must be is percent-encoded.

    libpq names a part that it cannot decode in its message, and that part may be a password.
    """
    return quote(unquote(part), safe="")


def _wrong(why: str) -> SettingsError:
    return SettingsError(
        f"The address of the database is not understood: {why}.",
        "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
    )
