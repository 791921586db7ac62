"""One worker, through what can happen to it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import queued

from embedwell.core.errors import (
    BadTextsError,
    CanaryError,
    DriftError,
    EngineError,
    EngineMemoryError,
    PressureError,
    QueueError,
    ServiceBusyError,
    ServiceGoneError,
    SpaceMovedError,
    StoreError,
    StoreGoneError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.jobs.work import identity
from embedwell.jobs.work.identity import bury, new_worker
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.prepare import extract_here
from embedwell.jobs.work.report import WorkReport
from embedwell.jobs.work.worker import work
from embedwell.stores.queue import Outcome, Which, Worker
from embedwell.stores.registry import open_store
from embedwell.testing import FAKE_BUILD, FakeEmbedder, admitted_fake

N = 30


@pytest.fixture
def target(tmp_path):
    return tmp_path / "index.db"


@pytest.fixture
def store(target):
    with closing(queued.new_store(target)) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path, store):
    place = tmp_path / "files"
    queued.make_files(place, N)
    queued.enqueue(store, place)
    return place


@dataclass
class Moody(FakeEmbedder):
    """An engine that may raise before it embeds."""

    mood: Callable[[list[str]], None] = field(default=lambda texts: None)

    def embed(self, texts, kind, watch):
        self.mood(list(texts))
        return super().embed(texts, kind, watch)


def only_passages(texts: list[str]) -> bool:
    return any("word" in text or "poison" in text for text in texts)


@pytest.mark.usefixtures("folder")
def test_all_is_stored_and_the_run_ends(store):
    report = queued.worked(store)
    run = store.queue.run()
    assert queued.statuses(store) == {"done": N}
    assert (run.status, run.n_done, run.n_failed) == ("done", N, 0)
    assert (report.n_done, report.n_added, report.n_updated) == (N, N, 0)
    assert report.n_chunks == run.n_chunks == store.counts().chunks
    assert report.n_tokens == run.n_tokens > 0
    assert store.queue.workers() == []


@pytest.mark.usefixtures("folder")
def test_how_far_it_came_is_kept(store):
    report = queued.worked(store)
    kept = store.queue.metrics(store.queue.run().number)[-1]
    counts = (kept.n_done, kept.n_failed, kept.n_skipped, kept.n_chunks, kept.n_bytes)
    assert counts == (N, 0, 0, report.n_chunks, report.n_bytes)
    assert kept.rss_bytes > 1 << 20
    assert kept.seconds > 0


def test_a_second_run_is_counted_from_its_own_beginning(store, folder):
    queued.worked(store)
    (folder / "new.md").write_text("one more file with words\n")
    queued.enqueue(store, folder)
    queued.worked(store)
    kept = store.queue.metrics(store.queue.run().number)[-1]
    assert (kept.n_done, kept.n_skipped) == (1, N)


@pytest.mark.parametrize(
    "error",
    [
        ServiceGoneError("It is gone.", "Start it."),
        ServiceBusyError("It is busy.", "Come again.", retry_after_s=0.01),
        PressureError("Memory is full.", "Wait."),
        EngineMemoryError("No more memory.", "Wait."),
    ],
)
@pytest.mark.usefixtures("folder")
def test_an_engine_that_is_away_is_waited_for(store, error):
    times = iter(range(2))

    def away(texts):
        if only_passages(texts) and next(times, None) is not None:
            raise error

    report = queued.worked(store, Moody(mood=away))
    assert report.failed == []
    assert queued.statuses(store) == {"done": N}


@pytest.mark.usefixtures("folder")
def test_an_engine_that_stays_away_ends_the_worker_and_spoils_nothing(store):
    def gone(texts):
        if only_passages(texts):
            raise ServiceGoneError("It is gone.", "Start it.")

    with pytest.raises(ServiceGoneError):
        queued.worked(store, Moody(mood=gone), patience_s=0.3)
    assert queued.statuses(store) == {"pending": N}


def test_a_poisonous_text_fails_its_document_alone(store, folder):
    (folder / "bad.md").write_text("# Bad\n\npoison in a bottle\n")
    (folder / "bad.txt").write_text("poison in a glass\n")
    queued.enqueue(store, folder)

    def choke(texts):
        if any("poison" in text for text in texts):
            raise EngineError("It choked.", "Leave it out.")

    report = queued.worked(store, Moody(mood=choke))
    assert {one.key for one in report.failed} == {"bad.md", "bad.txt"}
    assert all("It choked." in one.reason for one in report.failed)
    assert queued.statuses(store) == {"done": N, "failed": 2}
    assert store.passages("bad.md") == []


@pytest.mark.usefixtures("folder")
def test_a_broken_engine_ends_the_worker_and_fails_no_document(store):
    greeted = iter(range(10))

    def broken(texts):
        if next(greeted, None) is None or only_passages(texts):
            raise EngineError("It is broken.", "Mend it.")
        if texts == ["Does the engine still work?"]:
            raise EngineError("It is broken.", "Mend it.")

    with pytest.raises(EngineError, match="It is broken"):
        queued.worked(store, Moody(mood=broken))
    assert queued.statuses(store) == {"pending": N}
    lost = store.queue.entries(Which(), N)
    assert max(entry.losses for entry in lost) == 1


def test_texts_that_the_engine_names_fail_their_documents(store, folder):
    (folder / "bad.md").write_text("poison in a bottle\n")
    queued.enqueue(store, folder)

    class Names(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            bad = {at: "is poison" for at, text in enumerate(texts) if "poison" in text}
            for at in bad:
                found.vectors[at] = np.nan
            if bad:
                raise BadTextsError(bad, found)
            return found

    report = queued.worked(store, Names())
    assert [one.key for one in report.failed] == ["bad.md"]
    assert queued.statuses(store) == {"done": N, "failed": 1}


@pytest.mark.usefixtures("folder")
def test_builds_that_change_while_a_group_is_halved_are_not_mixed(store):
    builds = [replace(FAKE_BUILD, native=f"{n:040x}") for n in range(2)]

    class Changing(FakeEmbedder):
        n = 0

        def embed(self, texts, kind, watch):
            if len(texts) > 4 and self.n < 3 and only_passages(list(texts)):
                self.n += 1
                self.build = builds[self.n % 2]
                raise EngineError("Too many.", "Fewer.")
            return super().embed(texts, kind, watch)

    assert queued.worked(store, Changing()).failed == []
    assert queued.statuses(store) == {"done": N}


class Stutters:
    """A reader that cannot read a file for the first few times."""

    def __init__(self, inner, key, n):
        self._inner, self._key, self._left = inner, key, n

    def read(self, item):
        if item.key == self._key and self._left:
            self._left -= 1
            raise OSError(errno.EIO, "Input/output error")
        return self._inner.read(item)


def test_a_disk_that_stutters_is_asked_again(store, folder):
    (folder / "late.md").write_text("read at the second try\n")
    queued.enqueue(store, folder)

    def readers(source):
        return Stutters(queued.READERS(source), "late.md", 1)

    report = queued.worked(store, readers=readers)
    assert report.failed == []
    assert queued.statuses(store) == {"done": N + 1}
    entry = next(one for one in store.queue.entries(Which(), 99) if one.item.key == "late.md")
    assert entry.failures == 1


def test_what_nobody_foresaw_in_a_file_fails_it_alone(store, folder):
    (folder / "deep.md").write_text("a deep one\n")
    queued.enqueue(store, folder)

    def extract(content):
        if "deep one" in str(content.data):
            raise RecursionError("too deep")
        return extract_here(content)

    report = queued.worked(store, extract=extract)
    assert [(one.key, one.reason) for one in report.failed] == [
        ("deep.md", "RecursionError: too deep")
    ]
    assert queued.statuses(store) == {"done": N, "failed": 1}


@pytest.mark.usefixtures("folder")
def test_a_source_that_is_not_here_ends_the_worker_and_gives_its_rows_back(store):
    def nowhere(source):
        raise QueueError(f"{source.name} is not there.", "Mount it.")

    with pytest.raises(QueueError):
        queued.worked(store, readers=nowhere)
    assert queued.statuses(store) == {"pending": N}
    assert {entry.losses for entry in store.queue.entries(Which(), N)} == {0}


@pytest.mark.usefixtures("folder")
def test_asked_to_stop_it_gives_back_what_is_not_stored(store):
    watch = Watch()

    def stop(texts):
        if only_passages(texts):
            watch.cancelled.set()

    report = WorkReport()
    options = WorkOptions(queued.READERS)
    with pytest.raises(TaskCancelledError):
        work(store, lambda: admitted_fake(store, Moody(mood=stop)), watch, options, report)
    found = queued.statuses(store)
    assert found.get("done", 0) == report.n_done
    assert found.get("pending", 0) == N - report.n_done > 0
    assert store.queue.workers() == []
    queued.worked(store)
    assert queued.statuses(store) == {"done": N}


def test_what_is_embedded_when_it_is_asked_to_stop_is_stored(store, tmp_path):
    folder = tmp_path / "more"
    queued.make_files(folder, 400)
    queued.enqueue(store, folder)
    watch, first = Watch(), threading.Event()

    def second_group(texts):
        if only_passages(texts):
            if first.is_set():
                watch.cancelled.set()
            first.set()

    report = WorkReport()
    with pytest.raises(TaskCancelledError):
        work(
            store,
            lambda: admitted_fake(store, Moody(mood=second_group)),
            watch,
            WorkOptions(queued.READERS),
            report,
        )
    assert report.n_done == queued.statuses(store)["done"] > 0


@pytest.mark.usefixtures("folder")
def test_rows_that_another_worker_has_by_now_are_left_to_it(store, target):
    """Its leases were lost while it embedded: nothing of these rows is stored or counted."""
    worker = new_worker()
    with closing(open_store(target)) as other:
        taken = []

        def lose(texts):
            if only_passages(texts) and not taken:
                other.queue.release(worker.name, lost=True)
                taken.extend(other.queue.claim("another", 5, 30))
                done = [Outcome(task, "skipped", "elsewhere") for task in taken]
                other.put([], outcomes=done)

        report = queued.worked(store, Moody(mood=lose), worker=worker)
    run = store.queue.run()
    assert len(taken) == 5
    assert (run.n_done, run.n_skipped, run.status) == (N - 5, 5, "done")
    assert report.n_done == N - 5


@pytest.mark.usefixtures("folder")
def test_a_claim_whose_answer_was_lost_is_given_back(store):
    claim, lost = store.queue.claim, []

    def answer_lost(worker, n, lease_s):
        tasks = claim(worker, n, lease_s)
        if not lost:
            lost.append(len(tasks))
            raise StoreGoneError("The line broke.", "Wait.")
        return tasks

    store.queue.claim = answer_lost
    queued.worked(store, batch_size=10, lease_s=0.6)
    assert lost == [10]
    assert queued.statuses(store) == {"done": N}
    assert store.queue.run().n_done == N


@pytest.mark.usefixtures("folder")
def test_a_stopped_run_ends_the_worker_with_its_reason(store):
    store.queue.stop_run("Nothing makes sense.")
    with pytest.raises(CanaryError, match="Nothing makes sense"):
        queued.worked(store)
    assert queued.statuses(store) == {"pending": N}


def test_a_run_that_pauses_is_attended_to(store, tmp_path):
    folder = tmp_path / "files"
    queued.make_files(folder, N)
    queued.enqueue(store, folder, canary_at=10)
    seen = []

    def attend(at):
        if at.store.queue.begin_check(at.heart.name, 30):
            seen.append(at.store.queue.run().n_finished)
            at.heart.proved = 10
            at.heart.be("checking")
            assert [one.proved for one in at.store.queue.workers()] == [10]
            at.store.queue.end_check(canary_at=0, reason="", report={})

    queued.worked(store, attend=attend)
    assert seen == [10]
    assert queued.statuses(store) == {"done": N}


@pytest.mark.usefixtures("folder")
def test_a_busy_machine_is_left_alone(store):
    busy = iter([True] * 3)
    asked = []

    def is_busy():
        asked.append(queued.statuses(store))
        return next(busy, False)

    queued.worked(store, is_busy=is_busy)
    assert asked[:4] == [{"pending": N}] * 4
    assert queued.statuses(store) == {"done": N}


def test_one_that_stays_waits_for_more_until_it_is_stopped(store, target, tmp_path):
    watch, ended = Watch(), []

    def stay():
        with closing(open_store(target)) as own:
            try:
                queued.worked(own, watch=watch, stays=True)
            except TaskCancelledError as error:
                ended.append(error)

    thread = threading.Thread(target=stay)
    thread.start()
    folder = tmp_path / "files"
    for n in (5, 9):
        wait_until(lambda: [one.state for one in store.queue.workers()] == ["waiting"])
        queued.make_files(folder, n)
        queued.enqueue(store, folder)
        wait_until(lambda: store.queue.run().status == "done")
    watch.cancelled.set()
    thread.join(60)
    assert len(ended) == 1
    assert store.queue.workers() == []
    assert len(store.stats()) == 9


class Counting:
    """Tends the index of a store that others work for."""

    def __init__(self, fault=None):
        self.waiting, self.n_closed, self._fault = [], 0, fault

    def tend_index(self, n_waiting, watch):
        watch.check("tend")
        self.waiting.append(n_waiting)
        if self._fault:
            raise self._fault

    def close(self):
        self.n_closed += 1


@pytest.mark.usefixtures("folder")
def test_the_index_is_tended_beside_the_work_and_at_its_end(store):
    tended = Counting()
    queued.worked(store, reopen=lambda: tended)
    assert tended.waiting == [N, 0]
    assert tended.n_closed == 2


@pytest.mark.usefixtures("folder")
def test_an_index_that_cannot_be_tended_keeps_nobody_from_working(store):
    queued.worked(store, reopen=lambda: Counting(StoreError("It cannot.", "Mend it.")))
    assert queued.statuses(store) == {"done": N}


@pytest.mark.usefixtures("folder")
def test_leases_of_dead_processes_of_this_machine_are_taken_at_once(store):
    worker = replace(new_worker(), pid=ended_process())
    name = worker.name.replace(f":{os.getpid()}:", f":{worker.pid}:")
    store.queue.report(replace(worker, name=name))
    assert len(store.queue.claim(name, 7, 900)) == 7
    store.queue.report(Worker("elsewhere:abc:1:x", "elsewhere", worker.pid))
    assert len(store.queue.claim("elsewhere:abc:1:x", 3, 900)) == 3
    bury(store.queue)
    assert queued.statuses(store) == {"pending": N - 3, "leased": 3}
    assert [one.host for one in store.queue.workers()] == ["elsewhere"]


def test_a_machine_without_proc_has_names_too(monkeypatch, tmp_path):
    monkeypatch.setattr(identity, "_BOOT_ID", tmp_path / "nothing")
    identity._where.cache_clear()
    first, second = new_worker(), new_worker()
    identity._where.cache_clear()
    assert first.name != second.name
    assert first.name.split(":")[:3] == second.name.split(":")[:3]


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def wait_until(is_so) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.usefixtures("folder")
def test_a_store_that_moves_on_to_another_space_is_followed(store):
    put, moved = store.put, []

    def moves_once(documents, **more):
        if not moved:
            moved.append(len(documents))
            raise SpaceMovedError("It has moved on.", "Open it again.")
        return put(documents, **more)

    store.put = moves_once
    report = queued.worked(store)
    assert moved
    assert report.n_done == store.queue.run().n_done == N
    assert queued.statuses(store) == {"done": N}


@pytest.mark.usefixtures("folder")
def test_vectors_of_an_engine_that_was_replaced_are_computed_anew(store):
    """By the time they are looked at, another build is there, which is admitted instead."""
    old, new = (replace(FAKE_BUILD, native=f"{n:040x}") for n in (1, 2))

    class Replaced(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            if only_passages(list(texts)) and self.build is not new:
                self.build = new
                return replace(found, build=old)
            return found

    report = queued.worked(store, Replaced())
    assert report.n_done == N
    known = {one.build.key for one in store.spaces.admissions(store.spaces.main().number)}
    assert new.key in known
    assert old.key not in known


def test_an_unread_row_that_will_be_tried_again_counts_for_nothing_yet(store, folder):
    (folder / "late.md").write_text("read at the second try\n")
    queued.enqueue(store, folder)
    watch = Watch()

    class Never:
        def __init__(self, inner):
            self.inner = inner

        def read(self, item):
            if item.key == "late.md":
                raise OSError(errno.EIO, "Input/output error")
            return self.inner.read(item)

    def stop_when_others_are_done():
        if queued.statuses(store).get("done") == N:
            watch.cancelled.set()
        return False

    report = WorkReport()
    options = WorkOptions(
        lambda source: Never(queued.READERS(source)), is_busy=stop_when_others_are_done
    )
    with pytest.raises(TaskCancelledError):
        work(store, lambda: admitted_fake(store), watch, options, report)
    assert (report.n_done, report.failed) == (N, [])
    assert queued.statuses(store) == {"done": N, "pending": 1}
    assert store.queue.run().n_finished == N


@pytest.mark.usefixtures("folder")
def test_who_is_refused_claims_nothing(store):
    """Another engine wrote the first vectors; this one's point elsewhere."""
    admitted_fake(store)
    claims = []
    store.queue.claim = lambda *asked: claims.append(asked) or []

    class Turned(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            return replace(found, vectors=np.roll(found.vectors, 1, axis=1))

    wrong = Turned(build=replace(FAKE_BUILD, native="1" * 40))
    number = store.spaces.main().number
    with pytest.raises(DriftError):
        work(
            store,
            lambda: admitted(store, number, wrong, (), "a test"),
            Watch(),
            WorkOptions(queued.READERS),
        )
    assert claims == []
    assert queued.statuses(store) == {"pending": N}
    assert store.queue.workers() == []


@pytest.mark.usefixtures("folder")
def test_who_said_nothing_for_long_is_not_counted_on(store, monkeypatch):
    """A worker of a machine that is no more is the first by name: another one tends the index."""
    real, moved = time.time, [-600.0]
    monkeypatch.setattr(time, "time", lambda: real() + moved[0])
    store.queue.report(Worker("a machine that is off", "off", 1))
    moved[0] = 0.0
    tended = Counting()
    queued.worked(store, reopen=lambda: tended)
    assert tended.waiting == [N, 0]
    assert len(store.queue.workers()) == 1
    moved[0] = 3600.0
    bury(store.queue)
    assert store.queue.workers() == []
