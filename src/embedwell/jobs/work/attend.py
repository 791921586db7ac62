"""What a worker does about a run that pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.work.heartbeat import Heartbeat
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Run


@dataclass(frozen=True)
class Attending:
    """A worker that has nothing in hand while its run is open.

    Attributes:
        store: Its store; the call is in the thread that owns it.
        run: The run: running, or being checked.
        embedder: Its embedder.
        heart: Its heartbeat: kept up in whatever takes long.
        watch: May stop it.
    """

    store: Store
    run: Run
    embedder: AdmittedEmbedder
    heart: Heartbeat
    watch: Watch


Attend: TypeAlias = Callable[[Attending], None]
"""Called again and again while that is so."""
