from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from embedwell.app.config.configuration import shown
from embedwell.app.config.place import shown_target, target_of
from embedwell.app.config.settings import Settings
from embedwell.core.errors import StoreNotFoundError


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (Path("a@b/index.db"), str(Path("a@b/index.db"))),
        ("a@b/index.db", "a@b/index.db"),
        ("postgres-embedded:", "postgres-embedded:"),
        ("postgresql://h/d?sslmode=require", "postgresql://h/d"),
        ("postgresql+asyncpg://u:p@h:5/d?x=y", "postgresql+asyncpg://u@h:5/d"),
        ("postgresql://u:p/w@x@h/d", "postgresql://u@h/d"),
    ],
)
def test_a_place_is_shown_without_its_password(target, told):
    assert shown_target(target) == told


@pytest.mark.parametrize(
    ("named", "path"), [("sqlite:///notes.db", "notes.db"), ("sqlite:////srv/n.db", "/srv/n.db")]
)
def test_a_file_is_named_by_its_path_and_not_by_an_address(named, path, tmp_path):
    with pytest.raises(StoreNotFoundError, match=f"--db {path}"):
        target_of(structs.replace(Settings(), db=named), tmp_path, create=True)


@given(
    st.text().map(lambda text: f"S{text}T"),
    st.sampled_from(["postgresql://u:{}@h/d", "postgresql://h/d?password={}", "x://u:{}@h?a=b@c"]),
)
def test_no_password_is_shown_wherever_it_stands(password, address):
    told = shown("db", address.format(password))
    assert password not in told
    assert "S" not in told
