"""Runs and their checks through the command line, with the real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PAGE = (
    "This page could not be shown. Please enable JavaScript in your browser, allow cookies and try "
    "again. If the problem stays, write to the administrator of this site. Request number"
)
THINGS = ("lamp", "river", "bread", "clock", "letter", "garden", "engine", "violin", "ladder")
DEEDS = ("repair", "paint", "borrow", "measure", "forget", "translate", "polish", "sell", "weigh")
PLACES = ("at home", "in the attic", "on the ferry", "under the bridge", "near the mill")


def sentence(number: int) -> str:
    """One of many that say different things."""
    thing, other = THINGS[number % 9], THINGS[number // 9 % 9]
    deed, place = DEEDS[number // 7 % 9], PLACES[number // 5 % 5]
    return f"How to {deed} a {thing} {place} before the {other} number {number} arrives."


@pytest.fixture
def many(folder: Path, real_cache: Path):
    """Writes files; from some number on all show the same page."""
    del real_cache
    for path in folder.rglob("*.*"):
        path.unlink()

    def write(n: int, bad_from: int = 10_000) -> None:
        for number in range(n):
            text = f"{PAGE} {number}." if number >= bad_from else sentence(number)
            (folder / f"{number:05}.txt").write_text(text)

    return write


def test_a_corpus_that_degenerates_after_document_500_is_stopped_at_1000(many, run):
    many(1050, bad_from=500)
    stopped = run("index", "--json")
    assert stopped.code == 1
    error = json.loads(stopped.err.splitlines()[-1])["error"]
    assert error["type"] == "CanaryError"
    assert "say nearly the same, as in 'This page could not be shown." in error["problem"]
    assert error["report"]["documents"] == 1000
    assert run("status", "--json").json["documents"] == 1000
    shown = run("runs", "1").out
    assert "stopped" in shown
    assert "Look at what was extracted from these files" in shown
    again = run("index")
    assert again.code == 1
    assert "embedwell purge --run 1" in again.err
    assert run("index", "--resume").code == 0
    assert run("status", "--json").json["documents"] == 1050


def test_a_rehearsal_tells_and_the_run_goes_on_from_there(many, run):
    many(90)
    rehearsed = run("index", "--canary-only", "--canary", "60")
    assert rehearsed.code == 0
    for told in ("after 60 documents", "nothing is wrong", "60 of 60 found", "--resume"):
        assert told in rehearsed.out
    (found,) = run("runs", "--json").json
    assert (found["status"], found["n_done"], found["rehearsal"]) == ("stopped", 60, False)
    refused = run("index", "--canary-only")
    assert refused.code == 1
    assert "a rehearsal begins with a run of its own" in refused.err
    assert run("index", "--resume").code == 0
    assert run("runs", "1", "--json").json["status"] == "done"
    assert "nothing to rehearse" in run("index", "--canary-only").out


def test_a_rehearsal_that_finds_something_fails(many, run):
    many(80, bad_from=5)
    rehearsed = run("index", "--canary-only", "--canary", "60", "--json")
    assert rehearsed.code == 1
    assert rehearsed.json["findings"][0]["kind"] == "alike"
    assert not rehearsed.json["passed"]


def test_a_rehearsal_of_few_files_is_a_whole_run(many, run):
    many(40)
    assert run("index", "--canary-only", "--json").json["documents"] == 40
    assert run("runs", "--json").json[0]["status"] == "done"


def test_a_rehearsal_may_be_left_to_other_workers(many, run):
    many(9)
    assert "whoever works on it stops" in run("index", "--canary-only", "--queue-only").out
    assert run("index", "--canary-only", "--watch").code == 2
    assert run("index").code == 0
    assert run("runs", "1", "--json").json["report"]["passed"]


def test_runs_are_listed(indexed, run):
    listed = run("runs").out
    assert "3 stored" in listed
    assert "done" in listed
    assert "has not checked itself" in run("runs", "1").out
    (found,) = run("runs", "--json").json
    assert run("runs", "1", "--json").json == found


def test_a_run_is_stopped_and_resumed_by_hand(many, run):
    many(3)
    assert run("index", "--queue-only").code == 0
    assert "stopped" in run("runs", "stop").out
    refused = run("index")
    assert refused.code == 1
    assert "embedwell runs stop" in refused.err
    assert "running" in run("runs", "resume").out
    assert run("index").code == 0
    for what in ("stop", "resume"):
        late = run("runs", what)
        assert late.code == 1
        assert "No run is open" in late.err


def test_runs_that_are_not_there(indexed, run):
    assert "There is no run 7" in run("runs", "7").err
    assert run("runs", "last").code == 2


def test_nothing_was_ever_queued(folder, real_cache, run):
    for path in folder.rglob("*.*"):
        path.unlink()
    assert run("index").code == 0
    assert "Nothing was ever queued" in run("runs").out
    assert run("runs", "stop").code == 1
