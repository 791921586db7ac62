"""Runs that check themselves, worked off through the real pipeline with a fake engine."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import pytest
from queued import READERS, enqueue, new_store, statuses, worked

from embedwell.core.embedded import Embedded
from embedwell.core.errors import CanaryError, DriftError, SpaceMismatchError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.core.vectors import normalized
from embedwell.jobs.work.canary import check as canary_check
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.worker import work
from embedwell.stores.protocol import Document, DocumentChunks, StoredChunk
from embedwell.stores.queue import Item, Outcome, Which, Worker
from embedwell.stores.registry import open_store
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder, admitted_fake
from one_folder import index_folder

FAR = 1_000.0  # seconds that no test takes
PAGE = f"sign in to see this page {' '.join(f'word{at}' for at in range(50))} request"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "folder"


@pytest.fixture
def store(tmp_path):
    with closing(new_store(tmp_path / "index.db")) as opened:
        yield opened


@dataclass
class Breaks(FakeEmbedder):
    """A fake that gives noise from some moment on."""

    is_broken: bool = False

    def embed(self, texts: Sequence[str], kind, watch: Watch) -> Embedded:
        found = super().embed(texts, kind, watch)
        if not self.is_broken:
            return found
        drawn = np.random.default_rng(len(self.seen)).standard_normal(found.vectors.shape)
        return replace(found, vectors=normalized(drawn.astype(np.float32)))


def write(folder, n: int, bad_from: int | None = None, bad=PAGE, first: int = 0) -> None:
    """Files with words of their own; from some number on with what went wrong."""
    folder.mkdir(exist_ok=True)
    drawn = random.Random(first)
    for number in range(first, first + n):
        words = " ".join(f"word{drawn.randrange(500)}" for _ in range(12))
        is_bad = bad_from is not None and number >= bad_from
        (folder / f"{number:05}.txt").write_text(f"{bad} {number}" if is_bad else words)


def checked(store, folder, canary_at: int = 100, **options):
    """Queue a folder and work it off; gives the run."""
    enqueue(store, folder, canary_at)
    worked(store, **options)
    return store.queue.run()


def damage(store, change) -> None:
    """Change the stored vectors (an array of shape (n, d)) behind the store's back."""
    with closing(sqlite3.connect(store.path)) as connection, connection:
        rows = connection.execute("SELECT chunk, vector FROM vectors_1 ORDER BY chunk").fetchall()
        vectors = np.array([np.frombuffer(vector, "<f2") for _, vector in rows])
        changed = change(vectors).astype("<f2")
        connection.executemany(
            "UPDATE vectors_1 SET vector = ? WHERE chunk = ?",
            [(row.tobytes(), chunk) for row, (chunk, _) in zip(changed, rows, strict=True)],
        )


def test_a_healthy_run_passes_and_goes_on(store, folder):
    write(folder, 150)
    run = checked(store, folder)
    assert (run.status, run.n_done, run.canary_at) == ("done", 150, 1000)
    report = run.report
    assert (report["passed"], report["documents"], report["findings"]) == (True, 100, [])
    assert report["looked_at"]["n"] == report["retrieved"]["n_found"] == 100
    assert report["vectors"]["n_unusable"] == 0
    assert report["drift"]["worst"] == 0
    assert [one["state"] for one in report["workers"]] == ["proved"]


def test_nothing_is_checked_where_the_canary_is_off(store, folder):
    write(folder, 150)
    assert checked(store, folder, canary_at=0).report == {}


def test_a_corpus_that_degenerates_after_document_500_is_stopped_at_1000(store, folder):
    write(folder, 1100, bad_from=500)
    with pytest.raises(CanaryError, match="say nearly the same, as in 'sign in to see") as stop:
        checked(store, folder, canary_at=1000)
    assert "--resume" in stop.value.remedy
    run = store.queue.run()
    assert (run.status, run.n_done, run.reason) == ("stopped", 1000, stop.value.problem)
    assert stop.value.report == run.report
    assert run.report["findings"][0]["kind"] == "alike"
    assert run.report["windows"][0]["alike"] < 0.1
    assert statuses(store) == {"done": 1000, "pending": 100}
    with pytest.raises(CanaryError):  # for whoever comes later too
        worked(store)


def test_what_a_person_let_pass_goes_on(store, folder):
    write(folder, 150, bad_from=50)
    with pytest.raises(CanaryError):
        checked(store, folder)
    store.queue.resume_run()
    worked(store)
    run = store.queue.run()
    assert (run.status, run.n_done, run.reason) == ("done", 150, "")


def test_a_run_that_was_stopped_at_its_very_end_stays_so_until_it_is_resumed(store, folder):
    write(folder, 100, bad_from=20)

    def index():
        index_folder(folder, store, lambda: admitted_fake(store), canary_at=100)

    for _ in range(2):
        with pytest.raises(CanaryError, match="after 100 documents"):
            index()
        assert statuses(store) == {"done": 100}
    store.queue.resume_run()
    index()
    assert store.queue.run().status == "done"


@pytest.mark.parametrize(
    ("bad", "kind"), [("\ufffd\ue000" * 20, "garbled"), ("", "empty"), ("\x00" * 9, "failed")]
)
def test_what_is_no_text_stops_a_run(store, folder, bad, kind):
    write(folder, 110)
    for number in range(30, 110):
        drawn = random.Random(number)
        words = " ".join(f"{bad}{drawn.random()}" for _ in range(9))
        (folder / f"{number:05}.txt").write_text(words if bad else " \n")
    with pytest.raises(CanaryError) as stop:
        checked(store, folder)
    findings = {one["kind"]: one for one in stop.value.report["findings"]}
    assert kind in findings
    assert findings[kind]["examples"]


def test_the_next_check_looks_at_what_came_since(store, folder):
    write(folder, 1100, bad_from=600)
    with pytest.raises(CanaryError, match="after 1,000 documents"):
        checked(store, folder)
    report = store.queue.run().report
    assert report["looked_at"]["n"] == 900
    assert 95 <= report["retrieved"]["n"] <= 100
    assert report["first_chunk"] == 0
    assert report["rows"]["n_done"] == 1000


def test_a_rehearsal_stops_after_its_check_and_goes_on_when_resumed(store, folder):
    write(folder, 150)
    store.queue.open_run(100, rehearsal=True)
    with pytest.raises(CanaryError, match="rehearsal is over after 100 documents") as stop:
        checked(store, folder)
    assert stop.value.report["passed"]
    assert stop.value.report["rehearsal"]
    store.queue.resume_run()
    worked(store)
    assert store.queue.run().status == "done"


def test_a_rehearsal_of_nothing_but_an_empty_file_passes(store, folder):
    folder.mkdir()
    (folder / "empty.txt").write_text(" \n")
    store.queue.open_run(100, rehearsal=True)
    run = checked(store, folder)
    assert (run.status, run.n_empty, run.report["passed"]) == ("done", 1, True)


def test_a_rehearsal_of_few_files_checks_them_all_and_is_done(store, folder):
    write(folder, 40)
    store.queue.open_run(100, rehearsal=True)
    run = checked(store, folder)
    assert (run.status, run.report["documents"], run.report["passed"]) == ("done", 40, True)


def until_due(store, folder, canary_at: int = 100, embedder=None) -> None:
    """Work until the run has to be checked, and leave that to others."""

    def leave(at):
        raise TaskCancelledError("work")

    enqueue(store, folder, canary_at)
    with pytest.raises(TaskCancelledError):
        worked(store, embedder, attend=leave)
    assert store.queue.run().n_finished == canary_at


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("unusable", lambda vectors: np.vstack([vectors[:-9], 0 * vectors[-9:]])),
        ("unusable", lambda vectors: np.vstack([vectors[:-9], np.nan * vectors[-9:]])),
        ("moved", lambda vectors: np.vstack([vectors[:50], vectors[:49:-1]])),
    ],
)
def test_vectors_that_are_broken_in_the_store_stop_a_run(store, folder, kind, change):
    write(folder, 120)
    until_due(store, folder)
    damage(store, change)
    with pytest.raises(CanaryError) as stop:
        worked(store)
    assert kind in [one["kind"] for one in stop.value.report["findings"]]
    store.queue.resume_run()
    with pytest.raises(CanaryError):  # nobody can let that pass
        worked(store)


def test_an_index_that_does_not_find_stops_a_run(store, folder):
    write(folder, 120)
    until_due(store, folder)
    nearest = store.nearest

    def broken(vector, k, where, *, space=None):
        return nearest(-vector, k, where, space=space)

    store.nearest = broken
    with pytest.raises(CanaryError, match="found by their own text"):
        worked(store)


def test_many_copies_of_one_text_are_no_fault_of_the_search(store, folder):
    write(folder, 120)
    for number in range(40):  # many enough to crowd each other out, too few to stop the run
        (folder / f"{number:05}.txt").write_text("the same words in all of these")
    run = checked(store, folder)
    assert run.report["retrieved"]["n_found"] == 100
    assert run.report["looked_at"]["same"] == 0.4


def beside(path, embedder, failures: list[Exception]) -> threading.Thread:
    """Another worker of the same store, in a thread of its own."""

    def run():
        with closing(open_store(path)) as opened:
            try:
                admitted = admitted_fake(opened, embedder)
                work(opened, lambda: admitted, Watch(), WorkOptions(READERS, batch_size=10))
            except (DriftError, CanaryError) as error:
                failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_every_worker_proves_itself_anew_in_a_check(tmp_path, store, folder):
    write(folder, 300)
    enqueue(store, folder, 100)
    failures = []
    other = beside(tmp_path / "index.db", FakeEmbedder(), failures)
    worked(store, batch_size=10)
    other.join()
    run = store.queue.run()
    assert (run.status, failures) == ("done", [])
    assert {one["state"] for one in run.report["workers"]} <= {"proved", "left"}


def test_a_worker_that_breaks_leaves_and_the_others_go_on(tmp_path, store, folder):
    write(folder, 120)
    until_due(store, folder)
    store.queue.begin_check("a ghost", -1.0)  # the run is being checked when both come
    breaks, failures = Breaks(build=replace(FAKE_BUILD, host="other")), []
    with closing(open_store(tmp_path / "index.db")) as opened:
        admitted = admitted_fake(opened, breaks)
        breaks.is_broken = True
        with pytest.raises(DriftError, match="drift"):
            work(opened, lambda: admitted, Watch(), WorkOptions(READERS))
    assert store.queue.run().status in {"checking", "running"}
    worked(store)
    assert (store.queue.run().status, failures) == ("done", [])
    assert store.queue.workers() == []


def test_where_the_only_worker_breaks_the_run_stops(store, folder):
    write(folder, 120)
    embedder = Breaks()
    until_due(store, folder, embedder=embedder)
    embedder.is_broken = True
    admitted = admitted_fake(store)
    admitted.unproven = embedder
    with pytest.raises(CanaryError, match="No worker computes what the index was proven with"):
        work(store, lambda: admitted, Watch(), WorkOptions(READERS))
    assert store.queue.run().report["findings"][0]["kind"] == "reference"
    store.queue.resume_run()
    worked(store)  # by a worker that is well
    assert store.queue.run().status == "done"


def test_a_damaged_reference_stops_the_run_for_all(store, folder):
    write(folder, 120)
    until_due(store, folder)
    admitted = admitted_fake(store)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE proofs SET vectors = zeroblob(length(vectors))")
    with pytest.raises(CanaryError, match="probe vectors are damaged"):
        work(store, lambda: admitted, Watch(), WorkOptions(READERS))
    assert store.queue.run().report["drift"] is None


def test_an_engine_that_only_remembers_the_probes_is_seen_by_stored_passages(store, folder):
    write(folder, 120)
    until_due(store, folder)
    admitted = admitted_fake(store)
    good, broken = FakeEmbedder(), Breaks(is_broken=True)

    class Remembers(FakeEmbedder):
        def embed(self, texts, kind, watch):
            is_probes = any("bread dough" in text or "orchard" in text for text in texts)
            return (good if is_probes else broken).embed(texts, kind, watch)

    admitted.unproven = Remembers()
    with pytest.raises(DriftError, match="stored chunks"):
        admitted.prove_again(Watch())


def test_a_check_whose_worker_died_is_taken_over(store, folder):
    write(folder, 120)
    until_due(store, folder)
    assert store.queue.begin_check("a worker that dies", 0.3)
    worked(store)
    assert store.queue.run().status == "done"
    assert store.queue.run().report["passed"]


def test_a_check_that_is_stopped_in_the_middle_is_given_back(store, folder, monkeypatch):
    write(folder, 120)
    until_due(store, folder)

    def stopped(*args):
        raise TaskCancelledError("check")

    with monkeypatch.context() as patch:
        patch.setattr(canary_check, "look_at", stopped)
        with pytest.raises(TaskCancelledError):
            worked(store)
    assert store.queue.run().status == "running"
    worked(store)
    assert store.queue.run().status == "done"


def test_what_a_person_stops_during_a_check_stays_stopped(tmp_path, store, folder, monkeypatch):
    write(folder, 120)
    until_due(store, folder)
    look_at = canary_check.look_at

    def stopped_meanwhile(*args):
        with closing(open_store(tmp_path / "index.db")) as other:
            other.queue.stop_run("Somebody stopped it.")
        return look_at(*args)

    monkeypatch.setattr(canary_check, "look_at", stopped_meanwhile)
    with pytest.raises(CanaryError, match="Somebody stopped it"):
        worked(store)
    assert store.queue.run().report["passed"]


def test_a_worker_that_says_nothing_is_named(store, folder, monkeypatch):
    write(folder, 120)
    until_due(store, folder)
    store.queue.report(Worker("elsewhere:1", "elsewhere", 1, state="working"))
    store.queue.report(Worker("elsewhere:2", "elsewhere", 2, state="starting"))
    monkeypatch.setattr(canary_check, "_WAIT_S", 0.0)
    worked(store)
    states = {one["name"]: one["state"] for one in store.queue.run().report["workers"]}
    assert states.pop("elsewhere:1") == "silent"
    assert list(states.values()) == ["proved"]


def test_wrong_models_and_broken_engines_are_refused_while_good_workers_go_on(
    tmp_path, store, folder
):
    write(folder, 400)
    enqueue(store, folder, 100)
    admitted_fake(store)  # the reference
    failures = []
    good = beside(tmp_path / "index.db", FakeEmbedder(), failures)
    wrong = FakeEmbedder(space=replace(FAKE_SPACE, model="another"))
    broken = Breaks(build=replace(FAKE_BUILD, native="1" * 40), is_broken=True)
    for embedder, refusal in ((wrong, SpaceMismatchError), (broken, DriftError)):
        with pytest.raises(refusal):
            worked(store, embedder)
    good.join()
    assert failures == []
    assert statuses(store) == {"done": 400}
    workers = {one.worker for one in store.queue.entries(Which(), 400)}
    assert len(workers) == 1


def test_a_healthy_corpus_passes_again_at_10000(store):
    embedder, drawn = FakeEmbedder(), random.Random(0)
    source = store.queue.add_source("records", "records", "", "", {})
    run = store.queue.open_run(1000)
    admitted_fake(store)
    words = [f"word{at}" for at in range(2000)]
    known = dict(zip(words, embedder.embed(words, "document", Watch()).vectors, strict=True))
    items = [Item(f"{at:05}", "text", 9, 1) for at in range(10_050)]
    store.queue.enqueue(source.number, run.number, items)
    texts = {one.key: " ".join(drawn.sample(words, 4)) for one in items}

    def put(tasks):
        rows = []
        for task in tasks:
            text = texts[task.item.key]
            vector = sum(known[word] for word in text.split())
            sha256 = f"{int(task.item.key):064}"
            document = Document(
                task.item.key, 9, 1, sha256, "text", "", is_record=True, source=source.number
            )
            chunk = StoredChunk(0, len(text), 1, 1, "", text, sha256)
            rows.append(DocumentChunks(document, [chunk], normalized(vector[None, :])))
        store.put(rows, outcomes=[Outcome(task, "done", n_chunks=1) for task in tasks])

    while store.queue.run().n_finished < 10_000:
        while tasks := store.queue.claim("me", 3000, FAR):
            put(tasks)
        if store.queue.run().n_finished < 10_000:
            check_only(store)
    check_only(store)
    run = store.queue.run()
    assert (run.status, run.canary_at) == ("running", 100_000)
    assert (run.report["documents"], run.report["passed"]) == (10_000, True)
    assert run.report["looked_at"]["n"] == 1000


def check_only(store) -> None:
    """Have the run checked by a worker that leaves before its next claim."""

    def attend(at):
        canary_check.attend(at)
        raise TaskCancelledError("work")

    with pytest.raises(TaskCancelledError):
        worked(store, attend=attend)


def test_a_run_on_postgresql_is_stopped_and_goes_on_too(schema, folder):
    write(folder, 150, bad_from=40)
    with closing(new_store(schema)) as store:
        with pytest.raises(CanaryError, match="say nearly the same"):
            checked(store, folder)
        report = store.queue.run().report
        assert report["retrieved"]["n_found"] == report["retrieved"]["n"] == 100
        assert report["windows"][0]["alike"] < 0.1
        store.queue.resume_run()
        worked(store)
        assert (store.queue.run().status, store.queue.run().canary_at) == ("done", 1000)
