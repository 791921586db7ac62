"""Three workers, killed again and again: every document once, as a single clean run has it.

`FILES=20000 KILLS=90 pytest tests/jobs/test_work_kills.py` is the full size: some minutes. The
engine is the public fake, so that it is the pipeline that is shown.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import queued

N_FILES = int(os.environ.get("FILES", "160"))
N_KILLS = int(os.environ.get("KILLS", "7"))
N_WORKERS = 3
BATCH = 8 if N_FILES < 1000 else 100
HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")


@pytest.fixture(params=["sqlite", "postgres"])
def target(request, tmp_path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("schema"))
    return str(tmp_path / "index.db")


def test_killed_again_and_again_each_document_is_there_once(target, tmp_path):
    folder = tmp_path / "files"
    queued.make_files(folder, N_FILES)
    with closing(queued.new_store(target)) as store:
        assert queued.enqueue(store, folder) == N_FILES
        began = time.monotonic()
        n_started = work_and_kill(store, target, random.Random(7))
        took_s = time.monotonic() - began
        run = store.queue.run()
        assert run.status == "done"
        assert (run.n_done, run.n_failed, run.n_skipped) == (N_FILES, 0, 0)
        assert queued.statuses(store) == {"done": N_FILES}
        assert store.check() == []
        assert n_started == N_WORKERS + N_KILLS
        assert run.n_chunks == store.counts().chunks
        found = queued.contents(store)
    with closing(queued.new_store(tmp_path / "clean.db")) as clean:
        queued.enqueue(clean, folder)
        queued.worked(clean)
        assert found == queued.contents(clean)
    what = f"{N_FILES} files, {run.n_chunks} chunks, {N_KILLS} kills"
    sys.stdout.write(f"{type(store).__name__}: {what} in {took_s:.1f} s\n")


def work_and_kill(store, target, drawn) -> int:
    """Kill one of the workers whenever some more rows are through; gives how many were started."""
    workers = [start(target) for _ in range(N_WORKERS)]
    n_started = N_WORKERS
    for kill in range(N_KILLS):
        wait_for(store, n_finished=N_FILES * (kill + 1) // (N_KILLS + 2))
        chosen = drawn.randrange(N_WORKERS)
        end(workers[chosen])
        workers[chosen] = start(target)
        n_started += 1
    for worker in workers:
        assert worker.wait(600) == 0
        worker.stdout.close()
    return n_started


def start(target) -> subprocess.Popen:
    paths = [str(HERE), *filter(None, sys.path)]
    setup = f"import sys; sys.path[:0] = {paths!r}\n"
    command = [sys.executable, "-c", setup + queued.WORKER, target, str(BATCH), "30"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end(worker) -> None:
    """Kill a worker that has begun."""
    assert worker.stdout.readline() == "ready\n"
    worker.kill()
    worker.wait()
    worker.stdout.close()


def wait_for(store, n_finished) -> None:
    until = time.monotonic() + 600
    while store.queue.run().n_finished < n_finished:
        assert time.monotonic() < until
        time.sleep(0.01)
