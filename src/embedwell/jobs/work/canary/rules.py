"""What becomes of a run that checked itself: pure decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from embedwell.core.errors import CanaryError, EmbedwellError
from embedwell.handshake.drift import BETWEEN_ADMITTED, BOUNDS, WIDE, Bounds, Drift
from embedwell.jobs.work.canary.windows import FEWEST, Window
from embedwell.stores.queue import Run, next_check

Kind = Literal[
    "reference", "unusable", "flat", "moved", "unfound", "alike", "garbled", "empty", "failed"
]

# About the documents rather than about what computes: a person may know better, once and for all.
OF_DOCUMENTS: frozenset[str] = frozenset({"alike", "garbled", "empty", "failed"})

MOST = 0.5
"""Share of documents that may be alike, garbled, empty or failed. In ordinary folders, repetitive
ones too, up to .25 are alike and none garbled; in broken ones .6 and more: see docs/ingestion.md.
"""
LEAST_FOUND = 0.9
_FLAT = 0.25


@dataclass(frozen=True)
class Health:
    """Stored vectors that were looked at.

    Attributes:
        n: How many.
        n_unusable: Missing, zero, NaN, infinite, or of another length.
        flat: Share of dimensions in which they hardly differ, beyond that of the probes.
        examples: Keys of documents with unusable ones.
    """

    n: int
    n_unusable: int
    flat: float
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retrieved:
    """Stored passages that were embedded anew and searched for.

    Attributes:
        n: How many.
        n_found: How many of them the search found by their own text.
        drift: Of the new vectors to the stored ones; None without any.
        worst: Key of the document with the largest.
        unfound: Keys of documents that were not found.
    """

    n: int
    n_found: int
    drift: Drift | None = None
    worst: str = ""
    unfound: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progressed:
    """Rows that are through.

    Attributes:
        n_done: Stored ones.
        n_empty: Those of them without any text.
        n_failed: Those that failed.
    """

    n_done: int = 0
    n_empty: int = 0
    n_failed: int = 0

    def since(self, before: Progressed) -> Progressed:
        """What came after an earlier moment."""
        return Progressed(
            self.n_done - before.n_done,
            self.n_empty - before.n_empty,
            self.n_failed - before.n_failed,
        )


@dataclass(frozen=True)
class Seen:
    """What a check looked at, all of it written since the one before.

    Attributes:
        whole: The documents that were looked at.
        last: The last quarter of them: where something went wrong on the way, it shows there.
        health: Their vectors.
        retrieved: Some passages, searched for.
        rows: Rows that are through.
        is_wide: Whether the reader was only let in by `accept_drift`.
        failed: Some keys of rows that failed.
        empty: Some keys of documents without any text.
    """

    whole: Window
    last: Window
    health: Health
    retrieved: Retrieved
    rows: Progressed
    is_wide: bool = False
    failed: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: What kind of thing.
        problem: What was seen, in a sentence.
        remedy: What to look at.
        examples: Keys of documents.
    """

    kind: Kind
    problem: str
    remedy: str
    examples: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The problem with its examples."""
        where = f" (such as {', '.join(self.examples)})" if self.examples else ""
        return f"{self.problem}{where}."


@dataclass(frozen=True)
class Verdict:
    """What becomes of a run.

    Attributes:
        passed: Whether nothing stops it.
        reason: Why it is stopped all the same or not; empty where it goes on.
        canary_at: Finished rows at which it is checked next.
        findings: What is wrong, also what a person let pass.
        overruled: The kinds of findings that a person let pass.
    """

    passed: bool
    reason: str
    canary_at: int
    findings: tuple[Finding, ...]
    overruled: frozenset[str]


def judge(seen: Seen) -> list[Finding]:
    """What is wrong, the worst first."""
    found = [
        *_of_vectors(seen.health),
        *_of_retrieval(seen.retrieved, is_wide=seen.is_wide),
        *_of_texts(seen),
        *_of_rows(seen),
    ]
    if any(one.kind in {"alike", "garbled"} for one in found):
        return [one for one in found if one.kind != "flat"]  # that is the texts' fault then
    return found


def of_reference(failure: EmbedwellError) -> Finding:
    """No worker agrees with the reference of the index: it, or all of them, are wrong."""
    problem = f"No worker computes what the index was proven with: {failure.problem.rstrip('.')}"
    return Finding("reference", problem, failure.remedy)


def verdict(run: Run, findings: Sequence[Finding], *, is_last: bool) -> Verdict:
    """What becomes of a run.

    What is wrong with documents stops it once: whoever resumes it has let that pass. What is wrong
    with vectors is looked at again at once.

    Args:
        run: As it was when it was checked, with the report of the check before.
        findings: What is wrong.
        is_last: Whether this is a rehearsal that has nothing left to do.
    """
    before = {str(one["kind"]) for one in run.report.get("findings", ())}
    let_pass = frozenset(before | set(run.report.get("overruled", ()))) & OF_DOCUMENTS
    stop = [one for one in findings if one.kind not in let_pass]
    checked = f"after {run.n_finished:,} documents"
    if stop:
        told = " ".join(one.told for one in stop)
        reason = f"The run checked itself {checked} and stopped. {told}"
    elif run.rehearsal and not is_last:
        reason = f"The rehearsal is over {checked}: nothing is wrong."
    else:
        reason = ""
    is_over = all(one.kind in OF_DOCUMENTS for one in stop)
    again = max(min(run.canary_at, run.n_finished), 1)
    canary_at = next_check(run.canary_at) if is_over else again
    return Verdict(not stop, reason, canary_at, tuple(findings), let_pass)


def stopped(run: Run) -> CanaryError:
    """The error of a run that is stopped, for every process that works for it."""
    report = run.report
    if report.get("reason") != run.reason:  # a person stopped it
        return CanaryError(run.reason, "`embedwell index --resume` goes on.", report)
    if report.get("passed"):
        return CanaryError(run.reason, "`embedwell index --resume` goes on from there.", report)
    stopping = [one for one in report["findings"] if one["kind"] not in report["overruled"]]
    remedies = list(dict.fromkeys(str(one["remedy"]) for one in stopping))
    again = f"Once it is mended, `embedwell purge --run {run.number}` and index again; "
    resume = "`embedwell index --resume` goes on regardless."
    if any(one["kind"] not in OF_DOCUMENTS for one in stopping):
        resume = "`embedwell index --resume` checks what is stored once more."
    return CanaryError(run.reason, " ".join([*remedies, again + resume]), report)


def _of_vectors(health: Health) -> list[Finding]:
    remedy = "Run `embedwell doctor --deep`: the engine or the disk is broken."
    found = []
    if health.n_unusable:
        problem = (
            f"{health.n_unusable:,} of {health.n:,} stored vectors that were looked at are "
            "missing, zero, NaN, infinite or of another length"
        )
        found.append(Finding("unusable", problem, remedy, health.examples))
    if health.n >= FEWEST and health.flat > _FLAT:
        problem = f"The vectors hardly differ in {health.flat:.0%} of their dimensions"
        found.append(Finding("flat", problem, remedy))
    return found


def _of_retrieval(retrieved: Retrieved, *, is_wide: bool) -> list[Finding]:
    bounds, found = WIDE if is_wide else BOUNDS, []
    if retrieved.drift is not None and (moved := _moved(retrieved, retrieved.drift, bounds)):
        found.append(moved)
    if retrieved.n_found < LEAST_FOUND * retrieved.n:
        problem = (
            f"Only {retrieved.n_found} of {retrieved.n} stored passages are found by their own text"
        )
        remedy = "Run `embedwell doctor --deep`: the index over the vectors may be broken."
        found.append(Finding("unfound", problem, remedy, retrieved.unfound))
    return found


def _moved(retrieved: Retrieved, drift: Drift, bounds: Bounds) -> Finding | None:
    remedy = "Look which workers ran since (`embedwell runs`), and run `embedwell doctor --deep`."
    if drift.unusable:
        problem = f"{drift.unusable} of {retrieved.n} passages embedded anew gave no vector"
        return Finding("moved", problem, remedy)
    mean, worst = BETWEEN_ADMITTED * bounds.mean, BETWEEN_ADMITTED * bounds.odd_worst
    if drift.mean <= mean and drift.worst <= worst:
        return None
    problem = (
        f"Passages embedded anew are not where their stored vectors are: drift {drift.mean:.3g} on "
        f"average (up to {mean:.3g} may be), {drift.worst:.3g} at worst ({worst:.3g}): something "
        "else wrote them"
    )
    return Finding("moved", problem, remedy, (retrieved.worst,))


def _of_texts(seen: Seen) -> list[Finding]:
    found = []
    if window := _wrong(seen, lambda one: one.alike):
        problem = (
            f"{window.alike:.0%} of {_which(window, seen)} say nearly the same, as in "
            f"'{window.text}'"
        )
        remedy = "Look at what was extracted from these files: one page or header for all?"
        found.append(Finding("alike", problem, remedy, window.examples))
    if window := _wrong(seen, lambda one: one.garbled):
        problem = (
            f"{window.garbled:.0%} of {_which(window, seen)} hold control and replacement "
            "characters instead of text"
        )
        remedy = "Look at what was extracted from these files: another encoding, or no text at all?"
        found.append(Finding("garbled", problem, remedy, window.garbled_examples))
    return found


def _wrong(seen: Seen, share: Callable[[Window], float]) -> Window | None:
    """The last of what was looked at, or all of it, if too much of it is wrong."""
    for window in (seen.last, seen.whole):
        if window.n >= FEWEST and share(window) >= MOST:
            return window
    return None


def _which(window: Window, seen: Seen) -> str:
    last = "" if window is seen.whole else "last "
    return f"the {last}{window.n:,} documents that were looked at"


def _of_rows(seen: Seen) -> list[Finding]:
    rows, found = seen.rows, []
    n = rows.n_done + rows.n_failed
    if n < FEWEST:
        return []
    if rows.n_empty >= MOST * n:
        problem = f"{rows.n_empty:,} of {n:,} documents hold no text at all"
        remedy = "Look at these files: scanned pages, or an extractor that gives nothing?"
        found.append(Finding("empty", problem, remedy, seen.empty))
    if rows.n_failed >= MOST * n:
        problem = f"{rows.n_failed:,} of {n:,} documents failed"
        remedy = "Look at why (`embedwell queue list --status failed`)."
        found.append(Finding("failed", problem, remedy, seen.failed))
    return found
