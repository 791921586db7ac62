"""Whether all vectors that are searched are still those that are computed now."""

from __future__ import annotations

from embedwell.app.indexes.index import Index
from embedwell.core.events import Watch
from embedwell.jobs.compare import Comparison


def compare_all(index: Index, query: str, watch: Watch) -> tuple[Comparison, Comparison | None]:
    """`Index.compare` in the main space, and in the code one of a pair."""
    code = index.store.spaces.code()
    found = index.compare(query, watch)
    return found, index.compare(query, watch, role="code") if code else None
