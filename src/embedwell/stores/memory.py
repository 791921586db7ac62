"""A store in memory: slow, exact, plainly right. For tests, of users' code too."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from embedwell.core.errors import StoreBusyError, StoreError
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.filters import check_filter, lets_through, metadata_rows
from embedwell.stores.index import DECIMALS
from embedwell.stores.protocol import (
    CollectionSettings,
    Counts,
    Document,
    DocumentChunks,
    Filter,
    FoundChunk,
    Scored,
    Stat,
    StoredChunk,
)
from embedwell.stores.vectors import to_half
from embedwell.stores.words import name_pieces, query_words, telling_words

_WORD = re.compile(r"[^\W_]+")
_K1, _B = 1.2, 0.75


@dataclass(frozen=True)
class _Entry:
    """A chunk with its document's key, its unit vector (float64) and its words."""

    key: str
    chunk: StoredChunk
    stored: FloatArray
    unit: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    words: Counter[str]


class MemoryStore:
    """`Store` by loops over dictionaries. Its words are not stemmed; the rest is the contract.

    Args:
        settings: What is fixed.
    """

    def __init__(self, settings: CollectionSettings) -> None:
        self._settings = settings
        self._documents: dict[str, Document] = {}
        self._entries: dict[int, _Entry] = {}
        self._last_id = 0
        self._busy = False

    @property
    def settings(self) -> CollectionSettings:
        """What was fixed when it was made."""
        return self._settings

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

    def stats(self) -> Mapping[str, Stat]:
        """Size, time and hash of each file by key."""
        return {
            key: Stat(document.size_bytes, document.mtime_ns, document.sha256)
            for key, document in self._documents.items()
            if not document.is_record
        }

    def known_vectors(self, hashes: Sequence[str]) -> Mapping[str, FloatArray]:
        """Vectors already stored, by `embedded_sha256`."""
        wanted = set(hashes)
        return {
            entry.chunk.embedded_sha256: entry.stored
            for entry in self._entries.values()
            if entry.chunk.embedded_sha256 in wanted
        }

    def put(self, documents: Sequence[DocumentChunks]) -> None:
        """Insert or replace whole documents."""
        for item in documents:
            to_half(item, self._settings.space.dimensions)
            metadata_rows(item.document.metadata)
        for item in documents:
            self.delete([item.document.key])
            self._documents[item.document.key] = item.document
            for chunk, vector in zip(item.chunks, item.vectors, strict=True):
                self._last_id += 1
                self._entries[self._last_id] = _entry(item.document.key, chunk, vector)

    def touch(self, stats: Mapping[str, Stat]) -> None:
        """Renew size and time of files whose content did not change."""
        for key, stat in stats.items():
            document = self._documents.get(key)
            if document and not document.is_record:
                self._documents[key] = replace(
                    document, size_bytes=stat.size_bytes, mtime_ns=stat.mtime_ns
                )

    def delete(self, keys: Iterable[str]) -> int:
        """Remove documents; returns how many there were."""
        gone = {key for key in keys if self._documents.pop(key, None)}
        self._entries = {
            number: entry for number, entry in self._entries.items() if entry.key not in gone
        }
        return len(gone)

    def warm(self) -> None:
        """Everything is in memory."""

    def nearest(self, vector: FloatArray, k: int, where: Filter) -> Scored:
        """The k chunks with the highest cosine."""
        check_vectors(np.asarray(vector)[None], self._settings.space.dimensions)
        check_filter(where)
        return self._best(lambda entry: _cosine(entry, vector), k, where)

    def similarities(self, vector: FloatArray, ids: IntArray) -> FloatArray:
        """Cosine to given chunks."""
        check_vectors(np.asarray(vector)[None], self._settings.space.dimensions)
        if not set(ids.tolist()) <= set(self._entries):
            raise StoreError("Some chunk ids are not in the index.", "Search again.")
        return np.array([_cosine(self._entries[n], vector) for n in ids.tolist()], np.float32)

    def matching(self, query: str, k: int, where: Filter) -> Scored:
        """The k chunks with the highest BM25."""
        check_filter(where)
        return self._best(self._bm25(query), k, where, least=0.0)

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

    def check(self) -> list[str]:
        """Nothing can break."""
        return []

    def close(self) -> None:
        """Nothing to let go of."""

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

    def _best(
        self, score: Callable[[_Entry], float], k: int, where: Filter, least: float = -2.0
    ) -> Scored:
        found = sorted(
            (-round(value, DECIMALS), number)
            for number, entry in self._entries.items()
            if lets_through(where, self._documents[entry.key]) and (value := score(entry)) > least
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


def _entry(key: str, chunk: StoredChunk, vector: FloatArray) -> _Entry:
    stored = np.asarray(vector).astype(np.float16).astype(np.float32)
    unit = stored.astype(np.float64) / np.linalg.norm(stored.astype(np.float64))
    text = f"{chunk.title}\n{key}\n{chunk.text}"
    words = _WORD.findall(_plain(text)) + [_plain(piece) for piece in name_pieces(text)]
    return _Entry(key, chunk, stored, unit, Counter(words))


def _plain(text: str) -> str:
    """Lower case without accents."""
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(mark for mark in apart if not unicodedata.combining(mark))


def _cosine(entry: _Entry, vector: FloatArray) -> float:
    wide = np.asarray(vector, np.float64)
    return float(entry.unit @ (wide / np.linalg.norm(wide)))
