"""What the queue of every store must do, run over each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from store_samples import item, signs

from embedwell.core.errors import BadVectorError, QueueError
from embedwell.stores.leases import LONGEST_S, LOST
from embedwell.stores.protocol import Filter, Stat, Store
from embedwell.stores.queue import (
    LOST_ALONE,
    LOST_DEAD,
    Item,
    Lately,
    Metrics,
    Outcome,
    Tally,
    Task,
    Times,
    Which,
    Worker,
)

FAR = 1_000.0  # seconds that no test takes
EVERYTHING = Which()
TABLES = ("documents", "chunks", "vectors", "files_queue", "sources", "ingestion_runs")


def files(*keys: str, size: int = 3) -> list[Item]:
    return [Item(key, "markdown", size, 7) for key in keys]


def queued(store: Store, *keys: str, canary_at: int = 0, **options: Any) -> tuple[int, int]:
    """Queue files of the store's first source; gives the numbers of source and run."""
    sources = store.queue.sources()
    source = sources[0] if sources else store.queue.add_source("folder", "notes", "", "here", {})
    run = store.queue.open_run(canary_at)
    store.queue.enqueue(source.number, run.number, files(*keys), **options)
    return source.number, run.number


def claimed(store: Store, worker: str = "w", n: int = 99, lease_s: float = FAR) -> list[Task]:
    return store.queue.claim(worker, n, lease_s)


def keys(tasks: Sequence[Task]) -> list[str]:
    return [task.item.key for task in tasks]


def finish(store: Store, tasks: Sequence[Task], status: Any = "done", **fields: Any) -> frozenset:
    """Store a document of one chunk for each task, where it is done."""
    documents = [item(task.item.key, ["text"], source=task.source) for task in tasks]
    outcomes = [Outcome(task, status, n_chunks=status == "done", **fields) for task in tasks]
    return store.put(documents if status == "done" else [], outcomes=outcomes)


def statuses(store: Store) -> dict[str, str]:
    return {entry.item.key: entry.status for entry in store.queue.entries(EVERYTHING, 99)}


def stored(store: Store) -> list[str]:
    return sorted(found.key for found in store.chunks(_ids(store)))


def _ids(store: Store) -> list[int]:
    return store.nearest(signs(0), 99, Filter()).ids.tolist()


# Sources


def test_the_first_source_has_no_prefix_and_the_others_their_names(store: Store):
    first = store.queue.add_source("folder", "notes", "", "here", {"include": ["*.md"]})
    second = store.queue.add_source("sql", "posts", "postgresql://host/db", "there", {})
    assert (first.prefix, second.prefix) == ("", "posts:")
    assert store.queue.sources() == [first, second]
    with pytest.raises(QueueError, match=r"'posts'.*--name"):
        store.queue.add_source("folder", "posts", "/elsewhere", "here", {})


def test_place_host_and_options_of_a_source_can_change(store: Store):
    made = store.queue.add_source("folder", "notes", "", "here", {})
    moved = replace(made, place="/mnt/notes", host="there", options={"exclude": ["*.log"]})
    store.queue.set_source(moved)
    assert store.queue.sources() == [moved]


def test_stats_of_a_source_have_its_records_too(store: Store):
    one, two = (store.queue.add_source("records", name, "", "", {}).number for name in "ab")
    mine = [item("file", ["text"], source=one), item("row", ["x"], is_record=True, source=one)]
    store.put([*mine, item("other", ["y"], source=two), item("program", ["z"], is_record=True)])
    assert store.stats(one) == {"file": Stat(4, 7), "row": Stat(1, 7)}
    assert set(store.stats()) == {"file", "other"}


# Queueing and claiming


def test_what_is_queued_is_claimed_once_and_in_order(store: Store):
    source, run = queued(store, "a", "b", "c")
    (first,) = claimed(store, "one", 1)
    assert keys(claimed(store, "two")) == ["b", "c"]
    assert claimed(store, "three") == []
    assert first == Task(first.id, source, run, files("a")[0], 1, 0, "", "one")


def test_a_row_keeps_all_that_its_source_said(store: Store):
    source, run = queued(store)
    given = [
        Item("é\U0001f600", "pdf", 2**40, 2**62, '{"row": 1}', anew=True),
        Item("b", "source", 0, -1),
    ]
    assert store.queue.enqueue(source, run, iter(given)) == 2
    assert [task.item for task in claimed(store)] == given


def test_a_higher_priority_comes_first(store: Store):
    queued(store, "old", "older")
    queued(store, "urgent", priority=5)
    assert keys(claimed(store)) == ["urgent", "old", "older"]


def test_nothing_is_claimed_before_a_run_is_open_or_after_it_ended(store: Store):
    assert claimed(store) == []
    assert not store.queue.close_run()
    queued(store, "a")
    finish(store, claimed(store))
    assert store.queue.close_run()
    assert claimed(store) == []


def test_a_task_knows_the_hash_of_what_is_stored(store: Store):
    queued(store, "a")
    finish(store, claimed(store))
    queued(store, "a")
    (task,) = claimed(store)
    assert (task.sha256, task.attempt) == (item("a", ["text"]).document.sha256, 2)


def test_waiting_has_what_is_queued_and_what_was_given_up(store: Store):
    source, _ = queued(store, "done", "failed", "dead", "leased")
    done, failed, dead, _leased = claimed(store)
    finish(store, [done])
    finish(store, [failed], "failed", error="why")
    finish(store, [dead], "dead", error="why")
    queued(store, "pending")
    assert dict(store.queue.waiting(source)) == dict.fromkeys(("dead", "leased", "pending"), (3, 7))
    assert store.queue.waiting(source + 1) == {}


def test_what_is_through_and_not_stored_is_known(store: Store):
    source, _ = queued(store, "done", "gone", "unread", "no text", "dead", "leased")
    done, gone, unread, no_text, dead, _leased = claimed(store)
    finish(store, [done])
    finish(store, [gone], "skipped")
    finish(store, [unread], "failed")
    finish(store, [dead], "dead")
    outcome = Outcome(no_text, "failed")
    store.put([item("no text", [], source=source)], outcomes=[outcome])
    assert sorted(store.queue.unstored(source)) == ["gone", "unread"]
    assert store.queue.unstored(source + 1) == []


# Leases


def test_queueing_a_row_anew_takes_it_from_whoever_has_it(store: Store):
    queued(store, "a", "b")
    tasks = claimed(store)
    queued(store, "a")
    lost = finish(store, tasks)
    assert lost == {tasks[0].id}
    assert stored(store) == ["b"]
    assert statuses(store) == {"a": "pending", "b": "done"}
    assert store.queue.run().n_done == 1


@pytest.mark.parametrize("lease_s", [0.0, -5.0, LONGEST_S + FAR])
def test_a_lease_that_ended_or_is_of_another_clock_is_given_to_another(store: Store, lease_s):
    queued(store, "a")
    before = claimed(store, "dead", lease_s=lease_s)
    (after,) = claimed(store, "alive")
    assert (after.id, after.attempt) == (before[0].id, 2)
    assert finish(store, before) == {after.id}
    assert stored(store) == []
    assert finish(store, [after]) == frozenset()
    assert finish(store, [after]) == {after.id}  # done already
    assert stored(store) == ["a"]
    (entry,) = store.queue.entries(EVERYTHING, 9)
    assert (entry.losses, entry.failures, entry.status) == (1, 0, "done")


def test_a_renewed_lease_lasts(store: Store):
    queued(store, "a", "b")
    claimed(store, "w", lease_s=0)
    assert store.queue.renew("w", FAR) == 2
    assert store.queue.renew("another", FAR) == 0
    assert claimed(store, "another") == []


def test_what_is_given_back_was_not_lost(store: Store):
    queued(store, "a", "b")
    claimed(store, "one")
    assert store.queue.release("one") == 2
    assert store.queue.release("one") == 0
    assert keys(claimed(store, "two")) == ["a", "b"]
    assert {entry.losses for entry in store.queue.entries(EVERYTHING, 9)} == {0}


def test_the_leases_of_a_dead_worker_are_lost(store: Store):
    queued(store, "a")
    claimed(store, "one")
    assert store.queue.release("one", lost=True) == 1
    (entry,) = store.queue.entries(EVERYTHING, 9)
    assert (entry.status, entry.losses, entry.worker) == ("pending", 1, "")


def test_what_may_kill_its_workers_comes_alone_and_last_and_then_never(store: Store):
    queued(store, "killer", priority=1)
    for _ in range(LOST_ALONE):
        assert keys(claimed(store)) == ["killer"]
        store.queue.release("w", lost=True)
    queued(store, "a", "b")
    assert keys(claimed(store, "x", 1)) == ["a"]
    assert keys(claimed(store, "x")) == ["b"]
    for _ in range(LOST_DEAD - LOST_ALONE):
        assert keys(claimed(store)) == ["killer"]
        store.queue.release("w", lost=True)
    assert claimed(store) == []
    (dead,) = store.queue.entries(Which(statuses=("dead",)), 9)
    assert (dead.item.key, dead.losses, dead.error) == ("killer", LOST_DEAD, LOST)


# Finishing


def test_a_row_that_may_be_tried_again_waits_for_its_time(store: Store):
    queued(store, "later", "now")
    later, now = claimed(store)
    finish(store, [later], "pending", error="away", retry_s=FAR)
    finish(store, [now], "pending", error="away")
    (again,) = claimed(store)
    assert (again.item.key, again.failures, again.attempt) == ("now", 1, 2)
    assert not store.queue.close_run()
    assert store.queue.run().n_finished == 0


def test_a_wait_that_is_of_another_clock_is_over(store: Store):
    queued(store, "a")
    finish(store, claimed(store), "pending", error="away", retry_s=LONGEST_S + FAR)
    assert keys(claimed(store)) == ["a"]


def test_counts_of_run_and_worker_change_with_the_rows(store: Store):
    store.queue.report(Worker("w", "host", 5))
    queued(store, "a", "b", "c", "d")
    a, b, c, d = claimed(store)
    outcomes = [
        Outcome(a, "done", n_chunks=1, n_tokens=9),
        Outcome(b, "failed", "why"),
        Outcome(c, "skipped", "same"),
        Outcome(d, "done"),
    ]
    store.put([item("a", ["text"], source=1), item("d", [], source=1)], outcomes=outcomes)
    run = store.queue.run()
    assert (run.n_done, run.n_failed, run.n_skipped, run.n_empty) == (2, 1, 1, 1)
    assert (run.n_chunks, run.n_tokens, run.n_bytes, run.n_finished) == (1, 9, 12, 4)
    (worker,) = store.queue.workers()
    assert (worker.n_done, worker.n_failed, worker.n_chunks) == (2, 1, 1)
    assert statuses(store) == {"a": "done", "b": "failed", "c": "skipped", "d": "done"}


def test_documents_and_rows_are_finished_together_or_not_at_all(store: Store):
    queued(store, "a")
    tasks = claimed(store)
    bad = item("a", ["text"], [signs(1) * float("nan")], source=1)
    with pytest.raises(BadVectorError):
        store.put([bad], outcomes=[Outcome(tasks[0], "done", n_chunks=1)])
    assert statuses(store) == {"a": "leased"}
    assert store.queue.run().n_finished == 0
    assert finish(store, tasks) == frozenset()


def test_what_a_source_needs_to_read_a_row_goes_when_it_was_read(store: Store):
    source, run = queued(store)
    given = [Item(key, "text", 1, 1, "payload") for key in ("done", "failed")]
    store.queue.enqueue(source, run, given)
    done, failed = claimed(store)
    finish(store, [done])
    finish(store, [failed], "failed", error="why")
    left = {one.item.key: one.item.payload for one in store.queue.entries(EVERYTHING, 9)}
    assert left == {"done": "", "failed": "payload"}


def test_deleting_a_document_removes_its_row(store: Store):
    queued(store, "a", "b", "c")
    a, _b, _c = tasks = claimed(store)
    finish(store, [a])
    assert store.delete(["a", "b", "nobody"]) == 1
    assert statuses(store) == {"c": "leased"}
    assert finish(store, tasks[1:]) == {tasks[1].id}
    assert stored(store) == ["c"]


# Runs and their checks


def test_a_store_has_one_open_run(store: Store):
    assert store.queue.run() is None
    assert store.queue.runs() == []
    run = store.queue.open_run(10, rehearsal=True)
    assert (run.status, run.canary_at, run.rehearsal, run.ended_at) == ("running", 10, True, None)
    assert store.queue.open_run(0) == run == store.queue.run()
    assert not store.queue.close_run()  # a rehearsal ends with its check
    store.queue.end_check(canary_at=0, reason="", report={})
    assert store.queue.close_run()
    assert not store.queue.close_run()
    another = store.queue.open_run(0)
    assert another.number > run.number
    assert [(one.number, one.status) for one in store.queue.runs()] == [
        (run.number, "done"),
        (another.number, "running"),
    ]
    ended = store.queue.run(run.number)
    assert ended.ended_at >= ended.started_at
    assert store.queue.run(99) is None


def test_a_run_ends_when_nothing_is_pending_or_leased(store: Store):
    queued(store, "a", "b")
    a = claimed(store, n=1)
    finish(store, a)
    assert not store.queue.close_run()
    b = claimed(store)
    assert not store.queue.close_run()
    finish(store, b, "failed", error="why")
    assert store.queue.close_run()


def test_a_run_that_ended_before_its_rows_came_is_open_again(store: Store):
    source, run = queued(store)
    assert store.queue.close_run()
    store.queue.enqueue(source, run, files("a"))
    assert (store.queue.run().status, store.queue.run().ended_at) == ("running", None)
    finish(store, claimed(store))
    store.queue.close_run()
    another = store.queue.open_run(0)
    store.queue.enqueue(source, run, files("b"))
    assert keys(claimed(store)) == ["b"]
    assert [one.status for one in store.queue.runs()] == ["done", "running"]
    assert store.queue.run() == another


def test_no_more_is_claimed_than_may_be_finished_before_the_check(store: Store):
    queued(store, "a", "b", "c", "d", canary_at=3)
    finish(store, claimed(store, n=1))
    first = claimed(store, "w", 1)
    assert len(claimed(store, "x")) == 1
    assert claimed(store, "y") == []
    finish(store, first)
    assert not store.queue.begin_check("w", FAR)  # one is leased yet
    store.queue.release("x")
    assert not store.queue.begin_check("w", FAR)  # the third is not through
    finish(store, claimed(store))
    assert claimed(store) == []
    assert store.queue.begin_check("w", FAR)
    assert store.queue.run().status == "checking"
    assert claimed(store) == []


def test_one_worker_checks_and_a_lost_one_is_replaced(store: Store):
    queued(store, "a", "b", canary_at=1)
    finish(store, claimed(store))
    assert store.queue.begin_check("one", 0.0)
    assert store.queue.begin_check("two", LONGEST_S + FAR)
    assert store.queue.begin_check("three", FAR)
    assert not store.queue.begin_check("four", FAR)
    store.queue.end_check(canary_at=10, reason="", report={"worst": 0.25})
    run = store.queue.run()
    assert (run.status, run.canary_at, run.report) == ("running", 10, {"worst": 0.25})
    assert not store.queue.begin_check("one", FAR)
    assert keys(claimed(store)) == ["b"]


def test_a_run_does_not_end_while_it_is_checked(store: Store):
    queued(store, "a", canary_at=1)
    finish(store, claimed(store))
    store.queue.begin_check("w", FAR)
    assert not store.queue.close_run()
    store.queue.end_check(canary_at=10, reason="", report={})
    assert store.queue.close_run()


def test_a_check_that_fails_stops_the_run_until_it_is_resumed(store: Store):
    queued(store, "a", "b", canary_at=1)
    finish(store, claimed(store))
    assert store.queue.begin_check("w", FAR)
    store.queue.resume_run()  # not stopped: nothing to resume
    assert store.queue.run().status == "checking"
    store.queue.end_check(canary_at=1, reason="all vectors are one", report={"n": 1})
    run = store.queue.run()
    assert (run.status, run.reason, run.report) == ("stopped", "all vectors are one", {"n": 1})
    assert claimed(store) == []
    assert not store.queue.begin_check("w", FAR)
    store.queue.resume_run()
    assert (store.queue.run().status, store.queue.run().reason) == ("running", "")
    assert claimed(store) == []  # it is checked again first
    assert store.queue.begin_check("w", FAR)


def test_a_rehearsal_is_checked_when_nothing_is_left_and_only_once(store: Store):
    store.queue.open_run(1_000, rehearsal=True)
    queued(store, "a")
    assert not store.queue.begin_check("w", FAR)
    finish(store, claimed(store))
    assert store.queue.begin_check("w", FAR)
    store.queue.end_check(canary_at=1_000, reason="rehearsed", report={})
    run = store.queue.run()
    assert (run.status, run.rehearsal) == ("stopped", False)
    store.queue.resume_run()
    assert not store.queue.begin_check("w", FAR)


def test_a_run_can_be_stopped_by_hand(store: Store):
    queued(store, "a")
    tasks = claimed(store)
    store.queue.stop_run("enough")
    assert (store.queue.run().status, store.queue.run().reason) == ("stopped", "enough")
    assert finish(store, tasks) == frozenset()  # what is under way is stored
    queued(store, "b")
    assert claimed(store) == []


# Workers, metrics and what people ask


def test_workers_say_how_they_are(store: Store):
    said = Worker("w", "host", 5, state="working", rss_bytes=9, proved=1_000, error="slow")
    store.queue.report(Worker("w", "host", 5))
    store.queue.report(Worker("a", "host", 6))
    store.queue.report(said)
    first, second = store.queue.workers()
    assert (first.name, first.state) == ("a", "starting")
    assert (second.state, second.rss_bytes, second.proved, second.error) == (
        "working",
        9,
        1_000,
        "slow",
    )
    assert second.seen_at >= second.started_at > 1e9
    store.queue.forget_worker("w")
    store.queue.forget_worker("nobody")
    assert [worker.name for worker in store.queue.workers()] == ["a"]


def test_metrics_of_a_run_come_in_order(store: Store):
    run = store.queue.open_run(0).number
    rows = [Metrics(run, "w", float(at), at, 1, 2, 3, 4, 5, 6, 7) for at in (20, 10)]
    for row in rows:
        store.queue.add_metrics(row)
    store.queue.add_metrics(Metrics(run + 1, "w", 1, 1, 1, 1, 1, 1, 1, 1, 1))
    assert store.queue.metrics(run) == rows[::-1]


def test_rows_are_tallied_by_status_and_format(store: Store):
    source, run = queued(store, "a", "b")
    store.queue.enqueue(source, run, [Item("c", "pdf", 100, 1)])
    tasks = claimed(store, n=1)
    finish(store, tasks, times=Times(1, 2, 3, 4, 5))
    done = Tally("done", "markdown", 1, 3, 15.0, 1)
    pending = [Tally("pending", kind, 1, n, 0.0, 0) for kind, n in (("markdown", 3), ("pdf", 100))]
    assert store.queue.tally() == store.queue.tally(run) == [done, *pending]
    assert store.queue.tally(run + 1) == []
    assert store.queue.tally(since=store.queue.now() + FAR) == store.queue.tally()
    lately = store.queue.tally(since=0.0)[0].lately
    assert lately == Lately(1, 3, 15.0, 1, lately.began_at, lately.ended_at)
    assert 1e9 < lately.began_at <= lately.ended_at <= store.queue.now()


def test_entries_tell_of_the_rows_that_are_meant(store: Store):
    _, run = queued(store, "a", "b", "c")
    other = store.queue.add_source("folder", "posts", "/posts", "", {})
    store.queue.enqueue(other.number, run, files("posts:d"))
    finish(store, claimed(store, n=1), "failed", error="broken")
    first = store.queue.entries(EVERYTHING, 1)[0]
    assert (first.item, first.source, first.status) == (files("a")[0], "notes", "failed")
    assert (first.failures, first.error, first.worker, first.run) == (1, "broken", "w", run)

    def meant(**fields: Any) -> list[str]:
        return [entry.item.key for entry in store.queue.entries(Which(**fields), 9)]

    assert meant() == ["a", "b", "c", "posts:d"]
    assert meant(source="posts") == ["posts:d"]
    assert meant(statuses=("failed", "leased")) == ["a"]
    assert meant(source="posts", statuses=("failed",)) == meant(run=run + 1) == []


def test_retry_queues_what_failed_or_is_dead(store: Store):
    assert store.queue.retry(EVERYTHING) == 0
    _, first = queued(store, "done", "failed", "dead")
    done, failed, dead = claimed(store)
    finish(store, [done])
    finish(store, [failed], "failed", error="why")
    finish(store, [dead], "dead", error="why")
    store.queue.close_run()
    assert store.queue.retry(Which(statuses=("done",))) == 0
    assert store.queue.run().number == first  # no new one for nothing
    assert store.queue.retry(Which(statuses=("dead",))) == 1
    assert store.queue.run().number > first
    assert store.queue.retry(EVERYTHING) == 1
    tasks = claimed(store)
    assert keys(tasks) == ["failed", "dead"]
    assert all(task.item.anew and not task.failures for task in tasks)


# Purging


def purged(store: Store, which: Which) -> dict[str, int]:
    """Purge, and see that a dry run says the same and does nothing."""
    before = statuses(store), store.counts().documents, store.queue.runs(), store.queue.sources()
    said = store.queue.purge(which, dry_run=True).rows
    now = statuses(store), store.counts().documents, store.queue.runs(), store.queue.sources()
    assert before == now
    assert store.queue.purge(which).rows == said
    assert store.check() == []
    return {name: n for name, n in said.items() if n}


@pytest.fixture
def filled(store: Store) -> Store:
    """Two sources and two runs; a program's document; a file that failed."""
    _, first = queued(store, "a", "b")
    finish(store, claimed(store))
    store.queue.add_metrics(Metrics(first, "w", 1, 1, 1, 1, 1, 1, 1, 1, 1))
    store.queue.close_run()
    posts = store.queue.add_source("folder", "posts", "/posts", "", {})
    second = store.queue.open_run(0).number
    store.queue.enqueue(posts.number, second, files("posts:c", "posts:d"))
    c, d = claimed(store)
    finish(store, [c])
    finish(store, [d], "failed", error="why")
    store.put([item("program", ["text"], is_record=True)])
    store.queue.report(Worker("w", "host", 5))
    return store


def test_purging_a_source_takes_its_documents_and_its_run(filled: Store):
    assert purged(filled, Which(source="notes")) == {
        **dict.fromkeys(("documents", "chunks", "vectors", "files_queue"), 2),
        **dict.fromkeys(("sources", "ingestion_runs", "ingestion_metrics"), 1),
    }
    assert stored(filled) == ["posts:c", "program"]
    assert len(filled.matching("text", 9, Filter()).ids) == 2
    assert [source.name for source in filled.queue.sources()] == ["posts"]
    assert [run.number for run in filled.queue.runs()] == [2]


def test_purging_a_source_takes_documents_that_have_no_row(store: Store):
    source, _ = queued(store)
    store.put([item("a", ["text"], source=source), item("b", ["text"], is_record=True)])
    assert store.queue.purge(Which(source="notes"), dry_run=True).rows["documents"] == 1
    store.queue.purge(Which(source="notes"))
    assert stored(store) == ["b"]


def test_purging_a_status_takes_its_rows(filled: Store):
    assert purged(filled, Which(statuses=("failed", "dead"))) == {"files_queue": 1}
    assert stored(filled) == ["a", "b", "posts:c", "program"]
    assert purged(filled, Which(statuses=("dead",))) == {}


def test_purging_a_run_takes_what_it_stored(filled: Store):
    numbers = dict.fromkeys(("documents", "chunks", "vectors", "sources", "ingestion_runs"), 1)
    assert purged(filled, Which(run=2)) == {**numbers, "files_queue": 2}
    assert stored(filled) == ["a", "b", "program"]


def test_purging_leaves_what_a_program_put_in_the_place_of_a_file(filled: Store):
    filled.put([item("a", ["mine"], is_record=True)])
    assert purged(filled, Which(source="notes"))["documents"] == 1
    assert stored(filled) == ["a", "posts:c", "program"]


def test_what_was_purged_is_lost_to_whoever_had_it(store: Store):
    queued(store, "a")
    tasks = claimed(store)
    store.queue.purge(Which(statuses=("leased",)))
    assert finish(store, tasks) == {tasks[0].id}
    assert stored(store) == []


def test_purging_all_leaves_an_empty_collection_that_works(filled: Store):
    last = max(_ids(filled))
    rows = purged(filled, EVERYTHING)
    assert [rows[name] for name in TABLES] == [4, 4, 4, 4, 2, 2]
    assert rows["workers"] == 1
    assert _ids(filled) == []
    assert len(filled.matching("text", 9, Filter()).ids) == 0
    assert (filled.queue.sources(), filled.queue.runs(), filled.queue.workers()) == ([], [], [])
    queued(filled, "again")
    finish(filled, claimed(filled))
    assert stored(filled) == ["again"]
    assert min(_ids(filled)) > last  # ids are never used again
    assert len(filled.matching("text", 9, Filter()).ids) == 1
    assert filled.check() == []


def test_what_is_not_there_cannot_be_purged(store: Store):
    with pytest.raises(QueueError, match="no source 'notes'"):
        store.queue.purge(Which(source="notes"))
    with pytest.raises(QueueError, match="no run 7"):
        store.queue.purge(Which(run=7), dry_run=True)
