"""Listing what failed, trying it again, and deleting."""

from __future__ import annotations

import sys
from contextlib import closing
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from embedwell.app.indexes import purging
from embedwell.cli.main import main
from embedwell.stores.lock import locked
from embedwell.stores.sqlite import SqliteStore

DB = Path(".embedwell/index.db")


@pytest.fixture
def troubled(indexed: Path, run) -> Path:
    """An index with a second source, in which a file failed."""
    other = indexed.parent / "other"
    other.mkdir()
    (other / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of that")
    (other / "oil.md").write_text("# Oil\n\nThe lamp burns colza oil.\n")
    assert run("index", str(other), "--db", str(DB)).code == 3
    return other


class Terminal(BytesIO):
    """Standard input where a person types."""

    def isatty(self):
        return True


def left(run) -> int:
    return run("status", "--json").json["documents"]


def names(run, *words: str) -> set[str]:
    return {row["key"] for row in run("queue", "list", "--json", *words).json}


def test_what_failed_is_listed_with_its_reason(troubled, run):
    (row,) = run("queue", "list", "--json").json
    assert (row["key"], row["status"], row["format"]) == ("other:broken.pdf", "failed", "pdf")
    assert row["error"]
    told = run("queue", "list", "--source", "other", "--status", "failed").out
    assert "other:broken.pdf" in told
    assert row["error"].split("\n")[0][:20] in told
    assert run("queue", "list", "--status", "dead").out == "there is none\n"
    assert "more than 1" in run("queue", "list", "--status", "done", "--limit", "1").out
    assert names(run, "--status", "done", "--run", "2") == {"other:oil.md"}


def test_what_failed_is_tried_again_when_it_was_mended(troubled, run):
    pdf = troubled / "broken.pdf"
    assert run("queue", "retry", "--status", "dead").out == "there is none\n"
    told = run("queue", "retry").out
    assert "1 queued anew" in told
    assert "embedwell work" in told
    assert run("queue", "retry", "--json").json == {"queued": 0}
    pdf.unlink()
    pdf.with_suffix(".md").write_text("# Mended\n\nWords at last.\n")
    assert run("index", str(troubled), "--db", str(DB)).code == 0
    assert names(run) == set()


def test_a_stopped_run_is_told_of(troubled, run):
    with closing(SqliteStore.open(DB)) as store:
        store.queue.open_run(0)
        store.queue.stop_run("enough")
    assert "--resume" in run("queue", "retry").out


def test_a_source_is_deleted_with_all_that_hangs_on_it(troubled, run):
    planned = run("purge", "--source", "other", "--dry-run", "--json").json
    assert planned["rows"]["documents"] == 2
    assert planned["n_bytes"] > 0
    assert left(run) == 5
    ran = run("purge", "--source", "other", "--yes")
    assert "files_queue" in ran.out
    assert "given back" in ran.out
    assert left(run) == 3
    assert names(run, "--status", "done") == {"pain.md", "disk.md", "code/retry.py"}
    assert run("purge", "--source", "other", "--yes").code == 1
    assert run("doctor", "--deep").code == 0


def test_all_is_deleted_and_can_be_indexed_again(troubled, run):
    report = run("purge", "--all", "--yes", "--json").json
    assert report["rows"]["sources"] == 2
    assert report["kept"] == ""
    assert left(run) == 0
    assert run("index").code == 0
    assert left(run) == 3
    assert run("search", "which drive has failed", "--json").json["results"][0]["path"] == "disk.md"


def test_where_nobody_can_be_asked_nothing_is_deleted(troubled, run):
    ran = run("purge", "--status", "failed")
    assert (ran.code, left(run)) == (2, 5)
    assert "--yes" in ran.err


@pytest.mark.usefixtures("troubled")
@pytest.mark.parametrize(("answer", "n_left"), [("n", 5), ("", 5), ("y", 4)])
def test_a_person_is_asked_first(run, monkeypatch, capfd, answer, n_left):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(Terminal(f"{answer}\n".encode())))
    with pytest.raises(SystemExit) as stop:
        main(["purge", "--status", "failed"])
    assert stop.value.code == 0
    assert "files_queue" in capfd.readouterr().out.split("Delete this?")[0]
    assert left(run) == n_left


def test_nothing_to_delete_is_said_and_not_asked(indexed, run):
    assert run("purge", "--status", "dead").out == "there is nothing of that\n"
    assert run("purge", "--status", "dead", "--json").json["n_bytes"] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Say what to delete"),
        (["--all", "--run", "1"], "stand alone"),
        (["--all", "--space", "kept"], "stand alone"),
        (["--status", "strange"], "strange"),
    ],
)
def test_without_a_clear_choice_nothing_is_deleted(words, told, run):
    ran = run("purge", *words)
    assert ran.code == 2
    assert told in ran.err


def test_the_vectors_of_a_space_are_deleted(indexed, run):
    assert run("purge", "--space", "kept").code == 1
    run("migrate", "--to", "all-MiniLM-L6-v2@q32", "--keep-old")
    plan = run("purge", "--space", "kept", "--dry-run", "--json").json
    n = run("status", "--json").json["chunks"]
    assert plan == {"rows": {"spaces": 1, "vectors": n}, "n_bytes": 2 * 384 * n}
    assert run("purge", "--space", "kept", "--yes", "--json").json["rows"]["vectors"] == n
    assert len(run("status", "--json").json["spaces"]) == 1


def test_while_another_indexes_nothing_is_deleted(troubled, run):
    with locked(DB.with_name("index.db.lock"), "indexing"):
        assert run("purge", "--all", "--yes").code == 4
    assert left(run) == 5


def test_little_of_much_is_left_in_the_file(troubled, run, monkeypatch):
    monkeypatch.setattr(purging, "SMALL_BYTES", 0)
    report = run("purge", "--status", "failed", "--yes", "--json").json
    assert report["given_back_bytes"] == 0
    assert "embedwell compact" in report["kept"]


def test_space_that_cannot_be_given_back_is_told_of(troubled, run, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 0})())
    ran = run("purge", "--source", "other", "--yes")
    assert "not given back" in ran.out
    assert left(run) == 3


def test_a_database_is_purged_as_well(folder, real_cache, run, schema):
    db = ("--db", schema)
    assert run("index", *db).code == 0
    assert {row["status"] for row in run("queue", "list", "--status", "done", "--json", *db).json}
    planned = run("purge", "--source", "folder", "--dry-run", "--json", *db).json["rows"]
    assert run("purge", "--source", "folder", "--yes", "--json", *db).json["rows"] == planned
    assert planned["documents"] == 3
    assert run("purge", "--all", "--dry-run", *db).out == "there is nothing of that\n"
    assert run("index", *db).code == 0
    assert run("purge", "--all", "--yes", "--json", *db).json["kept"] == ""
    assert run("status", "--json", *db).json["documents"] == 0
