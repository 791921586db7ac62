from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.build import BuildRecord
from embedwell.testing import FAKE_BUILD

WORDS = {field.name: st.text(max_size=5) for field in fields(BuildRecord)}
BUILDS = st.builds(BuildRecord, **WORDS | {"cpu": st.lists(st.text(max_size=3)).map(tuple)})


@given(BUILDS)
def test_a_record_survives_json(build):
    again = BuildRecord.from_json(build.to_json())
    assert again == build
    assert again.key == build.key


@pytest.mark.parametrize("name", [field.name for field in fields(BuildRecord)])
def test_the_key_changes_with_all_that_may_change_a_result(name):
    other = replace(FAKE_BUILD, **{name: ("x",) if name == "cpu" else "x"})
    assert (other.key == FAKE_BUILD.key) == (name in {"host", "made_at"})


def test_a_record_is_told_in_a_line():
    assert str(FAKE_BUILD) == "fake@q32 by fake 1 (000000000000, fake)"


def test_what_computed_nothing_has_only_a_name():
    assert BuildRecord.of_nothing("m@q8") == replace(BuildRecord(*[""] * 9, ()), artifact="m@q8")
