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


@dataclass(frozen=True)
class Measure:
    """How large units are, in tokens.

    Attributes:
        passage: Of the unit's text.
        title: Of its title.
        limit: Most for both together.
    """

    passage: Callable[[Unit], int]
    title: Callable[[Unit], int]
    limit: int

    def fits(self, unit: Unit) -> bool:
        """Whether a unit is one chunk."""
        return self.passage(unit) + self.title(unit) <= self.limit

    def is_small(self, unit: Unit) -> bool:
        """Whether a unit says too little alone."""
        return self.passage(unit) * SMALL <= self.limit


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


def group(segments: Sequence[Segment], measure: Measure) -> list[Unit]:
    """Join segments into units: a whole section or class where it fits, else its parts.

    Args:
        segments: In order, without overlap, none blank.
        measure: How large units are.

    Returns:
        The units in order; one that does not fit is a segment, or several of the same path.
    """
    if not segments:
        return []
    whole = _unit(segments)
    depth = len(whole.path)
    is_leaf = depth >= MAX_DEPTH or all(segment.path == whole.path for segment in segments)
    if is_leaf or (whole.path and measure.fits(whole)):
        return [whole]
    units: list[Unit] = []
    for _, children in groupby(segments, key=lambda segment: segment.path[: depth + 1]):
        units += group(list(children), measure)
    return _join_small(units, measure)


def _join_small(units: Sequence[Unit], measure: Measure) -> list[Unit]:
    joined: list[Unit] = []
    was_small = False
    for unit in units:
        is_small = measure.is_small(unit)
        both = _union(joined[-1], unit) if was_small and is_small else None
        if both and measure.fits(both):
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
