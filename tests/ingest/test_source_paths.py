"""Lists of files."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.ingest.sources.paths import Paths, name_of, names_in


@pytest.fixture
def base(tmp_path):
    place = tmp_path / "base"
    (place / "sub").mkdir(parents=True)
    (place / "a.md").write_text("alpha")
    (place / "sub/b.txt").write_text("beta")
    (tmp_path / "outside.md").write_text("gamma")
    return place


def listed(base, names, **more):
    told = []
    items = list(Paths(base, names, **more).items(told.append))
    return items, {one.key: (one.fate, one.reason) for one in told}


def test_named_files_have_keys_that_people_wrote(base, tmp_path):
    names = ["a.md", "./sub/../sub/b.txt", "../outside.md", str(base / "a.md")]
    items, told = listed(base, names)
    outside = (tmp_path / "outside.md").as_posix()
    assert [item.key for item in items] == ["a.md", "sub/b.txt", outside, "a.md"]
    assert told == {}
    reader = Paths(base)
    assert [reader.read(item).data for item in items[:3]] == [b"alpha", b"beta", b"gamma"]


def test_what_cannot_be_indexed_is_told(base):
    (base / "image.png").write_bytes(b"x")
    (base / "large.txt").write_bytes(b"x" * 200)
    os.mkfifo(base / "pipe.txt")
    names = ["nothing.md", "sub", "image.png", "large.txt", "pipe.txt", "a.md/x.md", "nul\0.md"]
    items, told = listed(base, names, size_factor=100 / (2 << 20))
    assert items == []
    assert {key: fate for key, (fate, _) in told.items()} == {
        "nothing.md": "gone",
        "sub": "failed",
        "image.png": "failed",
        "large.txt": "failed",
        "pipe.txt": "failed",
        "a.md/x.md": "gone",
        "nul\0.md": "failed",
    }
    assert told["large.txt"][1] == "is 200 bytes, the limit is 100"


def test_files_of_another_source_stay_there(base):
    items, told = listed(base, ["sub/b.txt", "a.md"], taken=[(base / "sub", "docs")])
    assert [item.key for item in items] == ["a.md"]
    assert told == {"sub/b.txt": ("failed", "lies in the folder of source 'docs'")}


def test_a_name_that_is_not_unicode_is_found_again(base):
    name = os.fsdecode(b"caf\xe9.txt")
    (base / name).write_text("words")
    ((item,), _) = listed(base, [name])
    assert item.key == "caf\\xe9.txt"
    assert Paths(base).read(item).data == b"words"
    ((again,), _) = listed(base, [name_of(item.key)])
    assert again == item


@pytest.mark.parametrize(
    ("data", "separator", "names"),
    [
        (b"a.md\nb.md\n", b"\n", ["a.md", "b.md"]),
        (b"a.md\r\n\r\n\nb c.md", b"\n", ["a.md", "b c.md"]),
        (b"a\nb.md\0c.md", b"\0", ["a\nb.md", "c.md"]),
        (b"", b"\n", []),
    ],
)
def test_a_list_is_read(data, separator, names):
    assert list(names_in(io.BytesIO(data), separator=separator)) == names


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_names_survive_a_list_with_nuls(names):
    data = b"".join(os.fsencode(name) + b"\0" for name in names)
    assert list(names_in(io.BytesIO(data), separator=b"\0")) == [name for name in names if name]
