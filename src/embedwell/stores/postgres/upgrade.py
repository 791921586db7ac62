"""The schema in PostgreSQL, made and brought up to date by numbered SQL files.

The files are the only truth of what the schema is. `upgrade` runs them by itself; the Alembic
revisions run the same texts and keep the same version table, so that either may go on where the
other stopped.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from embedwell.core.errors import ForeignStoreError, NewerStoreError, StoreError, StoreSetupError

if TYPE_CHECKING:
    from psycopg import Connection

BASELINE = "001"
REVISIONS = (BASELINE, "002", "003", "004")
HEAD = REVISIONS[-1]

# The extension's schema differs between servers, so it is looked up; a server without it gets it
# where everybody finds it.
_EXTENSION = "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;"
_SEARCH_PATH = """\
SELECT set_config('search_path', concat_ws(', ', quote_ident({schema}), (
    SELECT quote_ident(nspname) FROM pg_catalog.pg_extension
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'
)), {local});"""
# Under a stricter isolation, whoever waited for the lock would not see what its holder made.
_LOCK = """\
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT pg_advisory_xact_lock({key});"""
_CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS {schema};"
# As Alembic makes it.
_CREATE_VERSIONS = """\
CREATE TABLE IF NOT EXISTS {versions} (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT {key} PRIMARY KEY (version_num)
);"""

_READ_SCHEMA = """
SELECT oid, pg_get_userbyid(nspowner), current_user, has_schema_privilege(oid, 'USAGE'),
       has_schema_privilege(oid, 'CREATE')
FROM pg_catalog.pg_namespace WHERE nspname = %s"""
_READ_RIGHT = """
SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE')"""
# Relations that are not part of an extension.
_READ_RELATIONS = """
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace = %s AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend
    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
ORDER BY relname"""
_READ_COLUMNS = """
SELECT attname FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
WHERE relnamespace = %s AND relname = %s AND attnum > 0 AND NOT attisdropped"""


@dataclass(frozen=True)
class Names:
    """What our things are called in a database.

    Attributes:
        schema: The schema that holds them, and nothing else.
        version_table: The table in it that says which revision it is at.
    """

    schema: str = "embedwell"
    version_table: str = "embedwell_version"


@dataclass(frozen=True)
class Found:
    """What is in a database under our names.

    Attributes:
        relations: Tables and views in the schema, but for the version table.
        versions: What the version table says; None where there is no such table.
    """

    relations: tuple[str, ...] = ()
    versions: tuple[str, ...] | None = None


def revision_of(found: Found, names: Names) -> str | None:
    """The revision that a database is at; None where nothing of ours is there.

    Raises:
        ForeignStoreError: Under our names is something of another program.
        NewerStoreError: A newer embedwell made it.
    """
    versions = found.versions or ()
    if not versions:
        if found.relations:
            raise _foreign(names, f"holds tables of another program ({_some(found.relations)})")
        return None
    if len(versions) > 1:
        raise _foreign(names, f"has {len(versions)} revisions at once ({_some(versions)})")
    (version,) = versions
    if version in REVISIONS:
        return version
    if len(version) == len(HEAD) and version.isdigit() and version > HEAD:
        raise NewerStoreError(
            f"Schema '{names.schema}' is at revision {version}; this embedwell knows up to {HEAD}.",
            "Update embedwell, or name another schema.",
        )
    raise _foreign(names, f"is at revision {version!r}, which is none of ours")


def read(connection: Connection, names: Names) -> Found:
    """Look at what is there under our names, changing nothing.

    Raises:
        StoreSetupError: The schema is there, and this role may not look into it.
        ForeignStoreError: A table called like our version table is something else.
    """
    schema = connection.execute(_READ_SCHEMA, [names.schema]).fetchone()
    if schema is None:
        return Found()
    oid, owner, role, usable, _ = schema
    if not usable:
        raise StoreSetupError(
            f"Schema '{names.schema}' belongs to role '{owner}', and '{role}' may not use it.",
            f'Let its owner run: GRANT USAGE ON SCHEMA "{names.schema}" TO "{role}"; '
            "or name another schema.",
        )
    relations = [name for (name,) in connection.execute(_READ_RELATIONS, [oid])]
    if names.version_table not in relations:
        return Found(tuple(relations))
    columns = connection.execute(_READ_COLUMNS, [oid, names.version_table]).fetchall()
    if columns != [("version_num",)]:
        raise _foreign(names, f"has a table '{names.version_table}' that is not ours")
    rows = connection.execute(f"SELECT version_num FROM {versions_name(names)} ORDER BY 1")  # noqa: S608 - quoted
    relations.remove(names.version_table)
    return Found(tuple(relations), tuple(version for (version,) in rows))


def current(connection: Connection, names: Names) -> str | None:
    """The revision that a database is at; None where nothing of ours is there.

    Raises:
        StoreSetupError: This role may not look.
        ForeignStoreError: Under our names is something of another program.
        NewerStoreError: A newer embedwell made it.
    """
    return revision_of(read(connection, names), names)


def upgrade(connection: Connection, names: Names) -> str | None:
    """Bring the schema to the newest revision, in one transaction; others that do so wait.

    Args:
        connection: Not in a transaction.
        names: What our things are called.

    Returns:
        The revision before: None where nothing of ours was there.

    Raises:
        StoreSetupError: A right or the extension is missing.
        ForeignStoreError: Under our names is something of another program.
        NewerStoreError: A newer embedwell made it.
    """
    with connection.transaction():
        before = prepare(connection, names)
        if before == HEAD:
            return before
        connection.execute(_versions_text(names))
        for revision in pending(before):
            connection.execute(script(revision, names))
        connection.execute(f"DELETE FROM {versions_name(names)}")  # noqa: S608 - quoted
        connection.execute(f"INSERT INTO {versions_name(names)} VALUES (%s)", [HEAD])  # noqa: S608
    return before


def adopt(connection: Connection, names: Names) -> None:
    """Bring the schema to the baseline where nothing of ours is there yet.

    Args:
        connection: Not in a transaction.
        names: What our things are called.

    Raises:
        StoreSetupError: A right is missing.
        ForeignStoreError: Under our names is something of another program.
        NewerStoreError: A newer embedwell made it.
    """
    with connection.transaction():
        if prepare(connection, names) is None:
            connection.execute(_versions_text(names))
            connection.execute(f"INSERT INTO {versions_name(names)} VALUES (%s)", [BASELINE])  # noqa: S608


def prepare(connection: Connection, names: Names) -> str | None:
    """Let nobody else change the schema until the transaction ends, and make it if need be.

    Args:
        connection: In a transaction that did nothing yet.
        names: What our things are called.

    Returns:
        The revision that it is at: None where nothing of ours is there.

    Raises:
        StoreSetupError: A right is missing.
        ForeignStoreError: Under our names is something of another program.
        NewerStoreError: A newer embedwell made it.
    """
    connection.execute(lock_text(names))
    before = current(connection, names)
    if before != HEAD and not _check_rights(connection, names):
        connection.execute(schema_text(names))
    return before


def pending(revision: str | None) -> tuple[str, ...]:
    """The revisions that follow one; all of them after None."""
    return REVISIONS if revision is None else REVISIONS[REVISIONS.index(revision) + 1 :]


def lock_text(names: Names) -> str:
    """SQL that makes this transaction the only one that changes the schema, or waits for that."""
    digest = hashlib.sha256(f"embedwell schema {names.schema}".encode()).digest()
    return _LOCK.format(key=int.from_bytes(digest[:8], "big", signed=True))


def schema_text(names: Names) -> str:
    """SQL that makes the schema where it is not there."""
    return _CREATE_SCHEMA.format(schema=quoted(names.schema))


def _check_rights(connection: Connection, names: Names) -> bool:
    """Make sure that this role may make tables in our schema, or make the schema.

    Returns:
        Whether the schema is there. Even `IF NOT EXISTS` needs the right to make one.

    Raises:
        StoreSetupError: It may not; the message says what its owner can grant.
    """
    schema = connection.execute(_READ_SCHEMA, [names.schema]).fetchone()
    if schema is not None:
        _, owner, role, _, may_create = schema
        if not may_create:
            raise StoreSetupError(
                f"Schema '{names.schema}' belongs to role '{owner}', and '{role}' may not make "
                "tables in it.",
                f'Let its owner run: GRANT USAGE, CREATE ON SCHEMA "{names.schema}" TO "{role}"; '
                "or name another schema.",
            )
        return True
    right = connection.execute(_READ_RIGHT).fetchone()
    role, database, may_create = right or ("", "", False)
    if not may_create:
        raise StoreSetupError(
            f"Role '{role}' may not make the schema '{names.schema}' in database '{database}'.",
            f'Let the owner run: CREATE SCHEMA "{names.schema}" AUTHORIZATION "{role}".',
        )
    return False


def _versions_text(names: Names) -> str:
    return _CREATE_VERSIONS.format(
        versions=versions_name(names), key=quoted(f"{names.version_table}_pkc")
    )


def script(revision: str, names: Names, *, down: bool = False) -> str:
    """SQL that a revision runs, for one schema; empty for the baseline.

    Args:
        revision: One of `REVISIONS`.
        names: What our things are called.
        down: Back to the revision before it, instead of to it.

    Raises:
        StoreError: The baseline has no revision before it.
    """
    if revision == BASELINE:
        if down:
            raise StoreError(
                "Revision 001 is the baseline: it made nothing, so there is nothing to take back.",
                "Stay at 001. To remove the last trace of embedwell, drop its schema by hand.",
            )
        return ""
    name = f"{revision}.down.sql" if down else f"{revision}.sql"
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    # On the way down no name may mean a table outside of our schema.
    path = f"SET LOCAL search_path TO {quoted(names.schema)};" if down else search_path_text(names)
    return f"{path}\n{text}" if down else f"{_EXTENSION}\n{path}\n{text}"


def search_path_text(names: Names, *, local: bool = True) -> str:
    """SQL that lets plain names mean our tables and the extension's types.

    Args:
        names: What our things are called.
        local: Until the end of the transaction, instead of the connection's.
    """
    return _SEARCH_PATH.format(schema=_literal(names.schema), local=str(local).lower())


def versions_name(names: Names) -> str:
    """The version table's full name, quoted."""
    return f"{quoted(names.schema)}.{quoted(names.version_table)}"


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _some(names: tuple[str, ...], at_most: int = 5) -> str:
    shown = ", ".join(names[:at_most])
    return shown if len(names) <= at_most else f"{shown}, …"


def _foreign(names: Names, what: str) -> ForeignStoreError:
    return ForeignStoreError(
        f"Schema '{names.schema}' {what}; it is untouched.",
        "Name another schema: `embedwell_schema=NAME` in the address.",
    )
