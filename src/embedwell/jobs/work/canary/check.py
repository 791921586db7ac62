"""A run pauses and is checked: every worker proves itself anew, one of them looks at the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from embedwell.core.errors import BadVectorError, DriftError, EmbedwellError, StoreError
from embedwell.core.events import Watch
from embedwell.handshake.drift import Drift
from embedwell.jobs.compare import check_vectors_of
from embedwell.jobs.work.attend import Attending
from embedwell.jobs.work.canary.look import joined, look_at, worst
from embedwell.jobs.work.canary.report import Prover, as_json
from embedwell.jobs.work.canary.rules import judge, of_reference, verdict
from embedwell.stores.queue import Run, Worker

_OWN_FAULT = (DriftError, BadVectorError)  # unless all others have it too
_LEASE_S = 180.0  # then another worker takes the check over
_WAIT_S = 30.0  # for the others to prove themselves
_LIVE_S = 60.0  # whoever was silent for longer is not waited for
_LOOK_S = 0.2


def attend(at: Attending) -> None:
    """What a worker does about checks while it has nothing in hand.

    Raises:
        DriftError: Its own build is not fit for the store any more; the others go on.
    """
    run, queue = at.run, at.store.queue
    if run.status == "checking":
        if at.heart.proved != run.canary_at:
            _patiently(at, partial(_prove, at, run))
    elif not run.canary_at or not (run.rehearsal or run.n_finished >= run.canary_at):
        return
    if at.heart.patience.with_store(partial(queue.begin_check, at.heart.name, _LEASE_S)):
        at.heart.be("checking")
        try:
            _patiently(at, partial(_check, at))
        except BaseException:
            with suppress(StoreError):  # else another begins when the time is up
                _end(at, run.canary_at, "", run.report)
            raise


def _patiently(at: Attending, call: Callable[[], object]) -> None:
    """Look, again and again while the store or what embeds is away."""
    patience = at.heart.patience
    patience.with_engine(lambda: patience.with_store(call))


def _end(at: Attending, canary_at: int, reason: str, report: Mapping[str, Any]) -> None:
    """End the check; what a person stopped meanwhile stays so."""
    run = at.store.queue.run()
    if run is not None and run.status == "stopped":
        reason = reason or run.reason
    at.store.queue.end_check(canary_at=canary_at, reason=reason, report=report)


def _prove(at: Attending, run: Run) -> list[Drift]:
    """Measure the worker's present builds anew, and say that they were."""
    quiet = Watch(cancelled=at.watch.cancelled)
    try:
        drifts = [embedder.prove_again(quiet) for embedder in at.embedders]
    except _OWN_FAULT as error:
        at.heart.complain(error.problem)
        at.heart.beat()
        raise
    at.heart.proved = run.canary_at
    at.heart.beat()
    return drifts


def _check(at: Attending) -> None:
    """Check the run and write what was found."""
    began = time.monotonic()
    run = at.store.queue.run()
    assert run is not None  # noqa: S101 - it is being checked
    expected = _others(at)
    drifts, failure = _own_proof(at, run)
    provers = _await_others(at, run, expected)
    if isinstance(failure, _OWN_FAULT) and any(one.state == "proved" for one in provers):
        raise failure  # the others are right: one of them checks
    looks = [
        look_at(at.store, run, embedder, drift, at.watch)
        for embedder, drift in zip(at.embedders if drifts else (), drifts, strict=True)
    ]
    findings = [one for look in looks for one in judge(look.seen)]
    if failure is not None:
        findings = [of_reference(failure)]
    # What is wrong with the rows is wrong whichever space is looked at.
    findings = list(dict.fromkeys(findings))
    found = verdict(run, findings, is_last=run.rehearsal and _is_last(at, run))
    took_s = time.monotonic() - began
    told = [*provers, Prover(at.heart.name, "proved" if drifts else "left")]
    report = as_json(run, found, joined(looks), worst(drifts), told, took_s=took_s)
    _end(at, found.canary_at, found.reason, report)


def _own_proof(at: Attending, run: Run) -> tuple[list[Drift], EmbedwellError | None]:
    """The checker's drift on the probes of each space, or why there is none."""
    for embedder in at.embedders:
        if faults := check_vectors_of(at.store, embedder.number):
            remedy = "Restore a backup, or index again into another file."
            return [], StoreError(faults[0], remedy)
    try:
        return _prove(at, run), None
    except _OWN_FAULT as error:
        return [], error


def _others(at: Attending) -> set[str]:
    """Names of the live workers beside this one; who is starting proves itself before it claims."""
    queue = at.store.queue
    silent_since = queue.now() - _LIVE_S
    return {
        worker.name
        for worker in queue.workers()
        if worker.name != at.heart.name
        and worker.state != "starting"
        and worker.seen_at > silent_since
    }


def _await_others(at: Attending, run: Run, expected: set[str]) -> list[Prover]:
    """Wait until the others have proved themselves, went away, or said nothing for too long."""
    until = time.monotonic() + _WAIT_S
    while True:
        provers = _provers(at.store.queue.workers(), expected, run)
        if all(one.state != "silent" for one in provers) or time.monotonic() > until:
            return provers
        at.heart.beat_if_due()
        at.watch.cancelled.wait(_LOOK_S)
        at.watch.check("check")


def _provers(workers: Sequence[Worker], expected: set[str], run: Run) -> list[Prover]:
    there = {worker.name: worker for worker in workers}
    provers = []
    for name in sorted(expected):
        worker = there.get(name)
        state = "left" if worker is None else "silent"
        if worker is not None and worker.proved == run.canary_at:
            state = "proved"
        provers.append(Prover(name, state, worker.error if worker else ""))
    return provers


def _is_last(at: Attending, run: Run) -> bool:
    """Whether nothing is left to do after a rehearsal."""
    return not any(row.status == "pending" for row in at.store.queue.tally(run.number))
