"""Vectors of recent texts, kept for a while: the ones asked for most often for their age."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from embedwell.core.build import BuildRecord
from embedwell.core.space import Kind
from embedwell.core.vectors import FloatArray, IntArray

# What an entry takes beside its vector and its text: objects, headers and places in tables.
_OVERHEAD_BYTES = 512
# Age starts here, in look-ups for each entry that the cache may hold. With 0 (hyperbolic caching,
# Blankstein et al. 2017) a new text outweighs one that is asked for steadily, 2 to 4 points of hit
# rate below LFU; the more, the nearer to LFU and the slower to follow a change (docs/caches.md).
_FIRST_AGE = 6
# The lowest score is looked for among so many entries: all of them, by default.
_COMPARED = 4096
# A call of more texts than this part of the entries would push the others' out.
_BULK_PART = 16


class Origin(NamedTuple):
    """What besides its text a vector is asked by."""

    space: str
    artifact: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a text.

    Attributes:
        vector: float32, shape (d,); not to be written to.
        n_tokens: Its tokens before any cut.
        build: What computed the vector.
    """

    vector: FloatArray
    n_tokens: int
    build: BuildRecord


@dataclass(frozen=True)
class CacheStatistics:
    """What a cache holds and did.

    Attributes:
        hits: Texts that were found.
        misses: Texts that were not.
        entries: Vectors held now.
        bytes: Memory that they take, texts and tables included.
        evictions: Vectors that gave way to others, or to less room.
        expirations: Vectors that were too old.
    """

    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0
    evictions: int = 0
    expirations: int = 0


class _Entry:
    """A vector in the cache, whole or packed."""

    __slots__ = ("build", "n_bytes", "n_tokens", "packed", "place", "scale", "since")

    def __init__(
        self, vector: FloatArray, n_tokens: int, build: BuildRecord, text: str, *, half: bool
    ) -> None:
        self.packed: npt.NDArray[np.floating[Any]]
        self.packed, self.scale = pack(vector) if half else (vector.copy(), 1.0)
        self.packed.setflags(write=False)
        self.n_tokens = n_tokens
        self.build = build
        self.n_bytes = self.packed.nbytes + sys.getsizeof(text) + _OVERHEAD_BYTES
        self.place = 0
        self.since = 0.0


class VectorCache:
    """Bounded in entries, in bytes and in time. Safe to call from several threads.

    The text with the lowest score gives way: how often it was asked for, divided by the number of
    look-ups since it was first asked for plus `_FIRST_AGE` times the entries. Counts of as many
    texts that gave way are remembered, so that one that comes back need not begin anew.

    Args:
        entries: Most vectors; 0 keeps none.
        n_bytes: Most memory.
        ttl_s: Seconds after which a vector is forgotten, used or not.
        half: Whether to keep vectors as float16, with a cosine error below 0.001.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        entries: int = 1000,
        n_bytes: int = 8 << 20,
        ttl_s: float = 600.0,
        *,
        half: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = (entries, n_bytes)
        self._most_entries, self._most_bytes = entries, n_bytes
        self._ttl_s, self._half, self._clock = ttl_s, half, clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[Origin, str], _Entry] = OrderedDict()  # oldest first
        self._gone: OrderedDict[int, tuple[int, int]] = OrderedDict()  # uses, first use by hash
        # By the entries' places, without gaps:
        self._keys: list[tuple[Origin, str]] = []
        self._uses: IntArray = np.zeros(64, np.int64)
        self._first_use: IntArray = np.zeros(64, np.int64)
        self._epoch = self._bytes = 0
        self._hits = self._misses = self._evictions = self._expirations = 0

    @property
    def epoch(self) -> int:
        """Changes when anything is invalidated; read it before computing what is to be kept."""
        return self._epoch

    def is_bulk(self, n_texts: int) -> bool:
        """Whether a call of so many texts is too large to be kept: it would push out the rest."""
        return n_texts > max(self._limits[0] // _BULK_PART, 1)

    def find(self, origin: Origin, texts: Sequence[str]) -> list[Kept | None]:
        """What is kept of each text."""
        with self._lock:
            self._expire()
            return [self._find((origin, text)) for text in texts]

    def keep(
        self,
        origin: Origin,
        texts: Sequence[str],
        vectors: FloatArray,
        n_tokens: IntArray,
        build: BuildRecord,
        *,
        epoch: int,
    ) -> None:
        """Keep vectors, unless anything was invalidated meanwhile.

        Args:
            origin: Where they come from.
            texts: n texts.
            vectors: float32, shape (n, d), finite.
            n_tokens: int64, shape (n,).
            build: What computed the vectors.
            epoch: `epoch` as it was before the vectors were computed.
        """
        new = [
            (text, _Entry(vector, int(count), build, text, half=self._half))
            for text, vector, count in zip(texts, vectors, n_tokens, strict=True)
        ]
        with self._lock:
            self._expire()
            if epoch == self._epoch:
                for text, entry in new:
                    self._put((origin, text), entry)

    def invalidate(
        self, *, text: str | None = None, space: str | None = None, prefix: str | None = None
    ) -> int:
        """Forget what fits all that is given; everything where nothing is.

        Args:
            text: This text only.
            space: Id of the space.
            prefix: What the texts begin with.

        Returns:
            How many vectors were forgotten. None that was being computed will be kept.
        """
        with self._lock:
            self._epoch += 1
            found = [
                key
                for key in self._entries
                if (text is None or key[1] == text)
                and (space is None or key[0].space == space)
                and (prefix is None or key[1].startswith(prefix))
            ]
            for key in found:
                self._remove(key)
            return len(found)

    def set_share(self, share: float) -> None:
        """Take less room, or all of it again.

        Args:
            share: 0..1, of the entries and bytes that it was made with.
        """
        with self._lock:
            self._most_entries, self._most_bytes = (int(share * limit) for limit in self._limits)
            while self._is_over(0, 0):
                self._evict()
            while len(self._gone) > self._most_entries:
                self._gone.popitem(last=False)

    def statistics(self) -> CacheStatistics:
        """What it holds and did."""
        with self._lock:
            self._expire()
            return CacheStatistics(
                self._hits,
                self._misses,
                len(self._entries),
                self._bytes,
                self._evictions,
                self._expirations,
            )

    def _find(self, key: tuple[Origin, str]) -> Kept | None:
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return None
        self._hits += 1
        self._uses[entry.place] += 1
        vector = entry.packed.astype(np.float32, copy=False)
        if self._half:
            vector = vector * np.float32(entry.scale)
        return Kept(vector, entry.n_tokens, entry.build)

    def _put(self, key: tuple[Origin, str], entry: _Entry) -> None:
        if key in self._entries or entry.n_bytes > self._most_bytes // _BULK_PART:
            return
        uses, first_use = self._gone.pop(hash(key), (0, self._hits + self._misses))
        while self._entries and self._is_over(1, entry.n_bytes):
            self._evict()
        if self._is_over(1, entry.n_bytes):
            return
        entry.place, entry.since = len(self._keys), self._clock()
        if entry.place == len(self._uses):
            self._uses = np.resize(self._uses, 2 * entry.place)
            self._first_use = np.resize(self._first_use, 2 * entry.place)
        self._keys.append(key)
        self._uses[entry.place], self._first_use[entry.place] = uses + 1, first_use
        self._entries[key] = entry
        self._bytes += entry.n_bytes

    def _is_over(self, entries: int, n_bytes: int) -> bool:
        return (
            len(self._entries) + entries > self._most_entries
            or self._bytes + n_bytes > self._most_bytes
        )

    def _evict(self) -> None:
        first = random.randrange(max(len(self._keys) - _COMPARED, 0) + 1)  # noqa: S311  # no secret
        some = slice(first, min(first + _COMPARED, len(self._keys)))
        age = self._hits + self._misses - self._first_use[some] + _FIRST_AGE * self._limits[0]
        place = first + int(np.argmin(self._uses[some] / age))
        key = self._keys[place]
        self._gone[hash(key)] = (int(self._uses[place]), int(self._first_use[place]))
        if len(self._gone) > self._most_entries:
            self._gone.popitem(last=False)
        self._remove(key)
        self._evictions += 1

    def _expire(self) -> None:
        before = self._clock() - self._ttl_s
        while self._entries:
            key = next(iter(self._entries))
            if self._entries[key].since > before:
                return
            self._remove(key)
            self._expirations += 1

    def _remove(self, key: tuple[Origin, str]) -> None:
        """Take an entry out; the last one takes its place."""
        entry = self._entries.pop(key)
        self._bytes -= entry.n_bytes
        last = self._keys.pop()
        if last != key:
            at, end = entry.place, len(self._keys)
            self._keys[at] = last
            self._entries[last].place = at
            self._uses[at], self._first_use[at] = self._uses[end], self._first_use[end]


def pack(vector: FloatArray) -> tuple[npt.NDArray[np.float16], float]:
    """A vector in half the memory.

    Args:
        vector: float32, shape (d,), finite.

    Returns:
        float16, shape (d,), at most 1; and what to multiply it by, which keeps its length exact.
    """
    exact = vector.astype(np.float64)
    largest = float(np.abs(exact).max()) or 1.0
    packed = (exact / largest).astype(np.float16)
    length = float(np.linalg.norm(packed.astype(np.float64)))
    return packed, float(np.linalg.norm(exact)) / length if length else 0.0
