"""A stage of a pipeline: one thread that turns what comes in into what goes out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

_WAKE_EVERY = 32

In = TypeVar("In")
Out = TypeVar("Out")


class Stage(Generic[In, Out]):
    """Calls a function for one input after another, in a thread of its own.

    Args:
        name: Of the thread.
        function: What it does. What it raises goes to `take` as well.
        wake: Called when there is something to take, at the latest with the 32nd, so that what is
            done in microseconds does not wake somebody each time; must be quick.
    """

    def __init__(self, name: str, function: Callable[[In], Out], wake: Callable[[], None]) -> None:
        self._function = function
        self._wake = wake
        self._inputs: SimpleQueue[In | None] = SimpleQueue()
        self._outputs: SimpleQueue[tuple[In, Out | Exception]] = SimpleQueue()
        self.n_inside = 0  # put and not yet taken; only the owner looks and changes
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, given: In) -> None:
        """Give it something to do."""
        self.n_inside += 1
        self._inputs.put(given)

    def take(self) -> tuple[In, Out | Exception] | None:
        """What it was given first, with what came of it; None while nothing is done."""
        if self._outputs.empty():
            return None
        self.n_inside -= 1
        return self._outputs.get()

    def close(self) -> None:
        """Let it end after what it does now, and wait for that; the rest is dropped."""
        with suppress(Empty):  # its thread takes from there too: never wait for an input
            while True:
                self._inputs.get_nowait()
        self._inputs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (given := self._inputs.get()) is not None:
            try:
                found: Out | Exception = self._function(given)
            except Exception as error:  # noqa: BLE001 - whoever takes it raises it
                found = error
            self._outputs.put((given, found))
            if self._inputs.empty() or not self._outputs.qsize() % _WAKE_EVERY:
                self._wake()
