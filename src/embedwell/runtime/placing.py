"""Whether a model may be loaded now, and what has to go for it: a pure decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Held:
    """A model in memory.

    Attributes:
        key: The key of its artifact.
        size_bytes: What unloading it gives back, at least.
        in_use: Whether somebody uses it now, or it is still giving its memory back.
        pinned: Whether it must stay.
        priority: Higher ones are unloaded later.
        last_used: When; on any clock.
    """

    key: str
    size_bytes: int
    in_use: bool = False
    pinned: bool = False
    priority: int = 0
    last_used: float = 0.0


@dataclass(frozen=True)
class Memory:
    """What there is to decide from, in bytes.

    Attributes:
        budget: Most resident memory.
        resident: What the process takes now, what its models may still grow by included.
        floor: What stays when no model is loaded.
    """

    budget: int
    resident: int
    floor: int


@dataclass(frozen=True)
class Load:
    """It may be loaded; where there are `victims` (keys), they go first and it is asked again."""

    victims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wait:
    """There is no room until models in use are let go; `claims` (keys) would then have to go."""

    claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refuse:
    """There is no room, and waiting would make none.

    Attributes:
        reason: A clause that says why.
    """

    reason: str


Placing: TypeAlias = Load | Wait | Refuse


def place(need_bytes: int, memory: Memory, held: Sequence[Held], n_models: int) -> Placing:
    """Decide about one more model.

    The lowest priority goes first, then the least recently used; what is pinned or in use stays.

    Args:
        need_bytes: Most memory that it adds, while loading or later.
        memory: Of the process.
        held: The models in memory.
        n_models: Most models at once, this one included.
    """
    kept = sum(one.size_bytes for one in held if one.pinned)
    n_pinned = sum(one.pinned for one in held)
    if n_pinned >= n_models:
        return Refuse(f"all {n_models} places are taken by pinned models")
    if memory.floor + kept + need_bytes > memory.budget:
        return Refuse("it would not fit with everything else unloaded")
    wanted = _Room(need_bytes - (memory.budget - memory.resident), len(held) + 1 - n_models)
    movable = sorted((one for one in held if not one.pinned), key=_order)
    idle = [one for one in movable if not one.in_use]
    if wanted.given_by(idle):
        return Load(_fewest(idle, wanted))
    if any(one.in_use for one in held):
        return Wait(tuple(one.key for one in movable))
    if idle:  # models may give back more than is known of them: look again when they are gone
        return Load(tuple(one.key for one in idle))
    return Refuse("the rest of the process takes the room")


@dataclass(frozen=True)
class _Room:
    """What is lacking: bytes and places; neither where they are 0 or less."""

    n_bytes: int
    n_places: int

    def given_by(self, models: Iterable[Held]) -> bool:
        sizes = [one.size_bytes for one in models]
        return sum(sizes) >= self.n_bytes and len(sizes) >= self.n_places


def _order(one: Held) -> tuple[int, float]:
    return one.priority, one.last_used


def _fewest(idle: Sequence[Held], wanted: _Room) -> tuple[str, ...]:
    """The first in order that suffice, without those that the later ones made needless."""
    n = next(n for n in range(len(idle) + 1) if wanted.given_by(idle[:n]))
    taken = list(idle[:n])
    for one in reversed(idle[:n]):
        rest = [other for other in taken if other is not one]
        if wanted.given_by(rest):
            taken = rest
    return tuple(one.key for one in taken)
