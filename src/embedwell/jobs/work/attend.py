"""What a worker does about a run that pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.ingest.lanes import Lanes
from embedwell.jobs.work.heartbeat import Heartbeat
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Run


@dataclass(frozen=True)
class Attending:
    """A worker that has nothing in hand while its run is open.

    Attributes:
        store: Its store; the call is in the thread that owns it.
        run: The run: running, or being checked.
        lanes: Its embedders.
        heart: Its heartbeat: kept up in whatever takes long.
        watch: May stop it.
    """

    store: Store
    run: Run
    lanes: Lanes
    heart: Heartbeat
    watch: Watch

    @property
    def embedders(self) -> list[AdmittedEmbedder]:
        """Those of the spaces that something was written to; the main one where nothing was."""
        reference = self.store.spaces.reference
        every = [lane.embedder for lane in self.lanes.all]
        return [one for one in every if reference(one.number) is not None] or every[:1]


Attend: TypeAlias = Callable[[Attending], None]
"""Called again and again while that is so."""
