"""Which files are indexed, and as what."""

from pathlib import Path

import pytest

from embedwell.chunking.grammars import GRAMMARS
from embedwell.chunking.registry import CHUNKERS, find_segmenter
from embedwell.ingest import formats
from embedwell.ingest.extract import EXTRACTORS
from embedwell.ingest.formats import CONTAINER_BYTES, ROWS, TEXT_BYTES, format_of

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("src/a.py", ("source", "python", "code", "code")),
        ("a.TSX", ("source", "tsx", "code", "code")),
        ("a.hpp", ("source", "cpp", "code", "code")),
        ("a.rb", ("source", "ruby", "code", "lines")),
        ("Été.md", ("markdown", "markdown", "text", "markdown")),
        ("README", ("text", "", "text", "prose")),
        ("README.fr", ("text", "", "text", "prose")),
        ("docs/Dockerfile", ("source", "dockerfile", "code", "lines")),
        ("Dockerfile.dev", ("source", "dockerfile", "code", "lines")),
        ("Makefile", ("source", "makefile", "code", "lines")),
        ("CMakeLists.txt", ("source", "cmake", "code", "lines")),
        (".bashrc", ("source", "shell", "code", "lines")),
        ("pyproject.toml", ("data", "toml", "code", "lines")),
        ("no suffix", ("text", "", "text", "prose")),
        ("what.ever", ("text", "", "text", "prose")),
        (".png", ("text", "", "text", "prose")),
        ("C:\\folder\\a.rst", ("rst", "rst", "text", "rst")),
    ],
)
def test_names_tell_formats(name, expected):
    found = format_of(name)
    assert (found.name, found.language, found.kind, found.segmenter) == expected


@pytest.mark.parametrize(
    "name",
    [
        "a.png", "B.ZIP", "model.safetensors", "poetry.lock", "package-lock.json", "go.sum",
        "app.min.js", "app.js.map", ".env", ".env.local", "id_rsa", "server.key", "x~", ".DS_Store",
        "notes.db-wal", "notes.sqlite3-shm",
    ],
)  # fmt: skip
def test_what_is_left_out(name):
    assert format_of(f"some/folder/{name}") is None


def test_limits_are_those_of_text_and_containers_times_a_factor():
    assert format_of("a.txt").max_bytes == TEXT_BYTES == 2 << 20
    assert format_of("a.pdf").max_bytes == CONTAINER_BYTES == 64 << 20
    assert format_of("a.md", 0.5).max_bytes == 1 << 20


def test_every_row_names_a_reader_and_a_chunker_that_exist():
    for row in ROWS:
        assert row.format.extractor in EXTRACTORS
        assert row.format.segmenter in CHUNKERS or row.format.extractor != "text"
        assert row.format.segmenter != "code" or row.format.language in GRAMMARS
    for name in CHUNKERS:
        assert callable(find_segmenter(name))


def test_no_suffix_or_name_stands_twice():
    words = [word for row in ROWS for word in (*row.suffixes.split(), "", *row.names.split())]
    words = [word for word in words if word]
    suffixes = [suffix for row in ROWS for suffix in row.suffixes.split()]
    names = [name for row in ROWS for name in row.names.split()]
    assert len(suffixes) == len(set(suffixes))
    assert len(names) == len(set(names))
    assert not set(suffixes) & formats.BINARY_SUFFIXES


def test_the_documentation_holds_the_table():
    assert formats.table() in DOCS.read_text("utf-8")
