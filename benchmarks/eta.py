"""How right the time left is that a run tells: the real model, folder by folder.

    python -m benchmarks.eta FOLDER … [--workers N] [--threads N]

Looks at the queue every second while `embedwell index` works, and compares what was told with what
then happened: as a share of the time that was left (from 10 % to 90 % of the run; at the very end a
second is a large share), and as a share of the whole run (from 10 % to its end). Then plays the
same run again at an even pace, with one, two and four workers (`eta_replay`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.eta_replay import even, rows_of, worst
from embedwell.app.indexes.progress import Ingestion, Observer
from embedwell.core.errors import StoreError
from embedwell.stores.registry import open_store

_LOOK_S = 1.0
_REPLAYED = (1, 2, 4)


@dataclass(frozen=True)
class Told:
    """What was told at one moment.

    Attributes:
        took_s: Seconds since the run began.
        eta_s: Seconds that were said to be left.
    """

    took_s: float
    eta_s: float | None


@dataclass(frozen=True)
class Errors:
    """How wrong it was at worst, as shares, with the sign; and at which share of the run."""

    of_left: tuple[float, float]
    of_whole: tuple[float, float]
    n_unknown: int


def watch_run(
    folder: Path, n_workers: int, threads: int
) -> tuple[list[Told], Ingestion, list[float]]:
    """Index a folder into a new file.

    Returns:
        What was told meanwhile, the end, and the errors at an even pace by `_REPLAYED` workers.
    """
    with tempfile.TemporaryDirectory(prefix="ew") as place:
        db = Path(place, "index.db")
        command = [
            *(sys.executable, "-m", "embedwell.cli.main", "index", str(folder)),
            *("--db", str(db), "--threads", str(threads)),
        ]
        workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        told = _looked(db, workers[0], [command] * (n_workers - 1), workers)
        for worker in workers:
            worker.wait()
        store = open_store(db)
        found = Observer().look(store.queue)
        store.close()
        rows = rows_of(db)
    assert found is not None
    return told, found, [worst(even(rows, n), n) for n in _REPLAYED]


def _looked(
    db: Path,
    first: subprocess.Popen[bytes],
    more: list[list[str]],
    workers: list[subprocess.Popen[bytes]],
) -> list[Told]:
    """Look each second; the other workers join once there is an index."""
    told: list[Told] = []
    observer = Observer()
    while first.poll() is None:
        time.sleep(_LOOK_S)
        while more and db.exists():
            command = more.pop()
            workers.append(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        try:
            store = open_store(db)
            found = observer.look(store.queue)
            store.close()
        except StoreError:  # not made yet
            continue
        if found is not None and found.is_open:
            told.append(Told(found.took_s, found.eta_s))
    return told


def errors(told: list[Told], took_s: float) -> Errors:
    """Compare what was told with what happened.

    Args:
        told: From the beginning to the end.
        took_s: Seconds that the whole run took.
    """
    of_left, of_whole, n_unknown = [(0.0, 0.0)], [(0.0, 0.0)], 0
    for one in told:
        at, left_s = one.took_s / took_s, took_s - one.took_s
        if not 0.1 <= at < 1:
            continue
        if one.eta_s is None:
            n_unknown += 1
            continue
        of_whole.append(((one.eta_s - left_s) / took_s, at))
        if at <= 0.9:
            of_left.append(((one.eta_s - left_s) / left_s, at))

    def size(error: tuple[float, float]) -> float:
        return abs(error[0])

    return Errors(max(of_left, key=size), max(of_whole, key=size), n_unknown)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--workers", default=1, help="The others join in the first second.")
@click.option("--threads", default=1)
def main(folders: tuple[Path, ...], workers: int, threads: int) -> None:
    """Measure, and print a line of Markdown for each folder."""
    head = ["folder", "workers", "documents", "seconds", "worst, of the time left"]
    head += ["of the whole run", *(f"even pace, by {n}" for n in _REPLAYED)]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for folder in folders:
        told, found, replayed = watch_run(folder, workers, threads)
        wrong = errors(told, found.took_s)
        shown = [
            f"{error:+.0%} at {at:.0%} of the run" for error, at in (wrong.of_left, wrong.of_whole)
        ]
        cells = [folder.name, workers, f"{found.n_rows:,}", f"{found.took_s:.0f}", *shown]
        cells += [f"{error:.0%}" for error in replayed]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        if wrong.n_unknown:
            print(f"{wrong.n_unknown} times nobody could tell", file=sys.stderr)


if __name__ == "__main__":
    main()
