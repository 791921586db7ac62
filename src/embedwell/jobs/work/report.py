"""What a worker did, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from embedwell.ingest.walk import Skipped
from embedwell.jobs.work.group import Group
from embedwell.stores.queue import Outcome


@dataclass
class WorkReport:
    """What a worker did.

    Attributes:
        n_done: Documents that were read, embedded and stored.
        n_failed: Rows that failed or were given up.
        n_added: Documents that were not in the store, those without readable content among them.
        n_updated: Documents whose content had changed, as well.
        n_unchanged: Rows whose bytes were those that are stored, or that had gone.
        n_chunks: Chunks that were stored.
        n_embedded: Texts that went through the model.
        n_truncated: Texts that were longer than the model takes.
        n_tokens: Tokens that were embedded.
        n_bytes: Bytes of the rows that are through.
        failed: What could not be read or embedded, and why.
        notes: What was indexed in part.
    """

    n_done: int = 0
    n_failed: int = 0
    n_added: int = 0
    n_updated: int = 0
    n_unchanged: int = 0
    n_chunks: int = 0
    n_embedded: int = 0
    n_truncated: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    failed: list[Skipped] = field(default_factory=list)
    notes: list[Skipped] = field(default_factory=list)

    def count(self, group: Group, outcomes: Sequence[Outcome], lost: frozenset[int]) -> None:
        """Add a group that was written.

        Args:
            group: Which.
            outcomes: What became of its rows, in their order.
            lost: Ids of its tasks that another worker has by now.
        """
        for row, outcome in zip(group.rows, outcomes, strict=True):
            if outcome.task.id in lost or outcome.status == "pending":
                continue
            key = outcome.task.item.key
            if outcome.status in {"failed", "dead"}:
                self.failed.append(Skipped(key, outcome.error))
            self.n_failed += outcome.status in {"failed", "dead"}
            self.n_done += outcome.status == "done"
            if outcome.status == "skipped":
                self.n_unchanged += 1
            elif row.prepared is not None:
                self.n_added += not outcome.task.sha256
                self.n_updated += bool(outcome.task.sha256)
            self.n_chunks += outcome.n_chunks
            self.n_tokens += outcome.n_tokens
            self.n_bytes += outcome.task.item.size_bytes
            self.notes += [Skipped(key, note) for note in row.notes]
        self.n_embedded += group.n_embedded
        self.n_truncated += group.n_truncated
