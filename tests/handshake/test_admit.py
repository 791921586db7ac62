"""Which spaces may meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embedwell.core.errors import SpaceMismatchError
from embedwell.core.space import Space
from embedwell.handshake.admit import admit
from embedwell.stores.protocol import CollectionSettings

SPACE = Space("all-MiniLM-L6-v2", "c9745ed1", "mean", True, "", "", 256, 384)
SETTINGS = CollectionSettings(SPACE, 200, "embedwell 0.1.0, all-MiniLM-L6-v2@q8")


def test_the_same_declaration_is_admitted():
    admit(SETTINGS, replace(SPACE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "other"),
        ("revision", "2"),
        ("pooling", "cls"),
        ("normalized", False),
        ("query_prompt", "query: "),
        ("document_prompt", "passage: "),
        ("max_tokens", 128),
        ("dimensions", 768),
    ],
)
def test_each_field_that_differs_is_named_with_both_values(field, value):
    with pytest.raises(SpaceMismatchError) as caught:
        admit(SETTINGS, replace(SPACE, **{field: value}))
    problem = caught.value.problem
    assert f"{field}: {getattr(SPACE, field)!r} in the index, {value!r} asked" in problem
    assert problem.count(" in the index, ") == 1
    assert "embedwell 0.1.0, all-MiniLM-L6-v2@q8" in problem
    assert SPACE.id[:12] in problem
    assert "--model all-MiniLM-L6-v2" in caught.value.remedy
    assert "--db FILE" in caught.value.remedy


def test_an_index_of_unknown_making_is_refused_too():
    with pytest.raises(SpaceMismatchError, match="dimensions"):
        admit(CollectionSettings(SPACE, 200), replace(SPACE, dimensions=3))
