"""What is tried again, when, by whom and how much at once: the pure parts."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.app.config.settings import Settings
from embedwell.app.workers.fleet_rules import SOME_FAILED, Ended, next_step
from embedwell.app.workers.quota import share
from embedwell.core.errors import RemoteBusyError
from embedwell.core.events import Watch
from embedwell.jobs.work.claims import claim_size, has_its_share
from embedwell.jobs.work.patience import Patience
from embedwell.jobs.work.retries import N_TRIES, retry_s, unprepared, unread
from embedwell.jobs.work.shift import group_size
from embedwell.jobs.work.tending import tends
from embedwell.stores.queue import Item, Task, Worker

TASK = Task(1, 1, 1, Item("a.md", "markdown", 3, 7), 1, 0, "", "w")
AWAY = OSError(errno.EIO, "Input/output error")


def test_a_read_that_may_pass_is_tried_again_later_and_later():
    waits = [unread(replace(TASK, failures=n), AWAY) for n in range(N_TRIES - 1)]
    assert [one.status for one in waits] == ["pending"] * 4
    assert [one.retry_s for one in waits] == [1, 5, 25, 125]
    assert retry_s(4) == 625


def test_after_five_tries_a_row_is_given_up():
    outcome = unread(replace(TASK, failures=N_TRIES - 1), AWAY)
    assert outcome.status == "dead"
    assert "Input/output error" in outcome.error
    assert "5 tries" in outcome.error


@pytest.mark.parametrize("code", [errno.EACCES, errno.EISDIR, errno.ELOOP, errno.EINVAL])
def test_what_lies_in_the_file_itself_fails_at_once(code):
    assert unread(TASK, OSError(code, "no")).status == "failed"


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ESTALE, errno.ETIMEDOUT])
def test_what_lies_in_the_machine_may_pass(code):
    assert unread(TASK, OSError(code, "no")).status == "pending"


def test_what_nobody_foresaw_is_named():
    outcome = unprepared(TASK, RecursionError("too deep"))
    assert (outcome.status, outcome.error) == ("failed", "RecursionError: too deep")


@given(st.integers(1, 1000), st.integers(0, 10**7), st.integers(0, 64), st.floats(0, 1e12))
def test_claims_are_never_empty_and_never_too_large(batch, n_left, n_workers, mean):
    n = claim_size(batch, n_left, n_workers, mean)
    assert 1 <= n <= batch
    assert n == 1 or n * mean <= 64 << 20


def test_near_the_end_claims_leave_some_to_others():
    assert claim_size(100, 1_000_000, 4, 1000) == 100
    assert claim_size(100, 400, 4, 1000) == 50
    assert claim_size(100, 8, 4, 1000) == 1
    assert claim_size(100, 0, 1, 1000) == 1


def test_of_the_last_rows_nobody_takes_more_than_a_share():
    assert not has_its_share(0, 0, 4)
    assert not has_its_share(100, 1_000_000, 4)
    assert not has_its_share(24, 100, 4)
    assert has_its_share(25, 100, 4)
    assert has_its_share(1, 1, 1)


def test_a_slow_engine_gets_fewer_texts_at_once():
    sizes = [group_size(per_s) for per_s in (0.1, 50, 1_000_000)]
    assert sizes == [32, 100, 256]


def test_large_files_are_claimed_by_fewer():
    assert claim_size(100, 1_000_000, 1, 16 << 20) == 4
    assert claim_size(100, 1_000_000, 1, 1 << 30) == 1


def test_one_of_all_workers_tends_the_index():
    workers = [Worker(name, "h", 1) for name in ("h:2", "h:1", "h:3")]
    assert [tends(one.name, workers) for one in workers] == [False, True, False]
    assert tends("h:1", [])


def error(name: str) -> dict[str, object]:
    return {"type": name, "problem": "It is.", "remedy": "Mend it."}


@pytest.mark.parametrize(
    ("ended", "stays", "kind"),
    [
        (Ended(0), False, "done"),
        (Ended(SOME_FAILED), False, "done"),
        (Ended(0), True, "again"),
        (Ended(-9), False, "again"),
        (Ended(-9, n_quick=50), True, "again"),
        (Ended(1, error("StoreGoneError")), True, "again"),
        (Ended(4, error("StoreBusyError")), False, "again"),
        (Ended(1, error("DriftError")), True, "end"),
        (Ended(1, error("CanaryError")), True, "end"),
        (Ended(1, error("StoreFullError")), False, "end"),
        (Ended(1, n_quick=1), False, "again"),
        (Ended(1, n_quick=5), False, "end"),
        (Ended(2, n_quick=1), False, "end"),
    ],
)
def test_who_died_comes_again_unless_it_would_die_of_the_same(ended, stays, kind):
    step = next_step(ended, stays=stays)
    assert step.kind == kind
    assert bool(step.error) == (kind == "end")


def test_who_dies_at_its_start_comes_again_later_and_later():
    waits = [next_step(Ended(-9, n_quick=n), stays=True).after_s for n in range(10)]
    assert waits == sorted(waits)
    assert (waits[1], waits[2], waits[-1]) == (1, 2, 60)


@pytest.mark.parametrize(
    ("budget", "part"), [("80%", "20.0000%"), ("1GiB", str(1 << 28)), ("3", "1")]
)
def test_workers_of_one_machine_share_its_memory_and_cpus(budget, part):
    settings = Settings(memory_budget=budget, threads=8, service="off")
    assert share(settings, 4) == {"memory_budget": part, "threads": "2"}
    assert share(settings, 100)["threads"] == "1"


def test_nobody_waits_longer_than_may_be_for_who_says_when_to_come_back():
    def call():
        calls.append(1)
        raise RemoteBusyError("Slow down.", "Wait.", retry_after_s=3600)

    calls, told = [], []
    with pytest.raises(RemoteBusyError):
        Patience(600, Watch(), told.append).with_engine(call)
    assert (len(calls), told) == (1, [])
