"""Which neighbouring segments make one passage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from embedwell.chunking.protocol import Segment

SMALL = 4
"""A unit below 1/4 of the limit is small: alone it says too little, so it joins its neighbours."""

MAX_DEPTH = 32
"""Parts of a path that are looked at; deeper ones stay with their parent."""


@dataclass(frozen=True)
class Unit:
    """Neighbouring segments that stay together as far as they fit.

    Attributes:
        start: First character.
        end: One past the last character.
        path: What the paths of its segments have in common.
        joint: What stands between the parts of the path.
    """

    start: int
    end: int
    path: tuple[str, ...]
    joint: str


Size = Callable[[Unit], int]


def covering(text: str, segments: Sequence[Segment]) -> list[Segment]:
    """Make segments cover all that is not blank, in order and without overlap."""
    covered: list[Segment] = []
    at = 0
    for segment in sorted(segments, key=lambda segment: segment.start):
        start, end = max(at, segment.start), min(segment.end, len(text))
        if start >= end:
            continue
        if text[at:start].strip():
            covered.append(Segment(at, start))
        if text[start:end].strip():
            covered.append(Segment(start, end, segment.path, segment.joint))
        at = end
    if text[at:].strip():
        covered.append(Segment(at, len(text)))
    return covered


def group(segments: Sequence[Segment], size: Size, limit: int) -> list[Unit]:
    """Join segments into units: a whole section or class where it fits, else its parts.

    Args:
        segments: In order, without overlap, none blank.
        size: Tokens of a unit with its title.
        limit: Most tokens of a unit; segments that are larger by themselves stay as they are.

    Returns:
        The units in order.
    """
    if not segments:
        return []
    whole = _unit(segments)
    depth = len(whole.path)
    is_leaf = depth >= MAX_DEPTH or all(segment.path == whole.path for segment in segments)
    if is_leaf or (whole.path and size(whole) <= limit):
        return [whole]
    units: list[Unit] = []
    for _, children in groupby(segments, key=lambda segment: segment.path[: depth + 1]):
        units += group(list(children), size, limit)
    return _join_small(units, size, limit)


def _join_small(units: list[Unit], size: Size, limit: int) -> list[Unit]:
    joined: list[Unit] = []
    was_small = False
    for unit in units:
        is_small = size(unit) * SMALL <= limit
        both = _union(joined[-1], unit) if was_small and is_small else None
        if both and size(both) <= limit:
            joined[-1] = both
        else:
            joined.append(unit)
        was_small = is_small
    return joined


def _unit(segments: Sequence[Segment]) -> Unit:
    return Unit(
        segments[0].start,
        segments[-1].end,
        _common([segment.path for segment in segments]),
        segments[0].joint,
    )


def _union(first: Unit, second: Unit) -> Unit:
    path = _common([first.path, second.path])
    return Unit(first.start, second.end, path, first.joint)


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    low, high = min(paths), max(paths)
    n_same = 0
    while n_same < len(low) and low[n_same] == high[n_same]:
        n_same += 1
    return low[:n_same]
