from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from embedwell.core.errors import QueueError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.jobs.records import Record, add_records
from embedwell.stores.protocol import Filter
from embedwell.testing import admitted_fake


def keys(store) -> list[str]:
    return sorted(store.stats())


def passages(store) -> list[str]:
    everything = store.nearest(np.eye(1, 32, dtype=np.float32)[0], 1000, Filter())
    return sorted(found.chunk.text for found in store.chunks(everything.ids.tolist()))


def test_a_folder_is_indexed(index, store):
    report = index()
    assert (report.n_added, report.n_unchanged, report.n_removed) == (2, 0, 0)
    assert report.n_chunks == report.n_embedded == store.counts().chunks > 1
    assert keys(store) == ["a.md", "b.py"]
    assert not report.failed
    assert not report.skipped


def test_nothing_is_done_twice(index, embedder):
    index()
    embedder.seen.clear()
    report = index()
    assert (report.n_added, report.n_updated, report.n_unchanged) == (0, 0, 2)
    assert embedder.seen == []


def test_only_what_changed_is_embedded(index, folder, embedder, store):
    index()
    embedder.seen.clear()
    (folder / "a.md").write_text("# One\n\nalpha beta\n\n# Two\n\nnew words\n")
    report = index()
    assert (report.n_updated, report.n_unchanged) == (1, 1)
    assert report.n_reused >= 0
    assert all("alpha" not in text or "new words" in text for text in embedder.seen)
    assert any("new words" in text for text in passages(store))
    assert not any("gamma" in text for text in passages(store))


def test_a_file_that_was_only_touched_is_not_embedded(index, folder, embedder, store):
    index()
    embedder.seen.clear()
    os.utime(folder / "a.md", ns=(1, 1))
    assert index().n_unchanged == 2
    assert embedder.seen == []
    assert store.stats()["a.md"].mtime_ns == 1


def test_removed_files_leave(index, folder, store):
    index()
    (folder / "a.md").unlink()
    assert index().n_removed == 1
    assert keys(store) == ["b.py"]
    assert not any("alpha" in text for text in passages(store))


def test_a_passage_in_two_files_is_embedded_once(index, folder, embedder, store):
    (folder / "copy.md").write_text((folder / "a.md").read_text())
    report = index()
    assert len(embedder.seen) == len(set(embedder.seen))
    assert report.n_reused > 0
    assert store.counts().documents == 3


def test_records_stay_when_a_folder_is_indexed_again(index, store, embedder):
    add_records(
        [Record("note", "a record of its own", {"year": 2020})], store, lambda: admitted_fake(store)
    )
    index()
    index()
    assert any("record of its own" in text for text in passages(store))


def test_a_stopped_run_keeps_its_commits_and_goes_on(index, folder, store):
    for number in range(40):
        lines = "".join(f"# {number} {part}\n\n{'word ' * 36}{part}\n\n" for part in range(30))
        (folder / f"{number:02}.md").write_text(lines)
    watch = Watch()
    commits = iter(range(1000))
    put = store.put

    def put_then_stop(documents, **more):
        lost = put(documents, **more)
        if next(commits) == 0:
            watch.cancelled.set()
        return lost

    store.put = put_then_stop
    with pytest.raises(TaskCancelledError):
        index(watch)
    kept = set(keys(store))
    assert 0 < len(kept) < 42
    report = index()
    assert report.n_unchanged == len(kept)
    assert len(keys(store)) == 42


INDEX_SLOWLY = """
import sys, time
from pathlib import Path
from embedwell.stores.registry import open_store
from embedwell.testing import admitted_fake
from one_folder import index_folder
store = open_store(sys.argv[1])
put = store.put
def slowly(documents, **more):
    lost = put(documents, **more)
    print(*[d.document.key for d in documents], flush=True)
    time.sleep(0.05)
    return lost
store.put = slowly
admitted = admitted_fake(store)
index_folder(Path(sys.argv[2]), store, lambda: admitted)
"""


def many_files(folder, n_files=30, n_parts=60):
    for number in range(n_files):
        lines = "".join(f"# {number} {part}\n\n{'word ' * 36}{part}\n\n" for part in range(n_parts))
        (folder / f"{number:02}.md").write_text(lines)


def slow_index(folder, tmp_path):
    command = [sys.executable, "-c", INDEX_SLOWLY, str(tmp_path / "index.db"), str(folder)]
    tests = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=tests)


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.1])
def test_a_killed_run_loses_nothing_that_it_reported(index, folder, store, tmp_path, delay_s):
    many_files(folder)
    process = slow_index(folder, tmp_path)
    first = process.stdout.readline()
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    reported = set((first + rest).split())
    assert reported
    assert reported <= set(keys(store))
    with sqlite3.connect(tmp_path / "index.db") as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
    assert store.check() == []
    index()
    assert len(keys(store)) == 32
    assert store.check() == []


def test_the_second_of_two_runs_shares_the_work(index, folder, store, tmp_path):
    many_files(folder, 200, n_parts=24)
    process = slow_index(folder, tmp_path)
    process.stdout.readline()
    report = index()
    process.communicate()
    assert process.returncode == 0
    assert 0 < report.n_added < 202
    assert len(keys(store)) == 202
    assert store.check() == []


def test_one_bad_file_does_not_stop_the_others(index, folder, store):
    (folder / "binary.txt").write_bytes(b"\x00\x01\x02" * 100)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing follows")
    report = index()
    assert {failure.key for failure in report.failed} == {"binary.txt", "broken.pdf"}
    assert report.n_added == 4
    assert index().n_unchanged == 4
    assert store.counts().chunks == report.n_chunks


def test_a_file_that_turned_binary_leaves_no_old_passages(index, folder, store):
    index()
    (folder / "a.md").write_bytes(b"\x00" * 500)
    assert len(index().failed) == 1
    assert not any("alpha" in text for text in passages(store))


def test_an_unreadable_file_keeps_its_old_passages(index, folder, store, monkeypatch):
    index()
    (folder / "a.md").write_text("something else")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("embedwell.ingest.sources.folder.read_stable", refuse)
    report = index()
    assert [failure.key for failure in report.failed] == ["a.md"]
    assert any("alpha" in text for text in passages(store))
    monkeypatch.undo()
    assert index().n_updated == 1


def test_what_lies_in_a_folder_that_cannot_be_looked_into_stays(index, folder, store, monkeypatch):
    (folder / "sub").mkdir()
    (folder / "sub/c.md").write_text("gamma words")
    (folder / "subway.md").write_text("delta words")
    index()
    (folder / "subway.md").unlink()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "sub":
            raise OSError(5, "Input/output error")
        return scandir(path)

    monkeypatch.setattr("embedwell.ingest.walk.os.scandir", refuse)
    report = index()
    assert [(one.key, one.reason) for one in report.failed] == [
        ("sub/", "cannot be listed: Input/output error")
    ]
    assert (report.n_removed, keys(store)) == (1, ["a.md", "b.py", "sub/c.md"])
    monkeypatch.undo()
    (folder / "sub/c.md").unlink()
    assert index().n_removed == 1


def test_a_folder_that_cannot_be_listed_at_all_keeps_its_documents(
    index, folder, store, monkeypatch
):
    def refuse(path):
        raise OSError(116, "Stale file handle", str(path))

    index()
    monkeypatch.setattr("embedwell.ingest.walk.os.scandir", refuse)
    with pytest.raises(QueueError, match="cannot be listed: Stale file handle"):
        index()
    assert keys(store) == ["a.md", "b.py"]


def test_a_file_that_could_not_be_read_and_went_is_not_told_of_for_ever(
    index, folder, store, monkeypatch
):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    index()
    (folder / "secret.md").write_text("not for us")
    monkeypatch.setattr("embedwell.ingest.sources.folder.read_stable", refuse)
    assert [failure.key for failure in index().failed] == ["secret.md"]
    (folder / "secret.md").unlink()
    assert index().n_removed == 0
    assert {row.status for row in store.queue.tally()} == {"done"}


def test_a_large_file_is_left_out_with_its_size(index, folder, store):
    (folder / "large.txt").write_text("word " * 500_000)
    (reason,) = [thing.reason for thing in index().skipped]
    assert reason == "is 2,500,000 bytes, the limit is 2,097,152"
    assert index(size_factor=2.0).n_added == 1


@pytest.mark.parametrize("text", ["", "   \n\t\n", "\ufeff", "\r\n\r\n"])
def test_a_file_without_words_has_no_passages_and_is_not_read_again(index, folder, store, text):
    (folder / "empty.md").write_text(text, newline="")
    assert not index().failed
    assert index().n_unchanged == 3
    assert "empty.md" in keys(store)


def test_progress_ends_at_the_whole(index, folder):
    steps = []
    index(Watch(steps.append))
    ours = [step for step in steps if step.stage == "index"]
    total = sum(file.stat().st_size for file in folder.iterdir())
    assert (ours[-1].done, ours[-1].total, ours[-1].unit) == (total, total, "bytes")


def test_what_is_embedded_has_the_heading_before_it(index, embedder):
    index()
    assert any(text.startswith("One\n") or "# One" in text for text in embedder.seen)
