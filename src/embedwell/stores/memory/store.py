"""A store in memory: slow, exact, plainly right. For tests, of users' code too."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embedwell.core.errors import StoreBusyError, StoreError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.filters import check_filter, lets_through, metadata_rows
from embedwell.stores.index import DECIMALS
from embedwell.stores.leases import still_held
from embedwell.stores.memory.queue import MemoryQueue
from embedwell.stores.memory.rows import Documents
from embedwell.stores.memory.spaces import MemorySpaces
from embedwell.stores.pairs import check_known, given_vectors
from embedwell.stores.protocol import (
    ChunkKind,
    CollectionSettings,
    Compacted,
    Counts,
    Document,
    DocumentChunks,
    Filter,
    FoundChunk,
    Scored,
    Stat,
    StoredChunk,
)
from embedwell.stores.queue import Outcome
from embedwell.stores.words import name_pieces, query_words, telling_words

_WORD = re.compile(r"[^\W_]+")
_K1, _B = 1.2, 0.75


@dataclass(frozen=True)
class _Entry:
    """A chunk with its document's key and its words."""

    key: str
    chunk: StoredChunk
    words: Counter[str]


class MemoryStore:
    """`Store` by loops over dictionaries. Its words are not stemmed; the rest is the contract.

    Args:
        settings: What is fixed.
    """

    def __init__(self, settings: CollectionSettings) -> None:
        self._chunk_tokens = settings.chunk_tokens
        self._documents: dict[str, Document] = {}
        self._entries: dict[int, _Entry] = {}
        self._last_id = 0
        self._busy = False
        self._spaces = MemorySpaces(settings, lambda: self._entries, self._found)
        self._queue = MemoryQueue(
            Documents(self._documents, self._n_chunks, self._n_vectors, self._remove)
        )

    @property
    def settings(self) -> CollectionSettings:
        """What it is made for, with the space that is the main one now."""
        return self._spaces.searched().settings(self._chunk_tokens)

    @property
    def spaces(self) -> MemorySpaces:
        """The spaces that it holds vectors of."""
        return self._spaces

    @property
    def queue(self) -> MemoryQueue:
        """What is to be read into it, and what became of it."""
        return self._queue

    @property
    def index_kind(self) -> str:
        """Every vector is compared."""
        return "exact"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only long writer."""
        if self._busy:
            raise StoreBusyError("Another job is writing.", "Wait until it is done.")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """There is nobody else to write."""
        yield

    def stats(self, source: int | None = None) -> Mapping[str, Stat]:
        """Size and time by key: of each file, or of each file and record of one source."""
        return {
            key: Stat(document.size_bytes, document.mtime_ns)
            for key, document in self._documents.items()
            if (not document.is_record if source is None else document.source == source)
        }

    def records(self) -> list[str]:
        """Keys of the documents that programs added, in order."""
        return sorted(key for key, document in self._documents.items() if document.is_record)

    def set_chunk_tokens(self, chunk_tokens: int) -> None:
        """Change how long chunks may be that are cut from now on."""
        self._chunk_tokens = chunk_tokens

    def known_vectors(
        self, hashes: Sequence[str], *, space: int | None = None
    ) -> Mapping[str, FloatArray]:
        """Vectors already stored, by `embedded_sha256`."""
        wanted = set(hashes)
        return {
            sha256: row
            for number, row in self._rows(space).items()
            if (sha256 := self._entries[number].chunk.embedded_sha256) in wanted
        }

    def put(
        self,
        documents: Sequence[DocumentChunks],
        *,
        space: int | None = None,
        code: int | None = None,
        outcomes: Sequence[Outcome] = (),
    ) -> frozenset[int]:
        """Insert or replace whole documents with their vectors; finish queue rows."""
        lost = self._queue.lost(outcomes)
        documents = still_held(documents, outcomes, lost)
        there = self._spaces.searched()
        is_told = check_known(there, space, code, "The store")
        given = given_vectors(documents, there, is_told=is_told)
        for item in documents:
            metadata_rows(item.document.metadata)
        chunk_ids = [self._add(item) for item in documents]
        for one in given:
            ids = [chunk for at in one.documents for chunk in chunk_ids[at]]
            rows = dict(zip(ids, one.halves.astype(np.float32), strict=True))
            self._spaces.store(
                one.space.number, {n: row for n, row in rows.items() if n in self._entries}
            )
        self._queue.finish([one for one in outcomes if one.task.id not in lost])
        return lost

    def touch(self, stats: Mapping[str, Stat]) -> None:
        """Renew size and time of files whose content did not change."""
        for key, stat in stats.items():
            document = self._documents.get(key)
            if document and not document.is_record:
                self._documents[key] = replace(
                    document, size_bytes=stat.size_bytes, mtime_ns=stat.mtime_ns
                )

    def delete(self, keys: Iterable[str]) -> int:
        """Remove documents and their rows of the queue; returns how many documents there were."""
        wanted = set(keys)
        self._queue.forget(wanted)
        return self._remove(wanted)

    def tend_index(self, n_waiting: int, watch: Watch) -> None:
        """Nothing to do."""

    def warm(self, *, space: int | None = None) -> None:
        """Everything is in memory."""
        self._rows(space)

    def nearest(
        self, vector: FloatArray, k: int, where: Filter, *, space: int | None = None
    ) -> Scored:
        """The k chunks with the highest cosine."""
        rows = self._rows(space)
        self._check(vector, space)
        check_filter(where)
        return self._best({number: _cosine(row, vector) for number, row in rows.items()}, k, where)

    def similarities(
        self, vector: FloatArray, ids: IntArray, *, space: int | None = None
    ) -> FloatArray:
        """Cosine to given chunks, -1 for those without a vector."""
        rows = self._rows(space)
        self._check(vector, space)
        if not set(ids.tolist()) <= set(self._entries):
            raise StoreError("Some chunk ids are not in the index.", "Search again.")
        values = [_cosine(rows[n], vector) if n in rows else -1 for n in ids.tolist()]
        return np.array(values, np.float32)

    def matching(self, query: str, k: int, where: Filter) -> Scored:
        """The k chunks with the highest BM25."""
        check_filter(where)
        score = self._bm25(query)
        scores = {number: score(entry) for number, entry in self._entries.items()}
        return self._best({n: value for n, value in scores.items() if value > 0}, k, where)

    def match_scores(self, query: str, ids: IntArray) -> FloatArray:
        """BM25 for given chunks."""
        score = self._bm25(query)
        return np.array(
            [score(self._entries[n]) if n in self._entries else 0 for n in ids.tolist()],
            np.float32,
        )

    def chunks(self, ids: Sequence[int]) -> list[FoundChunk]:
        """Chunks by id, in the order asked for; unknown ids are left out."""
        return [self._found(int(n)) for n in ids if int(n) in self._entries]

    def passages(self, key: str) -> list[FoundChunk]:
        """All chunks of a document as they follow one another."""
        found = [self._found(n) for n, entry in self._entries.items() if entry.key == key]
        return sorted(found, key=lambda one: (one.chunk.start, one.id))

    def counts(self) -> Counts:
        """Documents, chunks, and no bytes."""
        return Counts(len(self._documents), len(self._entries), 0)

    def n_chunks(self, kind: ChunkKind) -> int:
        """How many chunks of documents of a kind there are."""
        return sum(self._documents[entry.key].kind == kind for entry in self._entries.values())

    def check(self) -> list[str]:
        """Nothing can break."""
        return []

    def free_bytes(self) -> int | None:
        """Nobody knows."""
        return None

    def compact(self) -> Compacted:
        """There is nothing to give back."""
        return Compacted(0, 0)

    def backup(self, target: Path) -> None:
        """Refuse."""
        raise StoreError(f"A store in memory cannot be written to {target}.", "Use a file.")

    def close(self) -> None:
        """Nothing to let go of."""

    def _add(self, item: DocumentChunks) -> range:
        """Put a document in the place of the one with its key; gives the ids of its chunks."""
        self._remove([item.document.key])
        self._documents[item.document.key] = item.document
        ids = range(self._last_id + 1, self._last_id + 1 + len(item.chunks))
        for number, chunk in zip(ids, item.chunks, strict=True):
            self._entries[number] = _entry(item.document.key, chunk)
        self._last_id += len(ids)
        return ids

    def _remove(self, keys: Iterable[str]) -> int:
        gone = {key for key in keys if self._documents.pop(key, None)}
        for number in [n for n, entry in self._entries.items() if entry.key in gone]:
            del self._entries[number]
            self._spaces.forget(number)
        return len(gone)

    def _found(self, number: int) -> FoundChunk:
        entry = self._entries[number]
        document = self._documents[entry.key]
        return FoundChunk(
            number,
            entry.key,
            document.kind,
            document.language,
            dict(document.metadata),
            entry.chunk,
        )

    def _n_chunks(self, key: str) -> int:
        return sum(entry.key == key for entry in self._entries.values())

    def _n_vectors(self, key: str) -> int:
        held = [n for n, entry in self._entries.items() if entry.key == key]
        spaces = self._spaces.all()
        return sum(n in self._spaces.rows(stored.number) for stored in spaces for n in held)

    def _rows(self, space: int | None) -> Mapping[int, FloatArray]:
        return self._spaces.rows(self._spaces.main().number if space is None else space)

    def _check(self, vector: FloatArray, space: int | None) -> None:
        stored = self._spaces.main() if space is None else self._spaces.get(space)
        check_vectors(np.asarray(vector)[None], stored.space.dimensions)

    def _best(self, scores: Mapping[int, float], k: int, where: Filter) -> Scored:
        found = sorted(
            (-round(value, DECIMALS), number)
            for number, value in scores.items()
            if lets_through(where, self._documents[self._entries[number].key])
        )[: max(k, 0)]
        ids = np.array([number for _, number in found], np.int64)
        return Scored(ids, np.array([-value for value, _ in found], np.float32))

    def _bm25(self, query: str) -> Callable[[_Entry], float]:
        """BM25 as SQLite's FTS5 documents it, over all of a chunk's words."""
        n = len(self._entries)
        having = Counter(word for entry in self._entries.values() for word in entry.words)
        found = {
            plain: having[plain] for word in query_words(query) if having[plain := _plain(word)]
        }
        rarity = {
            word: max(math.log((n - found[word] + 0.5) / (found[word] + 0.5)), 1e-6)
            for word in telling_words(found, n)
        }
        mean = sum(entry.words.total() for entry in self._entries.values()) / max(n, 1)

        def score(entry: _Entry) -> float:
            length = _K1 * (1 - _B + _B * entry.words.total() / max(mean, 1e-9))
            return sum(
                idf * entry.words[word] * (_K1 + 1) / (entry.words[word] + length)
                for word, idf in rarity.items()
            )

        return score


def _entry(key: str, chunk: StoredChunk) -> _Entry:
    text = f"{chunk.title}\n{key}\n{chunk.text}"
    words = _WORD.findall(_plain(text)) + [_plain(piece) for piece in name_pieces(text)]
    return _Entry(key, chunk, Counter(words))


def _plain(text: str) -> str:
    """Lower case without accents."""
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(mark for mark in apart if not unicodedata.combining(mark))


def _cosine(stored: FloatArray, vector: FloatArray) -> float:
    one, other = stored.astype(np.float64), np.asarray(vector, np.float64)
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
