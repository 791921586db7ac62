"""`embedwell work`: alone, with others, stopped, and where it cannot."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from embedwell.jobs.work.identity import new_worker
from embedwell.stores.registry import open_store

pytestmark = pytest.mark.usefixtures("real_cache")
FILE = Path(".embedwell/index.db")


@pytest.fixture
def index(run, folder):
    """An index whose rows are all to be done once more; gives how to look at it."""
    assert run("index").code == 0
    queue_again()
    return FILE


def queue_again() -> None:
    with closing(open_store(FILE)) as store:
        (source,) = store.queue.sources()
        again = store.queue.open_run(0)
        with closing(sqlite3.connect(FILE)) as database:
            change = "UPDATE files_queue SET status = 'pending', anew = 1, run = ?"
            assert database.execute(change, (again.number,)).rowcount == 3
            database.commit()
        assert source.place == ""


def state() -> tuple[str, int]:
    with closing(open_store(FILE)) as store:
        run = store.queue.run()
        return run.status, run.n_done


def test_a_worker_drains_the_queue(run, index):
    done = run("work", "--once", "--json").json
    assert (done["n_done"], done["n_failed"], done["failed"]) == (3, 0, [])
    assert state() == ("done", 3)
    again = run("work", "--once")
    assert again.out == "0 documents stored with 0 chunks, 0 unchanged, 0 failed\n"


def test_several_workers_drain_it_together(run, index):
    done = run("work", "--once", "--workers", "2", "--json")
    assert done.code == 0
    assert sum(report["n_done"] for report in done.json["workers"]) == 3
    assert state() == ("done", 3)


def test_what_failed_is_told(run, folder):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing follows")
    assert run("index").code == 3
    with closing(open_store(FILE)) as store:
        from embedwell.stores.queue import Which

        assert store.queue.retry(Which(statuses=("failed",))) == 1
    told = run("work", "--once")
    assert told.code == 3
    assert "1 failed" in told.out
    assert "broken.pdf" in told.err


def test_sources_elsewhere_are_named(run, index, folder, tmp_path):
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    folder.mkdir()
    place = moved / FILE
    told = run("work", "--once", "--db", str(place), "--source", f"folder={tmp_path / 'nowhere'}")
    assert told.code == 1
    assert "is not there" in told.err
    found = run("work", "--once", "--db", str(place), "--source", f"folder={moved}", "--json")
    assert found.json["n_done"] == 3
    assert run("work", "--source", "folder").code == 2


def test_a_stopped_run_ends_a_worker_and_a_fleet_with_its_reason(run, index):
    with closing(open_store(FILE)) as store:
        store.queue.stop_run("Nothing makes sense.")
    for words in ((), ("--workers", "2"), ("--workers", "2", "--json")):
        told = run("work", *words)
        assert told.code == 1
        assert "Nothing makes sense." in told.err
    assert json.loads(told.err)["error"]["type"] == "CanaryError"


def test_without_an_index_there_is_nothing_to_do(run, folder):
    for words in ((), ("--workers", "2")):
        told = run("work", *words)
        assert told.code == 1
        assert "There is no index" in told.err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_one_that_stays_ends_well_when_it_is_told_to(index, words):
    with started(*words) as process:
        wait_until(lambda: state() == ("done", 3))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with closing(open_store(FILE)) as store:
        assert store.queue.workers() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_fleet_replaces_who_is_killed_and_gives_back_what_it_had(index):
    with started("--workers", "2") as process:
        wait_until(lambda: len(workers()) == 2 and state() == ("done", 3))
        first = workers()[0]
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: len(workers()) == 2 and first not in workers())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert workers() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_workers_of_a_fleet_that_is_killed_end_by_themselves(index):
    with started("--workers", "2") as process:
        wait_until(lambda: len(workers()) == 2)
        process.kill()
    wait_until(lambda: workers() == [])


def workers():
    with closing(open_store(FILE)) as store:
        here = new_worker().host
        found = [replace_times(one) for one in store.queue.workers() if one.host == here]
        return sorted(found, key=lambda one: one.pid)


def replace_times(worker):
    """What does not change while it lives."""
    return type(worker)(worker.name, worker.host, worker.pid)


def started(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "embedwell.cli.main", "work", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until(is_so) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
