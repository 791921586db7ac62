"""The parts that a worker works with, wired."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from embedwell.app.workers.duty import Duty
from embedwell.app.workers.quota import is_above
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.prepare import Extract
from embedwell.stores.protocol import Store
from embedwell.stores.registry import open_store


def options_for(
    target: Path | str,
    around: Surroundings,
    duty: Duty,
    extract: Extract,
    *,
    patience_s: float = 60.0,
) -> WorkOptions:
    """How a worker works.

    Args:
        target: Where its index is: a file, or the address of a database.
        around: What the index's sources are opened with.
        duty: What it was asked for.
        extract: What extracts for it: see `app.extraction`.
        patience_s: Seconds for which the database, or what embeds, may be away.
    """
    return WorkOptions(
        partial(open_source, around=around),
        stays=not duty.once,
        batch_size=duty.batch_size,
        patience_s=patience_s,
        extract=extract,
        is_busy=is_above(duty.max_load),
        reopen=_reopen(target),
    )


def _reopen(target: Path | str) -> Callable[[], Store] | None:
    """Opens the store once more, where that is a server's; a file's index follows by itself."""
    return None if isinstance(target, Path) else partial(open_store, target)
