"""Who embeds what is written: one lane for each space of a store that documents go to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from embedwell.chunking.protocol import TokenStarts
from embedwell.core.vectors import IntArray
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.stores.protocol import ChunkKind, Store
from embedwell.stores.spaces import EVERYTHING, Holds


class LoadEmbedder(Protocol):
    """Gives the embedder of a space that is written; cheap where it is there already."""

    def __call__(self, role: Literal["main", "code"] = "main") -> AdmittedEmbedder:
        """The embedder of the main space, or of the code space of a pair."""
        ...


@dataclass(frozen=True)
class Lane:
    """A space that is written.

    Attributes:
        embedder: Embeds for it; of a pair it loads its model when it is first used.
        holds: The kinds of documents that go there.
    """

    embedder: AdmittedEmbedder
    holds: Holds = EVERYTHING


@dataclass(frozen=True)
class Lanes:
    """The spaces of a store that documents go to.

    Attributes:
        main: The main one.
        code: The code one of a pair.
    """

    main: Lane
    code: Lane | None = None

    @property
    def all(self) -> Sequence[Lane]:
        """Each of them."""
        return (self.main, self.code) if self.code else (self.main,)

    @property
    def code_number(self) -> int | None:
        """Number of the code space; None where there is none."""
        return self.code.embedder.number if self.code else None

    def token_starts(self, kind: ChunkKind) -> TokenStarts:
        """How documents of a kind are measured that are cut to a number of tokens.

        What goes to both spaces is cut by whichever of the two counts more tokens in it.
        """
        found = [lane.embedder.token_starts for lane in self.all if kind in lane.holds]
        if len(found) == 1:
            return found[0]

        def most(text: str) -> IntArray:
            return max((starts(text) for starts in found), key=len)

        return most


def lanes_of(store: Store, load_embedder: LoadEmbedder) -> Lanes:
    """The lanes of a store as it is now.

    Raises:
        SpaceMovedError: It has gone over to another space in this moment.
        SpaceMismatchError: The embedder is of another space.
    """
    main, code = load_embedder(), store.spaces.code()
    if code is None:
        return Lanes(Lane(main, store.spaces.get(main.number).holds))
    lane = Lane(load_embedder("code"), code.holds)
    return Lanes(Lane(main, store.spaces.get(main.number).holds), lane)
