"""What one space needs for a group of documents: the vectors of their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedwell.core.embedded import Embedded
from embedwell.core.vectors import FloatArray
from embedwell.ingest.lanes import Lane


@dataclass
class Share:
    """The part of a group that one space has.

    Attributes:
        lane: Who embeds it.
        texts: What is to be embedded, each distinct text once, by its hash.
        known: Vectors that are stored, by hash.
        new: Texts that have to be embedded.
        borrowed: Hashes whose texts an earlier group embeds.
        n_truncated: Texts that were longer than the model takes.
        embed_s: Seconds that it took.
        bad: Why the engine failed on some texts, by hash.
        tokens: Tokens of the embedded texts, by hash.
    """

    lane: Lane
    texts: Mapping[str, str]
    known: dict[str, FloatArray] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    borrowed: frozenset[str] = frozenset()
    n_truncated: int = 0
    embed_s: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)

    @property
    def n_embedded(self) -> int:
        """Texts that went through the model."""
        return len(self.tokens)

    def look_up(self, known: Mapping[str, FloatArray], promised: frozenset[str]) -> None:
        """Find out what has to be embedded.

        Args:
            known: Vectors that are stored, by hash.
            promised: Hashes that earlier groups are embedding.
        """
        self.known = dict(known)
        self.borrowed = frozenset(
            name for name in self.texts if name in promised and name not in known
        )
        self.new = {
            name: text
            for name, text in self.texts.items()
            if name not in known and name not in self.borrowed
        }

    def embedded(self, found: Embedded, failures: Mapping[int, str], took_s: float) -> None:
        """Take in what the engine gave for `new`, in its order."""
        names = list(self.new)
        self.bad = {names[at]: reason for at, reason in failures.items()}
        self.known.update((name, row) for name, row in zip(names, found.vectors, strict=True))
        self.tokens = dict(zip(names, map(int, found.n_tokens), strict=True))
        self.n_truncated, self.embed_s = found.n_truncated, took_s

    def failed(self, reason: str) -> None:
        """Nothing of `new` could be embedded."""
        self.bad = dict.fromkeys(self.new, reason)

    def lend(self, others: Sequence[Share]) -> None:
        """Give later groups the vectors that they borrow, or the reason why there are none."""
        for other in others:
            for name in other.borrowed & self.new.keys():
                if name in self.known:
                    other.known[name] = self.known[name]
                if name in self.bad:
                    other.bad[name] = self.bad[name]
