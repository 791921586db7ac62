"""Texts of several threads share batches, and one batch runs at a time.

There is no thread of its own: of the callers that wait, whoever finds the engine free runs the
next batch, which may hold anybody's texts, until its own texts are done; then it wakes another.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import EngineError, EngineMemoryError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.runtime.batching import choose, is_urgent

Ids: TypeAlias = npt.NDArray[np.int32]
Compute: TypeAlias = Callable[[Sequence[Ids]], FloatArray]
"""From token ids to vectors, float32, shape (n, d).

Raises EngineError where it cannot, EngineMemoryError where fewer texts at once may work.
"""

# Without a turn now and then, bulk would wait for as long as queries keep coming.
_URGENT_IN_A_ROW = 4
# While queries come, batches of bulk are half as long: so is what the next query waits for.
_URGENT_LATELY_S = 0.5


class _Request:
    """The texts of one call; all but `ids`, `rows` and `failures` is guarded by the lock."""

    def __init__(self, ids: Sequence[Ids], rows: FloatArray, watch: Watch) -> None:
        self.ids = ids
        self.rows = rows
        self.watch = watch
        self.failures: dict[int, str] = {}
        self.error: EngineMemoryError | None = None
        self.lengths: list[int] = []
        self.positions: list[int] = []
        self.n_left = len(ids)
        self.urgent = False
        self.turn = 0
        self.gone = False
        self.awake = threading.Event()

    def add(self, positions: Sequence[int]) -> None:
        """Let texts wait for the engine."""
        self.positions.extend(positions)
        self.positions.sort(key=lambda position: len(self.ids[position]))
        self.lengths = [len(self.ids[position]) for position in self.positions]

    def take(self, begin: int, end: int) -> list[int]:
        """Positions of texts that wait no longer."""
        taken = self.positions[begin:end]
        del self.positions[begin:end], self.lengths[begin:end]
        return taken

    def drop(self) -> None:
        """Let no text wait any longer."""
        self.take(0, len(self.positions))


Item: TypeAlias = tuple[_Request, int]  # a text: whose, and where among its owner's


class Batcher:
    """Runs texts of any number of threads, one batch at a time.

    Args:
        compute: Runs one batch.
        tokens_per_batch: Most padded tokens of the next batch; asked before each.
        name: Whose vectors they are, for messages.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        compute: Compute,
        tokens_per_batch: Callable[[], int],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute = compute
        self._tokens_per_batch = tokens_per_batch
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[_Request, None] = {}  # those with texts that wait, oldest first
        self._leader: _Request | None = None  # whose thread runs a batch now
        self._batch: list[Item] = []  # what it runs
        self._n_turns = 0
        self._n_urgent = 0  # urgent batches since the last of bulk
        self._urgent_at = -math.inf  # when the last urgent request came

    def run(self, ids: Sequence[Ids], rows: FloatArray, watch: Watch) -> dict[int, str]:
        """Compute the vectors of some texts.

        Args:
            ids: Token ids of each text.
            rows: float32, shape (n, d); filled. Rows of texts that failed are undefined.
            watch: Asked before each batch, also while others' run.

        Returns:
            Reason by position for the texts that could not be embedded.

        Raises:
            EngineMemoryError: There was no memory even for one of these texts alone.
            TaskCancelledError: `watch` was asked to stop.
        """
        request = _Request(ids, rows, watch)
        if not ids:
            return request.failures
        request.add(range(len(ids)))
        request.urgent = is_urgent(request.lengths, self._tokens_per_batch())
        try:
            self._submit(request)
            while self._lead(request):
                self._run(self._batch)
                self._finish()
        finally:
            self._leave(request)
        if request.error is not None:
            raise request.error
        return request.failures

    def _submit(self, request: _Request) -> None:
        with self._lock:
            self._n_turns += 1
            request.turn = self._n_turns
            self._waiting[request] = None
            if request.urgent:
                self._urgent_at = self._clock()

    def _lead(self, request: _Request) -> bool:
        """Wait until this thread has a batch to run, or false: until its own texts are done."""
        while True:
            tokens_per_batch = self._tokens_per_batch()
            with self._lock:
                request.watch.check("embed")
                if request.n_left == 0 or request.error is not None:
                    return False
                if self._leader is None:
                    self._leader = request
                    self._take(tokens_per_batch)
                    return True
                request.awake.clear()
            request.awake.wait()

    def _take(self, tokens_per_batch: int) -> None:
        """Make the next batch; the lock is held, and the leader has texts that wait."""
        for request in list(self._waiting):
            if request.watch.cancelled.is_set() and request is not self._leader:
                self._drop(request)
        waiting = list(self._waiting)
        due = self._n_urgent >= _URGENT_IN_A_ROW
        if self._clock() - self._urgent_at < _URGENT_LATELY_S and (
            due or not any(request.urgent for request in waiting)
        ):
            tokens_per_batch = max(1, tokens_per_batch // 2)
        shares = choose(waiting, tokens_per_batch, bulk_is_due=due)
        first = waiting[shares[0].request]
        self._n_turns += 1
        first.turn = self._n_turns
        self._n_urgent = self._n_urgent + 1 if first.urgent else 0
        for share in shares:
            request = waiting[share.request]
            self._batch += [(request, at) for at in request.take(share.begin, share.end)]
            if not request.positions:
                del self._waiting[request]

    def _run(self, items: Sequence[Item]) -> None:
        """Run texts, in parts where the engine refuses: a failure goes to its text's owner."""
        try:
            found = self._compute([request.ids[position] for request, position in items])
        except EngineError as error:
            if len(items) == 1:
                _fail(*items[0], error)
                return
            # Half may fit where all did not; which text is bad shows when each is alone.
            size = len(items) // 2 if isinstance(error, EngineMemoryError) else 1
            for begin in range(0, len(items), size):
                self._run(items[begin : begin + size])
            return
        begin = 0
        for request, shared in groupby(items, key=itemgetter(0)):
            positions = [position for _, position in shared]
            end = begin + len(positions)
            request.rows[positions] = found[begin:end]
            begin = end
        for at in np.flatnonzero(~np.isfinite(found).all(axis=1)):
            request, position = items[int(at)]
            request.failures[position] = f"{self._name} gave NaN or infinite values"

    def _finish(self) -> None:
        """Hand the batch out: wake those whose texts are done."""
        with self._lock:
            for request, _ in self._batch:
                request.n_left -= 1
                if request.error is not None:
                    self._drop(request)
                elif request.n_left == 0:
                    request.awake.set()
            self._batch = []
            self._leader = None

    def _leave(self, request: _Request) -> None:
        """Take a request out, whatever became of it, and let another thread lead."""
        with self._lock:
            self._drop(request)
            request.gone = True
            if self._leader is request:  # interrupted in the middle of a batch
                for owner, position in self._batch:
                    if not owner.gone:
                        owner.add([position])
                        self._waiting[owner] = None
                self._batch = []
                self._leader = None
            if self._leader is None and self._waiting:
                next(iter(self._waiting)).awake.set()

    def _drop(self, request: _Request) -> None:
        request.drop()
        self._waiting.pop(request, None)
        request.awake.set()


def _fail(request: _Request, position: int, error: EngineError) -> None:
    if isinstance(error, EngineMemoryError):
        request.error = error
    else:
        request.failures[position] = str(error)
