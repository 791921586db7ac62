"""Follow what changes in folders: the system tells, and a sweep now and then finds the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from embedwell.core.events import Watch
from embedwell.ingest.formats import format_of

SWEEP_S = 600.0
"""Seconds after which all is swept, though nothing was told."""
BLIND_S = 60.0
"""The same where the system tells nothing."""
# Sweeps take this share of the time at most, however often files change.
_SHARE = 0.2
_DEBOUNCE_MS = 1_000
_ROUND_MS = 500
_IGNORE_FILE = ".gitignore"


class Notices:
    """Waits until something changes in folders.

    Args:
        folders: Which; none if only time counts.
        index_file: Written by us, and so no news; None where it is no file.

    Attributes:
        problem: Why nothing is told; empty where all is well.
    """

    def __init__(self, folders: Sequence[Path], index_file: Path | None = None) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._index_file = str(index_file.resolve()) if index_file is not None else ""
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._listens = threading.Event()  # or cannot
        self.problem = "" if folders else "there is no folder to watch"
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        self._listens.wait()

    @property
    def every_s(self) -> float:
        """Seconds to wait at most."""
        return BLIND_S if self.problem else SWEEP_S

    def wait(self, timeout_s: float, cancelled: threading.Event) -> bool:
        """Wait for news, for a time, or until somebody cancels; gives whether there were news."""
        until = time.monotonic() + timeout_s
        while not cancelled.is_set() and (left := until - time.monotonic()) > 0:
            if self._changed.wait(min(left, 0.5)):
                self._changed.clear()
                return True
        return False

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._listen()
        finally:
            self._listens.set()

    def _listen(self) -> None:
        if self.problem:
            return
        try:
            import watchfiles  # noqa: PLC0415 - an extra
        except ImportError:
            self.problem = 'watchfiles is not installed (`pip install "embedwell[watch]"`)'
            return
        try:
            for changes in watchfiles.watch(
                *self._folders,
                watch_filter=lambda _, path: self._is_news(path),
                debounce=_DEBOUNCE_MS,
                stop_event=self._stop,
                raise_interrupt=False,
                rust_timeout=_ROUND_MS,
                yield_on_timeout=True,
            ):
                self._listens.set()
                if changes:
                    self._changed.set()
        except (OSError, RuntimeError) as error:  # too many folders for the system, or they went
            self.problem = f"the system does not tell of changes ({error})"

    def _is_news(self, path: str) -> bool:
        if self._index_file and path.startswith(self._index_file):
            return False
        return any(is_news(Path(path), folder) for folder in self._folders)


def is_news(path: Path, folder: Path) -> bool:
    """Whether a changed path may change what is indexed of a folder."""
    if not path.is_relative_to(folder):
        return False
    *above, name = path.relative_to(folder).parts or ("",)
    if any(part.startswith(".") for part in above):
        return False
    if name.startswith("."):
        return name == _IGNORE_FILE
    return format_of(name) is not None


def follow(update: Callable[[], None], notices: Notices, watch: Watch) -> None:
    """Update now, at each change and now and then, until the watch is cancelled.

    Args:
        update: Sweeps and works; what it raises ends this.
        notices: Tell of changes.
        watch: Stops it.
    """
    while not watch.cancelled.is_set():
        began = time.monotonic()
        update()
        took_s = time.monotonic() - began
        watch.cancelled.wait(took_s * (1 - _SHARE) / _SHARE)
        notices.wait(notices.every_s, watch.cancelled)
