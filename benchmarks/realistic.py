"""Many vectors that lie as those of real passages do, with exact answers to questions.

Real passages are embedded; 200 are held out as questions. More are made from the others as
y = (1 - a)·x + a·neighbour(x) + b·(z - neighbour(z)), made unit length: a point between two
neighbours, moved by the difference of two others. a is uniform in 0 … 0.5, b in `SPREAD`, chosen so
that the questions' tenth neighbours are as similar as among as many real passages.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.engines import ENGINES, OURS
from benchmarks.paths import work
from benchmarks.searchers import FILTERS, GROUPS, TOGETHER, K
from benchmarks.texts import passages
from benchmarks.vectors import vectors

N_QUESTIONS, BATCH = 200, 20_000
SPREAD = (1.6, 2.3)
LONGEST = 400  # characters of a passage

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """A folder with `rows.npy` (float16, shape (n, d)), `new.npy` (as many as a tenth of them),
    `groups.npy` (uint8), `questions.npy` (float32) and `truth.json`.

    Attributes:
        similarity: Median cosine of questions to their tenth neighbour; that among the real
            passages alone is `similarity_real`.
    """

    folder: Path
    n: int
    n_real: int
    similarity: float
    similarity_real: float


def make(data: Path, n: int, n_threads: int) -> Rows:
    """Vectors and answers, kept from run to run: the same seed gives the same."""
    summary = work("vector-search", str(n), "summary.json")
    folder = summary.parent
    if not summary.exists():
        real = real_vectors(data, n_threads)
        order = np.random.default_rng(7).permutation(len(real))
        questions, base = real[order[:N_QUESTIONS]], real[order[N_QUESTIONS:]]
        made = np.concatenate(list(extended(base, n + n // 10)))
        rows, new = made[:n], made[n:]
        groups = np.random.default_rng(8).integers(0, GROUPS, -(-n // TOGETHER)).astype(np.uint8)
        groups = groups.repeat(TOGETHER)[:n]
        found = {"n": n, "n_real": len(base)}
        found["similarity_real"] = float(np.median(nearest(base, questions, None)[1][:, -1]))
        found["similarity"] = float(np.median(nearest(rows, questions, None)[1][:, -1]))
        np.save(folder / "rows.npy", rows)
        np.save(folder / "new.npy", new)
        np.save(folder / "groups.npy", groups)
        np.save(folder / "questions.npy", questions)
        truth = answers(rows, new, groups, questions)
        (folder / "truth.json").write_text(json.dumps(truth))
        summary.write_text(json.dumps(found))
    return Rows(folder=folder, **json.loads(summary.read_text()))


def real_vectors(data: Path, n_threads: int) -> Floats:
    """Vectors of passages of the evaluation data, computed by the product once."""
    kept = work("vector-search", "real.npy")
    if not kept.exists():
        cut = [p for texts in passages(data).values() for text in texts for p in pieces(text)]
        random.Random(6).shuffle(cut)
        np.save(kept, vectors(ENGINES[OURS], list(dict.fromkeys(cut)), "document", n_threads))
    found: Floats = np.load(kept)
    return found


def pieces(text: str) -> Iterator[str]:
    """Passages of whole words, of up to `LONGEST` characters; short ends are left out."""
    piece = ""
    for word in text.split():
        if len(piece) + len(word) >= LONGEST:
            yield piece.strip()
            piece = ""
        piece += f" {word}"
    if len(piece) > LONGEST // 4:
        yield piece.strip()


def extended(base: Floats, n: int) -> Iterator[Halves]:
    """The real vectors, then made ones, n in all, in batches."""
    yield base[:n].astype(np.float16)
    drawn = np.random.default_rng(1)
    neighbour = neighbours(base)
    for start in range(len(base), n, BATCH):
        m = min(BATCH, n - start)
        x, z = drawn.integers(0, len(base), (2, m))
        a, b = drawn.uniform(0, 0.5, (m, 1)), drawn.uniform(*SPREAD, (m, 1))
        y = (1 - a) * base[x] + a * base[neighbour[x]] + b * (base[z] - base[neighbour[z]])
        yield (y / np.linalg.norm(y, axis=1, keepdims=True)).astype(np.float16)


def neighbours(base: Floats) -> Ids:
    """The nearest other row of each."""
    found = []
    for start in range(0, len(base), 2000):
        scores = base[start : start + 2000] @ base.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -2
        found.append(scores.argmax(axis=1))
    return np.concatenate(found)


def answers(
    rows: Halves, new: Halves, groups: npt.NDArray[np.uint8], questions: Floats
) -> dict[str, list[list[int]]]:
    """Exact nearest rows of each question: of all, of the groups of a filter, after changes.

    What changes is said in `changes`; replacing rows, from `new`, are numbered after `rows`.
    """
    found = {name: nearest(rows, questions, groups < limit)[0] for name, limit in FILTERS.items()}
    replaced, removed = changes(len(rows))
    stay = np.ones(len(rows), bool)
    stay[replaced] = stay[removed] = False
    together = np.concatenate([rows, new[: len(replaced)]])
    stay = np.concatenate([stay, np.ones(len(replaced), bool)])
    found["changed"] = nearest(together, questions, stay)[0]
    return {name: ids.tolist() for name, ids in found.items()}


def changes(n: int) -> tuple[Ids, Ids]:
    """Rows of the documents that are replaced (5 % of all), and of those that are removed (5 %)."""
    document = np.arange(n) // TOGETHER
    return np.flatnonzero(document % 20 == 3), np.flatnonzero(document % 20 == 13)


def nearest(
    rows: npt.NDArray[np.floating], questions: Floats, allowed: npt.NDArray[np.bool_] | None
) -> tuple[Ids, Floats]:
    """Ids and cosines of the K nearest allowed rows of each question, best first."""
    ids = np.zeros((len(questions), 0), np.int64)
    best = np.zeros((len(questions), 0), np.float32)
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH].astype(np.float32)
        scores = questions @ (some / np.linalg.norm(some, axis=1, keepdims=True)).T
        if allowed is not None:
            scores[:, ~allowed[start : start + BATCH]] = -2
        top = np.argpartition(-scores, min(K, scores.shape[1] - 1), axis=1)[:, :K]
        best = np.concatenate([best, np.take_along_axis(scores, top, 1)], axis=1)
        ids = np.concatenate([ids, top + start], axis=1)
        order = np.argsort(-best, axis=1)[:, :K]
        best, ids = np.take_along_axis(best, order, 1), np.take_along_axis(ids, order, 1)
    return ids, best


def recall(found: Sequence[Sequence[int]], truth: Sequence[Sequence[int]]) -> float:
    """The share of the true nearest that were found."""
    hits = sum(len(set(f) & set(t)) for f, t in zip(found, truth, strict=True))
    return hits / sum(map(len, truth))
