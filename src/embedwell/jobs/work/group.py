"""Documents that are embedded and stored together, and the vectors that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from embedwell.ingest.embed import with_vectors
from embedwell.ingest.lanes import Lane, Lanes
from embedwell.ingest.prepare import Prepared
from embedwell.jobs.work.prepare import Ready
from embedwell.jobs.work.share import Share
from embedwell.stores.protocol import DocumentChunks
from embedwell.stores.queue import Outcome


@dataclass(frozen=True)
class Group:
    """Rows that are finished in one transaction.

    Attributes:
        rows: What was read.
        lanes: Who embeds.
        shares: What each of them has to do, in their order.
    """

    rows: Sequence[Ready]
    lanes: Lanes
    shares: Sequence[Share]

    @classmethod
    def of(cls, rows: Sequence[Ready], lanes: Lanes) -> Group:
        """The rows, and what is to be embedded of them."""
        return cls(rows, lanes, [Share(lane, _texts(rows, lane)) for lane in lanes.all])

    @property
    def n_chunks(self) -> int:
        """Chunks of all its documents."""
        return sum(len(row.prepared.chunks) for row in self.rows if row.prepared is not None)

    @property
    def n_embedded(self) -> int:
        """Texts that went through a model for it."""
        return sum(share.n_embedded for share in self.shares)

    @property
    def n_truncated(self) -> int:
        """Those that were longer than the model takes."""
        return sum(share.n_truncated for share in self.shares)

    def lend(self, others: Sequence[Group]) -> None:
        """Give later groups the vectors that they borrow, or the reason why there are none."""
        for at, share in enumerate(self.shares):
            share.lend([other.shares[at] for other in others])

    def documents(self) -> list[DocumentChunks]:
        """What is to be stored; a document with a text that failed has no chunks."""
        found, known = [], [share.known for share in self.shares]
        for row in self.rows:
            if row.prepared is None:
                continue
            prepared = row.prepared
            if self._failure(row):
                prepared = Prepared(prepared.document, [], [])
            found.append(with_vectors(prepared, self.lanes, known))
        return found

    def outcomes(self) -> list[Outcome]:
        """What becomes of its rows."""
        chunk_s = sum(share.embed_s for share in self.shares) / max(self.n_chunks, 1)
        return [self._outcome(row, chunk_s) for row in self.rows]

    def _outcome(self, row: Ready, chunk_s: float) -> Outcome:
        if row.prepared is None or row.outcome.status != "done":
            return row.outcome
        if failure := self._failure(row):
            return replace(row.outcome, status="failed", error=failure, n_chunks=0)
        n_chunks = len(row.prepared.chunks)
        names = {chunk.embedded_sha256 for chunk in row.prepared.chunks}
        tokens = sum(
            share.tokens.get(name, 0) for share in self._shares_of(row.prepared) for name in names
        )
        times = replace(row.outcome.times, embed_s=chunk_s * n_chunks)
        return replace(row.outcome, times=times, n_tokens=tokens)

    def _failure(self, row: Ready) -> str:
        """Why a document cannot be embedded; empty where it can."""
        if row.prepared is None:
            return ""
        for share in self._shares_of(row.prepared):
            for at, chunk in enumerate(row.prepared.chunks if share.bad else ()):
                if reason := share.bad.get(chunk.embedded_sha256):
                    return f"passage {at + 1} of {len(row.prepared.chunks)}: {reason}"
        return ""

    def _shares_of(self, prepared: Prepared) -> list[Share]:
        kind = prepared.document.kind
        return [share for share in self.shares if kind in share.lane.holds]


def _texts(rows: Sequence[Ready], lane: Lane) -> dict[str, str]:
    """What a lane has to embed, each distinct text once, by its hash."""
    return {
        chunk.embedded_sha256: text
        for row in rows
        if row.prepared is not None and row.prepared.document.kind in lane.holds
        for chunk, text in zip(row.prepared.chunks, row.prepared.texts, strict=True)
    }
