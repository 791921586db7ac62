"""How a worker works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from embedwell.ingest.sources.protocol import SourceReader
from embedwell.jobs.work.attend import Attend
from embedwell.jobs.work.canary.check import attend
from embedwell.jobs.work.identity import new_worker
from embedwell.jobs.work.prepare import Extract, extract_here
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source, Worker

Readers: TypeAlias = Callable[[Source], SourceReader]
"""Gives the reader of a source."""


def never() -> bool:
    """The machine is never too busy."""
    return False


@dataclass(frozen=True)
class WorkOptions:
    """How a worker works.

    Attributes:
        readers: Give the readers of the store's sources.
        worker: Who it is.
        stays: Whether it waits for more when all is done.
        batch_size: Most rows that are claimed at once.
        lease_s: Seconds that a claim lasts without being renewed.
        patience_s: Seconds for which the database, or what embeds, may be away.
        extract: Turns what was read into text.
        attend: What it does about a run that pauses.
        is_busy: Whether the machine has too much to do for another claim.
        reopen: Opens the store once more, where its index is tended beside the work.
    """

    readers: Readers
    worker: Worker = field(default_factory=new_worker)
    stays: bool = False
    batch_size: int = 100
    lease_s: float = 30.0
    patience_s: float = 60.0
    extract: Extract = extract_here
    attend: Attend = attend
    is_busy: Callable[[], bool] = never
    reopen: Callable[[], Store] | None = None
