"""Notebooks: the cells, their headings and symbols, and the lines of the JSON file."""

import json

import pytest

from embedwell.core.errors import ExtractionError
from embedwell.ingest.extract import extract
from embedwell.ingest.formats import format_of

NOTEBOOK = format_of("a.ipynb")


def cell(kind, *source, outputs=()):
    return {
        "cell_type": kind,
        "metadata": {},
        "outputs": [{"output_type": "stream", "text": list(outputs)}],
        "source": list(source),
    }


CELLS = [
    cell("markdown", "# Étude\n", "\n", "texte ☕"),
    cell("code", "import numpy\n", "\n", "def f(x):\n", "    return x  # é", outputs=["# Étude\n"]),
    cell("markdown", "## Données"),
    cell("code", "%matplotlib inline\n", "x = '🙂'", outputs=["%matplotlib inline\n"]),
    cell("raw", "brut"),
    cell("raw"),
]


def raw(cells, **options):
    info = {"language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": info, "nbformat": 4}, **options).encode()


def found(data):
    page = extract(data, NOTEBOOK)
    return [
        (part.title, page.text[part.start : part.end].strip(), page.line_of(part.start))
        for part in page.segments
    ]


@pytest.mark.parametrize("is_ascii", [True, False])
def test_headings_and_symbols_give_paths_and_lines_are_those_of_the_file(is_ascii):
    data = raw(CELLS, indent=1, ensure_ascii=is_ascii)
    page = extract(data, NOTEBOOK)
    assert [part.title for part in page.segments] == [
        "Étude",
        "Étude",
        "Étude > f",
        "Étude > Données",
        "Étude > Données",
        "Étude > Données",
    ]
    rows = data.decode().split("\n")
    for line in ("# Étude", "texte ☕", "import numpy", "    return x  # é", "x = '🙂'", "brut"):
        row = rows[page.line_of(page.text.index(line)) - 1].strip().rstrip(",")
        assert json.loads(row).rstrip("\n") == line
        assert rows[page.line_of(page.text.index(line)) - 2].strip() != '"text": ['


def test_outputs_are_left_out():
    page = extract(raw([cell("code", "1", outputs=["secret"])]), NOTEBOOK)
    assert "secret" not in page.text


def test_notebooks_on_one_line_are_all_on_that_line():
    assert {line for _, _, line in found(raw(CELLS))} == {1}


def test_sources_written_as_one_string_lie_on_their_line():
    cells = [
        {"cell_type": "markdown", "source": "# A\ntexte"},
        {"cell_type": "code", "source": "x = 1\ny = 2"},
    ]
    data = raw(cells, indent=1)
    rows = data.decode().split("\n")
    assert [(title, rows[line - 1].strip()) for title, _, line in found(data)] == [
        ("A", '"source": "# A\\ntexte"'),
        ("A", '"source": "x = 1\\ny = 2"'),
    ]


def test_old_worksheets_are_read():
    sheet = {"cells": [{"cell_type": "code", "input": ["def g(): pass"], "language": "python"}]}
    data = json.dumps({"worksheets": [sheet], "nbformat": 3}).encode()
    assert found(data) == [("g", "def g(): pass", 1)]


@pytest.mark.parametrize(
    ("metadata", "source", "title"),
    [
        ({"language_info": {"name": "C++"}}, "int f() { return 1; }", "f"),
        ({"kernelspec": {"language": "rust"}}, "fn f() {}", "f"),
        ({"kernelspec": {"language": "R"}}, "f <- function(x) x", ""),
        ({"kernelspec": None}, "def f(): pass", "f"),
        ([], "def f(): pass", "f"),
    ],
)
def test_the_kernel_tells_the_language(metadata, source, title):
    data = json.dumps({"cells": [cell("code", source)], "metadata": metadata}).encode()
    assert found(data)[0][0] == title


@pytest.mark.parametrize(
    "cells",
    [[], None, {}, [None, 3, "x", []], [{"source": None}], [{"source": [1, None, "ok"]}], [{}]],
)
def test_odd_cells_are_read_as_far_as_they_go(cells):
    page = extract(json.dumps({"cells": cells}).encode(), NOTEBOOK)
    assert page.text.strip() in ("", "ok")


def test_surrogates_written_as_escapes_are_replaced():
    page = extract(b'{"cells": [{"cell_type": "raw", "source": "a\\ud800b\\u0000"}]}', NOTEBOOK)
    assert page.text.strip() == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b"[]", "not a notebook"),
        (b"{}", "not a notebook"),
        (b"\0" * 100, "binary"),
    ],
)
def test_what_is_no_notebook_is_refused_by_name(data, problem):
    with pytest.raises(ExtractionError, match=problem):
        extract(data, NOTEBOOK)
