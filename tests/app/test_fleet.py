"""Several workers, looked after: what becomes of those that die, and how all are ended."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from embedwell.app.config.settings import Settings
from embedwell.app.workers import fleet as fleets
from embedwell.app.workers.duty import Duty, words_of
from embedwell.app.workers.fleet import Fleet
from embedwell.app.workers.quota import be_nice, is_above, share
from embedwell.core.events import Watch
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.queue import Item, Which
from embedwell.stores.registry import create_store, open_store
from embedwell.testing import FAKE_SPACE

# Each start adds a line to the file `starts`, and knows how many there were up to it; then the
# script goes on with a part of its own.
BEGIN = """
import json, os, signal, sys, time
from pathlib import Path
here = Path(sys.argv[1])
with (here / "starts").open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
n_starts = (here / "starts").read_text().splitlines().index(str(os.getpid())) + 1
def wait():
    while os.read(0, 1):
        pass
"""
REPORT = 'print(json.dumps({"report": {"n_done": 3}}))\n'


@pytest.fixture
def run(tmp_path):
    """Runs a fleet of scripts to its end."""
    target = tmp_path / "index.db"
    create_store(target, CollectionSettings(FAKE_SPACE, 40)).close()

    def run(script: str, n_workers: int = 2, watch: Watch | None = None, *words: str):
        command = [sys.executable, "-c", BEGIN + script, str(tmp_path), *words]
        return Fleet(target, command, os.environ, watch or Watch()).run(n_workers)

    return run


def starts(tmp_path: Path) -> list[int]:
    place = tmp_path / "starts"
    return [int(line) for line in place.read_text().splitlines()] if place.exists() else []


def test_all_are_done(run, tmp_path):
    report = run(REPORT, 3, None, "--once")
    assert (report.code, report.error, report.n_restarts) == (0, {}, 0)
    assert report.workers == [{"n_done": 3}] * 3
    assert len(starts(tmp_path)) == 3


def test_documents_that_failed_are_told_by_the_code(run):
    report = run(REPORT + "sys.exit(3)", 2, None, "--once")
    assert (report.code, report.error) == (3, {})


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_who_is_killed_is_started_again(run, tmp_path):
    report = run(
        "if n_starts <= 2: os.kill(os.getpid(), signal.SIGKILL)\n" + REPORT, 2, None, "--once"
    )
    assert (report.code, report.error) == (0, {})
    assert report.n_restarts >= 1
    assert report.workers == [{"n_done": 3}] * 2
    assert len(starts(tmp_path)) == 2 + report.n_restarts


CLAIM_AND_DIE = """
if n_starts == 1:
    from embedwell.jobs.work.identity import new_worker
    from embedwell.stores.registry import open_store
    store, worker = open_store(here / "index.db"), new_worker()
    store.queue.report(worker)
    assert len(store.queue.claim(worker.name, 3, 900)) == 3
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_the_dead_had_claimed_is_given_back_at_once(run, tmp_path):
    with closing(open_store(tmp_path / "index.db")) as store:
        source = store.queue.add_source("folder", "notes", "", "", {})
        items = [Item(f"{n}.md", "markdown", 1, 1) for n in range(3)]
        store.queue.enqueue(source.number, store.queue.open_run(0).number, items)
        assert run(CLAIM_AND_DIE + REPORT, 1, None, "--once").n_restarts == 1
        assert [(row.status, row.n) for row in store.queue.tally()] == [("pending", 3)]
        assert {entry.losses for entry in store.queue.entries(Which(), 3)} == {1}
        assert store.queue.workers() == []


def test_a_reason_that_stays_ends_the_fleet(run, tmp_path):
    drift = {"type": "DriftError", "problem": "It is far off.", "remedy": "Use another."}
    say = f"print({json.dumps(json.dumps({'error': drift}))}, file=sys.stderr); sys.exit(1)"
    report = run(f"if n_starts == 1:\n    {say}\nwait()\n{REPORT}")
    assert (report.code, report.error, report.n_restarts) == (1, drift, 0)
    assert report.workers == [{"n_done": 3}]
    assert len(starts(tmp_path)) == 2


def test_a_reason_that_passes_does_not(run):
    gone = {"type": "StoreGoneError", "problem": "It is away.", "remedy": "Wait."}
    say = f"print({json.dumps(json.dumps({'error': gone}))}, file=sys.stderr); sys.exit(1)"
    report = run(f"if n_starts == 1:\n    {say}\n{REPORT}", 1, None, "--once")
    assert (report.code, report.n_restarts) == (0, 1)


def test_a_wrong_option_ends_the_fleet_and_is_shown(run, capfd):
    report = run("sys.stderr.write('no such option\\n'); sys.exit(2)", 1)
    assert report.code == 2
    assert "code 2" in str(report.error["problem"])
    assert "worker 1: no such option" in capfd.readouterr().err


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--once",), 130)])
def test_stopped_it_asks_all_to_end(run, tmp_path, words, code):
    watch = Watch()
    stop = threading.Thread(target=stop_when, args=(watch, lambda: len(starts(tmp_path)) == 2))
    stop.start()
    report = run("wait()\n" + REPORT, 2, watch, *words)
    stop.join()
    assert (report.code, report.error) == (code, {})
    assert report.workers == [{"n_done": 3}] * 2


def test_who_does_not_end_is_ended(run, tmp_path, monkeypatch):
    monkeypatch.setattr(fleets, "_GRACE_S", 0.2)
    watch = Watch()
    stop = threading.Thread(target=stop_when, args=(watch, lambda: bool(starts(tmp_path))))
    stop.start()
    report = run("time.sleep(600)", 1, watch)
    stop.join()
    assert (report.code, report.workers) == (0, [])


def stop_when(watch: Watch, is_so) -> None:
    until = time.monotonic() + 60
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    watch.cancelled.set()


def test_a_duty_survives_the_command_line():
    from embedwell.cli.work import command

    duty = Duty(once=True, batch_size=7, moved={"notes": Path("/n=o")}, max_load=1.5, nice=3)
    parsed = command.make_context("work", words_of(duty)).params
    assert parsed["once"] is True
    assert (parsed["batch_size"], parsed["max_load"], parsed["nice"]) == (7, 1.5, 3)
    assert parsed["sources"] == {"notes": Path("/n=o")}


def test_without_a_limit_no_load_is_too_high():
    assert not is_above(0)()


@pytest.mark.skipif(not hasattr(os, "getloadavg"), reason="no load average there")
def test_a_load_above_the_limit_is_seen(monkeypatch):
    loads = [3.0]
    monkeypatch.setattr(os, "getloadavg", lambda: (loads[0], 0, 0))
    is_busy = is_above(2.0)
    assert is_busy()
    loads[0] = 1.0
    assert is_busy()  # it is looked at every few seconds
    assert not is_above(2.0)()


def test_niceness_is_taken_on(monkeypatch):
    taken = []
    monkeypatch.setattr(os, "nice", taken.append, raising=False)
    be_nice(0)
    be_nice(5)
    assert taken == [5]


def test_where_the_service_embeds_nothing_is_shared_out(monkeypatch, tmp_path):
    monkeypatch.setattr("embedwell.app.workers.quota.sign_of_service", lambda settings: (1, 2))
    assert share(Settings(service="auto"), 4) == {}
    assert share(Settings(service="off"), 4) != {}
