"""docs/store.md says what is so."""

from __future__ import annotations

from pathlib import Path

from embedwell.core.errors import StoreError
from embedwell.search import fusion
from embedwell.stores import words

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def test_each_fault_of_a_store_is_documented():
    text = (DOCS / "store.md").read_text("utf-8")
    assert all(f"`{kind.__name__}`" in text for kind in (StoreError, *StoreError.__subclasses__()))


def test_the_documented_constants_are_the_real_ones():
    text = (DOCS / "search.md").read_text("utf-8")
    assert f"{fusion.LEXICAL_WEIGHT} · (" in text
    assert f"rank {fusion.DEPTH}" in text
    assert f"{words.FREE_MATCHES:,}".replace(",", " ") in text
    assert f"{words.COMMON_SHARE:.0%}".replace("%", " %") in text
