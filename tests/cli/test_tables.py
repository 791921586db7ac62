"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import pytest

from embedwell.cli.output import write_table

ROWS = [("multilingual-e5-small", "q8 171.1 MiB", "words " * 20), ("x", "-", "")]


@pytest.mark.parametrize("n_columns", ["30", "60", "200"])
def test_names_are_never_cut_on_a_narrow_terminal(monkeypatch, capsys, n_columns):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    monkeypatch.setenv("COLUMNS", n_columns)
    write_table(["model", "RAM", "what it is for"], ROWS)
    written = capsys.readouterr().out
    assert all(cell in written for row in ROWS for cell in row[:2])
    assert "…" not in written
    assert written.count("words") == 20


def test_lines_end_where_their_text_ends_and_no_header_is_no_line(capsys):
    write_table(["", ""], [("a", "long text"), ("b", "-")])
    assert capsys.readouterr().out == "a  long text\nb  -\n"


def test_names_cannot_steer_the_terminal(capsys):
    write_table(["name", "why"], [("a\x1b[2Jb", "\x9b31m né\r")])
    assert capsys.readouterr().out.splitlines()[1] == "a\\x1b[2Jb  \\x9b31m né\\x0d"


def test_found_passages_cannot_steer_the_terminal(folder, real_cache, run):
    (folder / "t.md").write_text("# A \x1b[2J heading\n\nThe lamp blinks.\n")
    assert run("index").code == 0
    ran = run("search", "a heading, a lamp")
    assert "A \\x1b[2J heading" in ran.out
    assert "\x1b" not in ran.out
    assert run("search", "a heading", "--json").json["results"]
