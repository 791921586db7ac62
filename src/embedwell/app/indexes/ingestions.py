"""How far the ingestions of served indexes are, for whoever looks on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedwell.app.config.place import find_file
from embedwell.app.indexes.progress import Ingestion, Observer
from embedwell.app.indexes.serving import Place
from embedwell.core.errors import EmbedwellError
from embedwell.stores.registry import open_store

_LOOK_S = 1.0
# What cannot be opened is not tried at every look: a database that is away takes seconds to say so.
_AGAIN_S = 15.0
# Whoever asks waits for a look no longer than this, and is then told what was seen before.
_PATIENCE_S = 1.0


@dataclass(frozen=True)
class IndexIngestion:
    """How far one index is.

    Attributes:
        index: The name that it is served under.
        error: Why it cannot be looked at; empty where it can.
        ingestion: The newest run; None where nothing was ever queued, or it cannot be looked at.
    """

    index: str
    error: str
    ingestion: Ingestion | None


class _Watched:
    """One index, looked at by one thread at a time over a connection of its own.

    The connection is closed after each look: no file stays open, and no search waits.
    """

    def __init__(self, name: str, place: Place) -> None:
        self._name = name
        self._place = place
        self._observer = Observer()
        self._lock = threading.Lock()
        self._looking: threading.Thread | None = None
        self._seen: IndexIngestion | None = None
        self._again_at = 0.0

    def begin(self) -> threading.Thread | None:
        """The thread that looks, begun where the last look is long ago; None where it is not."""
        with self._lock:
            if self._looking is None and time.monotonic() >= self._again_at:
                self._looking = threading.Thread(target=self._look, name="look", daemon=True)
                self._looking.start()
            return self._looking

    def seen(self) -> IndexIngestion:
        """What the last look that has ended saw."""
        with self._lock:
            return self._seen or IndexIngestion(self._name, "It does not answer yet.", None)

    def _look(self) -> None:
        seen: IndexIngestion | None = None
        try:
            seen = self._looked()
        finally:
            with self._lock:
                self._looking = None
                self._seen = seen or self._seen
                wait_s = _LOOK_S if seen is not None and not seen.error else _AGAIN_S
                self._again_at = time.monotonic() + wait_s

    def _looked(self) -> IndexIngestion:
        try:
            place = self._place
            file = find_file(place) if isinstance(place, Path) and place.is_dir() else place
            store = open_store(file)
            try:
                return IndexIngestion(self._name, "", self._observer.look(store.queue))
            finally:
                store.close()
        except EmbedwellError as error:
            return IndexIngestion(self._name, error.problem, None)


class Ingestions:
    """Looks at the ingestions of indexes; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[tuple[str, Place], _Watched] = {}

    def of(self, places: Mapping[str, Place]) -> list[IndexIngestion]:
        """How far each of these is, a second ago or less.

        One that does not answer holds the others up for a second; until it does, what it said
        last is told.

        Args:
            places: Folders, files or addresses, by the name that they are served under.
        """
        with self._lock:
            wanted = [
                self._watched.setdefault((name, place), _Watched(name, place))
                for name, place in places.items()
            ]
        until = time.monotonic() + _PATIENCE_S
        for looking in [one.begin() for one in wanted]:
            if looking is not None:
                looking.join(max(0.0, until - time.monotonic()))
        return [one.seen() for one in wanted]
