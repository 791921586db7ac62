"""What a check found, as it is kept with its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from embedwell.handshake.drift import Drift
from embedwell.handshake.refusal import drift_json
from embedwell.jobs.work.canary.look import Look
from embedwell.jobs.work.canary.rules import Verdict
from embedwell.jobs.work.canary.windows import Window
from embedwell.stores.queue import Run


@dataclass(frozen=True)
class Prover:
    """A worker beside the one that checks.

    Attributes:
        name: Its name.
        state: `proved`; `left`, where it went away meanwhile, as who fails does; else `silent`.
        error: What it complains of.
    """

    name: str
    state: str
    error: str = ""


def as_json(
    run: Run,
    found: Verdict,
    look: Look | None,
    drift: Drift | None,
    provers: Sequence[Prover],
    *,
    took_s: float,
) -> dict[str, Any]:
    """All of it, with what the next check goes on from.

    Args:
        run: The run that was checked.
        found: What became of it.
        look: What was seen; None where no worker could tell.
        drift: The reader's on the probes.
        provers: The workers.
        took_s: Seconds.
    """
    kept = ("rows", "first_chunk", "last_chunk")
    report: dict[str, Any] = {name: run.report[name] for name in kept if name in run.report}
    report |= {
        "documents": run.n_finished,
        "passed": found.passed,
        "rehearsal": run.rehearsal,
        "reason": found.reason,
        "findings": [asdict(one) for one in found.findings],
        "overruled": sorted(found.overruled),
        "workers": [asdict(one) for one in provers],
        "drift": drift and drift_json(drift),
        "took_s": round(took_s, 3),
    }
    if look is None:
        return report
    seen = _looked(look)
    if found.canary_at <= run.canary_at:  # looked at again: nothing of it is behind us
        seen = {name: value for name, value in seen.items() if name not in kept}
    return report | seen


def _looked(look: Look) -> dict[str, Any]:
    retrieved = look.seen.retrieved
    return {
        "looked_at": _window(look.seen.whole),
        "last": _window(look.seen.last),
        "windows": [_window(one) for one in look.windows],
        "vectors": asdict(look.seen.health),
        "retrieved": asdict(retrieved) | {"drift": retrieved.drift and drift_json(retrieved.drift)},
        "rows": asdict(look.rows),
        "first_chunk": look.first,
        "last_chunk": look.last,
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(window).items()
    }
