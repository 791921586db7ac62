"""Every way to the newest revision ends in the same schema."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from alembic.command import current
from alembic.config import Config, main
from schema_catalog import catalog, identities
from store_samples import SETTINGS, item

from embedwell.stores.postgres import upgrade
from embedwell.stores.postgres.address import parse_address
from embedwell.stores.postgres.migrations import PostgresMigrations
from embedwell.stores.postgres.store import PostgresStore


def _by_itself(address: str) -> None:
    parsed = parse_address(address)
    with psycopg.connect(parsed.conninfo, autocommit=True) as connection:
        upgrade.upgrade(connection, parsed.names)


def _from_nothing(address: str) -> None:
    PostgresMigrations(address).upgrade("head")


def _adopted(address: str) -> None:
    PostgresMigrations(address).adopt()
    PostgresMigrations(address).upgrade("head")


def _adopted_then_by_itself(address: str) -> None:
    PostgresMigrations(address).adopt()
    _by_itself(address)


def _there_and_back(address: str) -> None:
    PostgresMigrations(address).upgrade("head")
    PostgresMigrations(address).downgrade("001")
    PostgresMigrations(address).upgrade("head")


def _as_sql(address: str) -> None:
    text = PostgresMigrations(address).sql("head")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(text)


def _adopted_then_as_sql(address: str) -> None:
    PostgresMigrations(address).adopt()
    text = PostgresMigrations(address).sql("001:head")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(text)


def _every_revision(address: str) -> None:
    for revision in upgrade.REVISIONS:
        PostgresMigrations(address).upgrade(revision)


@pytest.mark.parametrize(
    "way",
    [
        _by_itself,
        _adopted,
        _adopted_then_by_itself,
        _there_and_back,
        _as_sql,
        _adopted_then_as_sql,
        _every_revision,
    ],
)
def test_every_way_up_makes_the_same_schema(new_database, way):
    one, other = new_database(), new_database()
    _from_nothing(one)
    way(other)
    assert catalog(other) == catalog(one)
    assert PostgresMigrations(other).state().revision == upgrade.HEAD


def test_alembic_finds_nothing_to_do_where_the_store_made_the_schema(database):
    _by_itself(database)
    before = identities(database)
    PostgresMigrations(database).upgrade("head")
    assert identities(database) == before


def test_the_store_finds_nothing_to_do_where_alembic_made_the_schema(database):
    _from_nothing(database)
    before = identities(database)
    _by_itself(database)
    assert identities(database) == before


def test_an_applications_own_alembic_moves_the_schema(database, tmp_path):
    file = tmp_path / "alembic.ini"
    url = f"{database}&embedwell_schema=notes".replace("postgresql:", "postgresql+asyncpg:")
    file.write_text(
        "[alembic]\nscript_location = somewhere/else\n"
        "[embedwell]\nscript_location = embedwell.stores.postgres:alembic\n"
        f"sqlalchemy.url = {url.replace('%', '%%')}\n"
    )
    alembic = ["--config", str(file), "--name", "embedwell"]
    main([*alembic, "upgrade", "head"])
    assert PostgresMigrations(url).state().revision == upgrade.HEAD
    main([*alembic, "downgrade", "001"])
    assert PostgresMigrations(url).state().revision == upgrade.BASELINE


def test_looking_changes_nothing(database):
    assert PostgresMigrations(database).state().revision is None
    assert [one.name for one in PostgresMigrations(database).history()] == [*upgrade.REVISIONS]
    config = Config()
    config.set_main_option("script_location", "embedwell.stores.postgres:alembic")
    config.attributes["address"] = parse_address(database)
    current(config)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regnamespace('embedwell')").fetchone() == (None,)


def test_schema_and_version_table_have_the_names_that_the_address_gives(database):
    address = f"{database}&embedwell_schema=My%20notes&embedwell_version_table=At"
    plain = f"{database}&embedwell_schema=other"
    _from_nothing(address)
    _by_itself(plain)
    with psycopg.connect(database) as connection:
        found = connection.execute('SELECT version_num FROM "My notes"."At"').fetchall()
        assert found == [(upgrade.HEAD,)]
        assert connection.execute("SELECT to_regnamespace('embedwell')").fetchone() == (None,)
    assert len(catalog(database, "My notes")["columns"]) == len(
        catalog(database, "other")["columns"]
    )


def test_going_back_to_the_baseline_leaves_only_the_version(database):
    PostgresMigrations(database).upgrade("001")
    before = catalog(database)
    PostgresMigrations(database).upgrade("head")
    with psycopg.connect(database) as connection:  # what comes with a space
        connection.execute("SET search_path TO embedwell, public")
        connection.execute("INSERT INTO collections (name, chunk_tokens) VALUES ('one', 250)")
        connection.execute(
            "INSERT INTO spaces (collection, role, space_id, declaration, dimensions, made_by, "
            "generation) SELECT id, 'main', 'x', '{}', 3, '', 0 FROM collections"
        )
        connection.execute(
            "CREATE TABLE vectors_1 (chunk bigint REFERENCES chunks (id), vector halfvec(3))"
        )
        connection.execute("CREATE TABLE public.documents (mine int)")
    PostgresMigrations(database).downgrade("001")
    after = catalog(database)
    assert before.pop("extensions") != after.pop("extensions")  # it stays: others may use it
    assert after == before
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM public.documents").fetchone() == (0,)


def test_a_store_that_is_in_use_is_at_the_newest_revision_and_goes_back_whole(database):
    empty = PostgresMigrations(database).upgrade("001")
    before = catalog(database)
    with closing(PostgresStore.create(database, SETTINGS)) as store:
        store.put([item("a.md", ["one two"])])
        store.spaces.add(SETTINGS.space, "light", "")
        made = identities(database)
        assert PostgresMigrations(database).upgrade("head").revision == empty.newest
        assert identities(database) == made
        assert store.counts().chunks == 1
    PostgresMigrations(database).downgrade("001")
    after = catalog(database)
    assert before.pop("extensions") != after.pop("extensions")
    assert after == before
