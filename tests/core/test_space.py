from __future__ import annotations

from dataclasses import replace

import pytest

from embedwell.core.space import Space
from embedwell.testing import FAKE_SPACE


def test_the_id_is_the_hash_of_the_canonical_form():
    assert FAKE_SPACE.id == Space.from_json(FAKE_SPACE.to_json()).id
    assert len(FAKE_SPACE.id) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"revision": "2"},
        {"pooling": "cls"},
        {"normalized": False},
        {"query_prompt": "query: "},
        {"document_prompt": "passage: "},
        {"max_tokens": 65},
        {"dimensions": 33},
    ],
)
def test_every_field_is_part_of_the_id(change):
    assert replace(FAKE_SPACE, **change).id != FAKE_SPACE.id


def test_the_prompt_goes_by_kind():
    space = replace(FAKE_SPACE, query_prompt="q: ", document_prompt="d: ")
    assert (space.prompt("query"), space.prompt("document")) == ("q: ", "d: ")
