"""What stands under our names decides whether the schema is moved; what is refused is untouched."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_catalog import catalog

from embedwell.core.errors import (
    ForeignStoreError,
    MissingExtraError,
    NewerStoreError,
    StoreError,
    StoreGoneError,
    StoreSetupError,
)
from embedwell.stores.postgres import upgrade
from embedwell.stores.postgres.address import parse_address
from embedwell.stores.postgres.migrations import PostgresMigrations

_NAMES = upgrade.Names()
_VERSIONS = """
CREATE TABLE embedwell.embedwell_version (version_num text);
INSERT INTO embedwell.embedwell_version"""


def _run(address, *statements):
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _upgrade_by_itself(address):
    parsed = parse_address(address)
    with psycopg.connect(parsed.conninfo, autocommit=True) as connection:
        return upgrade.upgrade(connection, parsed.names)


WAYS = [
    lambda address: PostgresMigrations(address).upgrade("head"),
    lambda address: PostgresMigrations(address).upgrade("001"),
    lambda address: PostgresMigrations(address).adopt(),
    lambda address: PostgresMigrations(address).survey(),
    lambda address: PostgresMigrations(address).state(),
    _upgrade_by_itself,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("made", "error", "said"),
    [
        ("CREATE TABLE embedwell.events (id int)", ForeignStoreError, "tables of another program"),
        ("CREATE VIEW embedwell.e AS SELECT 1", ForeignStoreError, r"another program \(e\)"),
        (
            "CREATE TABLE embedwell.embedwell_version (id int)",
            ForeignStoreError,
            "a table 'embedwell_version' that is not ours",
        ),
        (
            f"{_VERSIONS} VALUES ('9f3ac1')",
            ForeignStoreError,
            "is at revision '9f3ac1', which is none of ours",
        ),
        (
            f"{_VERSIONS} VALUES ('001'), ('002')",
            ForeignStoreError,
            "has 2 revisions at once",
        ),
        (
            f"{_VERSIONS} VALUES ('005')",
            NewerStoreError,
            "is at revision 005; this embedwell knows up to 004",
        ),
    ],
)
def test_what_is_not_ours_is_refused_and_untouched(database, made, error, said, way):
    _run(database, "CREATE SCHEMA embedwell", made)
    before = catalog(database)
    with pytest.raises(error, match=said):
        way(database)
    assert catalog(database) == before


@pytest.mark.parametrize("way", WAYS)
def test_a_schema_of_another_role_is_refused(database, way):
    role = "stranger"
    _run(database, f"DROP ROLE IF EXISTS {role}", f"CREATE ROLE {role} LOGIN")
    mine = database.replace("//postgres:@", f"//{role}@")
    try:
        _run(database, "CREATE SCHEMA embedwell", "CREATE TABLE embedwell.embedwell_version ()")
        with pytest.raises(StoreSetupError, match="belongs to role 'postgres', and 'stranger' may"):
            way(mine)
    finally:
        _run(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize("way", [WAYS[1], WAYS[2]])
@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((), r"may not make the schema 'embedwell' in database 'test_\d+'"),
        (
            ("CREATE SCHEMA embedwell", "GRANT USAGE ON SCHEMA embedwell TO reader"),
            "'reader' may not make tables in it",
        ),
    ],
)
def test_a_role_without_the_right_to_make_tables_is_told_so(database, made, said, way):
    _run(database, "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN", *made)
    try:
        with pytest.raises(StoreSetupError, match=said) as refused:
            way(database.replace("//postgres:@", "//reader@"))
        assert "Let " in refused.value.remedy
    finally:
        _run(database, "DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.parametrize("way", [WAYS[0], _upgrade_by_itself])
def test_an_upgrade_that_fails_leaves_nothing(database, way):
    _run(
        database,
        "CREATE EXTENSION vector",
        "CREATE SCHEMA embedwell",
        "CREATE TEXT SEARCH CONFIGURATION embedwell.words (COPY = simple)",
    )
    before = catalog(database)
    with pytest.raises((StoreError, psycopg.Error), match="pg_ts_config_cfgname_index"):
        way(database)
    assert catalog(database) == before


def test_upgrades_at_once_wait_for_each_other(database):
    _run(database, "CREATE EXTENSION vector")
    ways = [WAYS[0], _upgrade_by_itself] * 3
    start = Barrier(len(ways))

    def go(way):
        start.wait()
        return way(database)

    with ThreadPoolExecutor(len(ways)) as pool:
        list(pool.map(go, ways))
    assert PostgresMigrations(database).state().revision == upgrade.HEAD


def test_a_revision_that_there_is_not_is_refused(database):
    migrations = PostgresMigrations(database)
    for move in (migrations.upgrade, migrations.downgrade, migrations.sql):
        with pytest.raises(StoreError, match="Alembic does not do this: Can't locate revision"):
            move("007")
    assert migrations.state().revision is None


def test_going_back_stops_at_tables_that_others_hang_on(database):
    migrations = PostgresMigrations(database)
    migrations.upgrade("head")
    _run(database, "CREATE VIEW mine AS SELECT key FROM embedwell.documents")
    before = catalog(database)
    with pytest.raises(StoreError, match=r"dropped in .*: view public\.mine depends on"):
        migrations.downgrade("001")
    assert catalog(database) == before


def test_a_server_that_does_not_answer_is_told_without_the_password(tmp_path):
    address = f"postgresql+asyncpg://me:s3cr%40t@/none?host={tmp_path}&password=s3cr%40t"
    migrations = PostgresMigrations(address)
    for way in (migrations.state, migrations.adopt, lambda: migrations.upgrade("head")):
        with pytest.raises(StoreGoneError, match="postgresql://me@/none") as gone:
            way()
        assert "s3cr" not in str(gone.value)


@pytest.mark.parametrize("missing", ["alembic", "sqlalchemy", "psycopg"])
def test_without_the_extra_the_command_to_install_it_is_given(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r'pip install "embedwell\[migrations\]"'):
        PostgresMigrations("postgresql://")


@given(
    relations=st.lists(st.text()).map(tuple),
    versions=st.none()
    | st.lists(st.sampled_from(["001", "002", "003", "004", "005", "x", ""])).map(tuple),
)
def test_a_revision_is_told_only_where_exactly_one_of_ours_is_written(relations, versions):
    found = upgrade.Found(relations, versions)
    try:
        revision = upgrade.revision_of(found, _NAMES)
    except (ForeignStoreError, NewerStoreError):
        assert relations or versions
        return
    assert (versions or (None,)) == (revision,)
    assert revision in upgrade.REVISIONS or not relations
