from __future__ import annotations

from embedwell.jobs.sweeping.changes import compare
from embedwell.stores.protocol import Stat
from embedwell.stores.queue import Item


def found(key: str, size: int = 1, mtime: int = 1) -> Item:
    return Item(key, "text", size, mtime)


def test_a_folder_is_compared_by_size_and_time():
    stored = {name: Stat(1, 1) for name in ("same", "longer", "later", "gone")}
    candidates = [found("same"), found("longer", size=2), found("later", mtime=2), found("new")]
    changes = compare(candidates, stored)
    assert [candidate.key for candidate in changes.to_read] == ["longer", "later", "new"]
    assert changes.gone == ("gone",)
