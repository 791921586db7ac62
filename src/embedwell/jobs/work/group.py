"""Documents that are embedded and stored together, and the vectors that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from embedwell.core.embedded import Embedded
from embedwell.core.vectors import FloatArray
from embedwell.jobs.work.prepare import Ready
from embedwell.stores.protocol import DocumentChunks
from embedwell.stores.queue import Outcome


@dataclass
class Group:
    """Rows that are finished in one transaction.

    Attributes:
        rows: What was read.
        known: Vectors that are stored, by `embedded_sha256`.
        new: Texts that have to be embedded for it, by the same.
        borrowed: Hashes whose texts an earlier group embeds.
        n_embedded: Texts that went through the model for it.
        n_truncated: Those that were longer than the model takes.
        embed_s: Seconds that it took.
        bad: Why the engine failed on some texts, by hash.
        tokens: Tokens of the embedded texts, by hash.
    """

    rows: Sequence[Ready]
    known: dict[str, FloatArray] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    borrowed: frozenset[str] = frozenset()
    n_embedded: int = 0
    n_truncated: int = 0
    embed_s: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        """What is to be embedded, each distinct text once, by its hash."""
        return {
            chunk.embedded_sha256: text
            for row in self.rows
            if row.prepared is not None
            for chunk, text in zip(row.prepared.chunks, row.prepared.texts, strict=True)
        }

    @property
    def n_chunks(self) -> int:
        """Chunks of all its documents."""
        return sum(len(row.prepared.chunks) for row in self.rows if row.prepared is not None)

    def look_up(self, known: Mapping[str, FloatArray], promised: frozenset[str]) -> None:
        """Find out what has to be embedded.

        Args:
            known: Vectors that are stored, by hash.
            promised: Hashes that earlier groups are embedding.
        """
        texts = self.texts
        self.known = dict(known)
        self.borrowed = frozenset(name for name in texts if name in promised and name not in known)
        self.new = {
            name: text
            for name, text in texts.items()
            if name not in known and name not in self.borrowed
        }

    def embedded(self, found: Embedded, failures: Mapping[int, str], took_s: float) -> None:
        """Take in what the engine gave for `new`, in its order."""
        names = list(self.new)
        self.bad = {names[at]: reason for at, reason in failures.items()}
        self.known.update((name, row) for name, row in zip(names, found.vectors, strict=True))
        self.tokens = dict(zip(names, map(int, found.n_tokens), strict=True))
        self.n_embedded, self.n_truncated = len(names), found.n_truncated
        self.embed_s = took_s

    def lend(self, others: Sequence[Group]) -> None:
        """Give later groups the vectors that they borrow, or the reason why there are none."""
        for other in others:
            for name in other.borrowed & self.new.keys():
                other.known[name] = self.known[name]
                if name in self.bad:
                    other.bad[name] = self.bad[name]

    def documents(self, dimensions: int) -> list[DocumentChunks]:
        """What is to be stored; a document with a text that failed has no chunks."""
        found = []
        for row in self.rows:
            if row.prepared is None:
                continue
            chunks = [] if self._failure(row) else list(row.prepared.chunks)
            vectors = [self.known[chunk.embedded_sha256] for chunk in chunks]
            shaped = np.array(vectors, dtype=np.float32).reshape(-1, dimensions)
            found.append(DocumentChunks(row.prepared.document, chunks, shaped))
        return found

    def outcomes(self) -> list[Outcome]:
        """What becomes of its rows."""
        chunk_s = self.embed_s / max(self.n_chunks, 1)
        return [self._outcome(row, chunk_s) for row in self.rows]

    def _outcome(self, row: Ready, chunk_s: float) -> Outcome:
        if row.prepared is None or row.outcome.status != "done":
            return row.outcome
        if failure := self._failure(row):
            return replace(row.outcome, status="failed", error=failure, n_chunks=0)
        n_chunks = len(row.prepared.chunks)
        names = {chunk.embedded_sha256 for chunk in row.prepared.chunks}
        tokens = sum(self.tokens.get(name, 0) for name in names)
        times = replace(row.outcome.times, embed_s=chunk_s * n_chunks)
        return replace(row.outcome, times=times, n_tokens=tokens)

    def _failure(self, row: Ready) -> str:
        """Why a document cannot be embedded; empty where it can."""
        if row.prepared is None or not self.bad:
            return ""
        for at, chunk in enumerate(row.prepared.chunks):
            if reason := self.bad.get(chunk.embedded_sha256):
                return f"passage {at + 1} of {len(row.prepared.chunks)}: {reason}"
        return ""
