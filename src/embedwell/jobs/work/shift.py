"""One worker at the spaces of a store: claim, read, cut, embed and store, all at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial

from embedwell.core.errors import (
    CodeMemoryError,
    EmbedwellError,
    SpaceMovedError,
    TaskCancelledError,
)
from embedwell.core.events import Progress, Watch
from embedwell.ingest.lanes import Lanes
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.jobs.work.claims import Claims
from embedwell.jobs.work.embedding import Embedding, accept_share, embed_share
from embedwell.jobs.work.group import Group
from embedwell.jobs.work.heartbeat import Heartbeat
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.patience import Patience
from embedwell.jobs.work.prepare import Cutting, Ready, prepare_task
from embedwell.jobs.work.rest import Rest
from embedwell.jobs.work.retries import unprepared
from embedwell.jobs.work.stage import Stage
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Outcome, Task

# Embedded and committed together until they hold so much: enough to fill batches across documents,
# little enough that a crash loses seconds.
_CHUNKS_AT_ONCE, _ROWS_AT_ONCE = 256, 500
_CHUNKS_AT_LEAST = 32  # what an idle engine gets at once
_GROUP_S = 2.0  # a slow engine gets fewer, so that others are not kept waiting for the last
_GROUPS_AHEAD = 2
# Of the files that are being read; a larger one comes alone.
_BYTES_INSIDE = 16 << 20
_LOOK_S, _TELL_EVERY_S = 0.2, 1.0


def group_size(chunks_per_s: float) -> int:
    """How many chunks are embedded and stored together.

    Args:
        chunks_per_s: How fast the engine was lately.
    """
    return int(min(max(chunks_per_s * _GROUP_S, _CHUNKS_AT_LEAST), _CHUNKS_AT_ONCE))


_Embeddings = list[Embedding | CodeMemoryError | None]
"""What came of each share of a group; None where it had nothing to embed."""


class Shift:
    """Working for a store's spaces, until there is nothing to do or it moves on to others.

    The calling thread owns the store. A second thread reads and cuts, a third embeds. What is
    between them is bounded, so that memory is too, and the embedder has its next batch before it
    is done with one.

    Args:
        store: Whose queue.
        lanes: Who embeds. One alone proves itself before the first claim; each of a pair loads
            its model and proves itself when something of its kind comes.
        watch: Told of progress in bytes; stops within a batch.
        options: How.
        heart: The worker's.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        watch: Watch,
        options: WorkOptions,
        heart: Heartbeat,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._watch = watch
        self._quiet = Watch(cancelled=watch.cancelled)  # progress is told in bytes of files
        self._inside = Watch()  # for the two threads
        self._options = options
        self._report = heart.report
        self._heart = heart
        self._patience = heart.patience
        self._engine_patience = Patience(options.patience_s, self._inside, heart.complain)
        self._claims = Claims(store.queue, options, heart)
        self._total_bytes = heart.report.n_bytes + self._claims.n_bytes_left
        self._rest = Rest(store, lanes, watch, options, heart)
        self._sources: dict[int, tuple[str, SourceReader]] = {}
        chunk_tokens = heart.patience.with_store(lambda: store.settings).chunk_tokens
        self._cutting = Cutting(lanes.token_starts, chunk_tokens)
        self._told_at = time.monotonic()
        self._wake = threading.Event()
        self._claimed: deque[Task] = deque()
        self._bytes_inside = 0
        self._ready: list[Ready] = []
        self._n_ready = 0  # chunks of these
        self._chunks_at_once = _CHUNKS_AT_LEAST  # until it is known how fast the engine is
        self._groups: list[Group] = []  # at the embedder, in the order in which they come back
        self._prepare: Stage[Task, Ready] = Stage("prepare", self._prepared, self._wake.set)
        self._embed: Stage[Group, _Embeddings] = Stage("embed", self._embedded, self._wake.set)

    def run(self) -> bool:
        """Work; gives whether all is done, rather than the store having moved on.

        Raises:
            CanaryError: The run is stopped.
            DriftError: The embedder's build is not fit for the store.
            TaskCancelledError: `watch` was asked to stop; what was embedded by then is stored.
        """
        try:
            self._greet()
            while not self._turn():
                pass
        except SpaceMovedError:
            name = self._options.worker.name
            self._patience.with_store(lambda: self._store.queue.release(name))
            return False
        except TaskCancelledError:
            self._close()
            self._keep_embedded()
            raise
        finally:
            self._close()
        return True

    def _greet(self) -> None:
        """Prove the embedder to the store; of a pair nobody knows yet which is needed."""
        if self._lanes.code is None:
            greet = partial(self._lanes.main.embedder.greet, self._quiet)
            self._patience.with_engine(lambda: self._patience.with_store(greet))

    def _turn(self) -> bool:
        """Do what can be done now, or wait for it; gives whether all is done."""
        self._watch.check("index")
        self._heart.beat_if_due()
        self._rest.tend(self._claims.n_left)
        self._wake.clear()
        moved = self._store_embedded()
        moved |= self._collect()
        moved |= self._send()
        moved |= self._claim()
        self._feed()
        if moved:
            self._rest.reset()
            self._heart.be("working")
            return False
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._tell()
        if not self._n_in_hand:
            return self._rest.take()
        self._wake.wait(_LOOK_S)
        return False

    @property
    def _n_unread(self) -> int:
        return len(self._claimed) + self._prepare.n_inside

    @property
    def _n_in_hand(self) -> int:
        return self._n_unread + len(self._ready) + sum(len(group.rows) for group in self._groups)

    def _claim(self) -> bool:
        """Have the next rows read while those before are embedded."""
        if self._embed.n_inside >= _GROUPS_AHEAD and self._is_full:
            return False
        tasks = self._claims.take(self._n_unread, self._n_in_hand)
        for task in tasks:
            self._open_source(task.source)
        self._claimed += tasks
        return bool(tasks)

    def _open_source(self, number: int) -> None:
        if number not in self._sources:
            for source in self._patience.with_store(self._store.queue.sources):
                if source.number == number:
                    self._sources[number] = source.prefix, self._options.readers(source)

    def _feed(self) -> None:
        """Give the reading thread as many files as memory has room for."""
        while self._claimed:
            size_bytes = self._claimed[0].item.size_bytes
            if self._prepare.n_inside and self._bytes_inside + size_bytes > _BYTES_INSIDE:
                return
            self._bytes_inside += size_bytes
            self._prepare.put(self._claimed.popleft())

    def _prepared(self, task: Task) -> Ready:
        """In the thread that reads."""
        prefix, reader = self._sources[task.source]
        try:
            return self._engine_patience.with_engine(  # a service may be asked for the tokens
                lambda: prepare_task(task, prefix, reader, self._options.extract, self._cutting)
            )
        except CodeMemoryError as error:  # its tokens come with the model; text goes on
            return Ready(Outcome(task, "failed", str(error)))

    def _collect(self) -> bool:
        """Take what was read, until it makes a group."""
        moved = False
        while not self._is_full and (found := self._prepare.take()):
            task, ready = found
            self._bytes_inside -= task.item.size_bytes
            if isinstance(ready, EmbedwellError):
                raise ready
            if isinstance(ready, Exception):
                ready = Ready(unprepared(task, ready))
            self._ready.append(ready)
            self._n_ready += ready.outcome.n_chunks
            moved = True
        return moved

    @property
    def _is_full(self) -> bool:
        return self._n_ready >= self._chunks_at_once or len(self._ready) >= _ROWS_AT_ONCE

    def _send(self) -> bool:
        """Send what makes a group, or what there is where the engine has nothing else."""
        is_enough = self._n_ready >= _CHUNKS_AT_LEAST or not self._n_unread
        is_wanted = bool(self._ready) and is_enough and not self._embed.n_inside
        if self._embed.n_inside >= _GROUPS_AHEAD or not (self._is_full or is_wanted):
            return False
        group = Group.of(self._ready, self._lanes)
        self._ready, self._n_ready = [], 0
        self._look_up(group)
        self._groups.append(group)
        self._embed.put(group)
        return True

    def _look_up(self, group: Group) -> None:
        """Find out what of a group is stored, or on its way."""
        for at, share in enumerate(group.shares):
            promised = frozenset(name for other in self._groups for name in other.shares[at].new)
            find = partial(
                self._store.known_vectors, list(share.texts), space=share.lane.embedder.number
            )
            share.look_up(self._patience.with_store(find) if share.texts else {}, promised)

    def _embedded(self, group: Group) -> _Embeddings:
        """In the thread that embeds."""
        return [
            embed_share(share, self._inside, self._engine_patience) if share.new else None
            for share in group.shares
        ]

    def _store_embedded(self) -> bool:
        """Write the group that was embedded first."""
        taken = self._embed.take()
        if taken is None:
            return False
        group, embeddings = taken
        if isinstance(embeddings, Exception):
            raise embeddings
        self._accept(group, embeddings)
        self._groups.remove(group)
        group.lend(self._groups)
        self._put(group)
        return True

    def _accept(self, group: Group, embeddings: _Embeddings) -> None:
        """Have a group's vectors admitted, and see how fast they came."""
        for share, embedding in zip(group.shares, embeddings, strict=True):
            if embedding is not None:
                accept_share(share, embedding, self._quiet, self._patience)
        if group.n_embedded:
            took_s = sum(share.embed_s for share in group.shares)
            self._chunks_at_once = group_size(group.n_embedded / max(took_s, 1e-6))

    def _put(self, group: Group) -> None:
        documents, outcomes = group.documents(), group.outcomes()
        main, code = self._lanes.main.embedder.number, self._lanes.code_number
        touched = {row.outcome.task.item.key: row.stat for row in group.rows if row.stat}
        if touched:
            self._patience.with_store(lambda: self._store.touch(touched))
        lost = self._patience.with_store(
            lambda: self._store.put(documents, space=main, code=code, outcomes=outcomes)
        )
        self._report.count(group, outcomes, lost)
        self._tell()

    def _tell(self) -> None:
        """Tell of progress; never the place to stop."""
        self._told_at = time.monotonic()
        total = max(self._total_bytes, self._report.n_bytes)
        self._watch.listener(Progress("index", self._report.n_bytes, total, "bytes"))

    def _keep_embedded(self) -> None:
        """Store what was embedded before the wish to stop came; the rest is given back."""
        with suppress(EmbedwellError):
            while self._store_embedded():
                pass

    def _close(self) -> None:
        self._inside.cancelled.set()
        self._prepare.close()
        self._embed.close()
        self._rest.close()
