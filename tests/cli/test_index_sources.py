"""`embedwell index` on lists, records, queries and several folders."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest


def lines(*records) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def n_documents(run) -> int:
    return run("status", "--json").json["documents"]


def test_a_second_folder_is_brought_up_to_date_with_the_first(indexed, run, tmp_path):
    other = tmp_path / "notes"
    other.mkdir()
    (other / "lamp.md").write_text("Where the lamp oil is kept.")
    db = ["--db", str(indexed / ".embedwell/index.db")]
    assert run("index", str(other), *db).code == 0
    (result,) = run("search", "lamp oil", "-k", "1", "--json").json["results"]
    assert result["path"] == "notes:lamp.md"
    (other / "lamp.md").write_text("Where the lamp oil was kept.")
    (indexed / "disk.md").unlink()
    report = run("index", "--json").json
    assert [report[name] for name in ("n_updated", "n_removed", "n_unchanged")] == [1, 1, 2]


def test_patterns_are_kept_said_and_forgotten(folder, real_cache, run):
    assert run("index", "--exclude", "*.py", "--json").json["n_added"] == 2
    ran = run("index")
    assert "keeps to --exclude *.py (--all-files forgets them)" in ran.err
    assert run("status", "--json").json["stale"] == {"changed": [], "gone": []}
    assert n_documents(run) == 2
    assert run("index", "--all-files", "--json").json["n_added"] == 1
    assert "keeps to" not in run("index").err


def test_a_list_may_come_from_standard_input(folder, real_cache, run):
    ran = run("index", "--paths", "-", "--json", stdin=b"disk.md\nnone.md\n")
    assert (ran.code, ran.json["n_added"]) == (3, 1)
    assert ran.json["failed"][0]["reason"] == "is not there"
    ran = run("index", "--paths", "-", "-0", "--json", stdin=b"disk.md\0pain.md\0")
    assert (ran.code, ran.json["n_added"], ran.json["n_unchanged"]) == (0, 1, 1)
    ran = run("index", "--paths", "-", "--remove-missing", "--json", stdin=b"pain.md")
    assert ran.json["n_removed"] == 1
    (folder / "pain.md").write_text("Le levain.")
    assert run("index", "--json").json["n_updated"] == 1


def test_a_list_goes_to_the_index_above(indexed, run, monkeypatch, tmp_path):
    (tmp_path / "beside.md").write_text("beside words")
    monkeypatch.chdir(indexed / "code")
    ran = run("index", "--paths", "-", stdin=str(tmp_path / "beside.md").encode())
    assert ran.code == 0
    assert not (indexed / "code/.embedwell").exists()
    assert n_documents(run) == 4


def test_status_names_the_sources(indexed, run, tmp_path):
    assert "\nsource " not in run("status").out
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/b.md").write_text("beside words")
    run("index", str(tmp_path / "beside"), "--db", str(indexed / ".embedwell/index.db"))
    assert f"source     beside: folder {tmp_path / 'beside'}" in run("status").out
    names = [one["name"] for one in run("status", "--json").json["sources"]]
    assert names == [indexed.name, "beside"]


def test_records_may_come_from_a_file_or_standard_input(folder, real_cache, run):
    records = lines({"id": "x", "text": "the ferry leaves at noon", "year": 2020})
    (folder / "more.jsonl").write_bytes(records + b"broken\n")
    ran = run("index", "--records", "more.jsonl")
    assert ran.code == 3
    assert "line 2: is not JSON" in ran.err
    ran = run("index", "--records", "-", "--json", stdin=records)
    assert (ran.code, ran.json["n_unchanged"], ran.json["n_added"]) == (0, 1, 0)
    (result,) = run("search", "when does the boat go", "--json").json["results"]
    assert result["path"] == "x"
    assert run("status", "--json").json["stale"] is None
    assert run("index", "--json").json["n_added"] == 4  # the folder and its more.jsonl


def test_rows_of_a_query_are_indexed_again_by_name(folder, real_cache, run, tmp_path):
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE things (sku TEXT, name TEXT, about TEXT)")
        database.execute("INSERT INTO things VALUES ('l1', 'lamp', 'shines'), ('b1', 'box', '')")
        words = ["--sql", "SELECT * FROM things", "--from", str(path), "--name", "shop"]
        ran = run("index", *words, "--id", "sku", "--text", "name", "--text", "about", "--json")
        assert (ran.code, ran.json["n_added"]) == (0, 2)
        database.execute("DELETE FROM things WHERE sku = 'b1'")
        assert run("index", "--name", "shop", "--json").json["n_removed"] == 1
    ran = run("index", *words)
    assert ran.code == 1
    assert "gives no column 'id'; it gives sku, name, about" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["--paths", "-", "--records", "-"],
        [".", "--paths", "-"],
        ["--sql", "SELECT 1"],
        ["--kind", "mail"],
        ["--records", "-", "--include", "*.md"],
        ["--all-files", "--include", "*.md"],
        ["-0"],
        ["--remove-missing"],
        ["--watch", "--records", "-"],
        ["--watch", "--workers", "2"],
        ["--queue-only", "--workers", "2"],
        ["--kind", "mail", "place", "--name", "m", "--set", "nothing"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(folder, run, words):
    assert run("index", *words).code == 2
    assert not (folder / ".embedwell").exists()


def test_an_unknown_kind_is_said(folder, real_cache, run):
    ran = run("index", "--kind", "mail", "imaps://host", "--name", "post", "--set", "folder=INBOX")
    assert ran.code == 1
    assert "There is no kind of source 'mail'" in ran.err


def test_the_work_can_be_left_to_workers(folder, real_cache, run):
    ran = run("index", "--queue-only")
    assert "3 queued; `embedwell work` does them" in ran.out
    assert n_documents(run) == 0
    report = run("index", "--workers", "2", "--json").json
    assert (report["n_added"], report["n_queued"], report["failed"]) == (3, 0, [])


def test_a_run_that_was_stopped_goes_on_when_it_is_told_to(folder, real_cache, run):
    from embedwell.stores.registry import open_store

    run("index", "--queue-only")
    with closing(open_store(folder / ".embedwell/index.db")) as store:
        store.queue.stop_run("It looked wrong.")
    ran = run("index")
    assert ran.code == 1
    assert "It looked wrong" in ran.err
    assert run("index", "--resume", "--json").json["n_added"] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watching_follows_changes_and_ends_cleanly(indexed, run, tmp_path, number):
    pytest.importorskip("watchfiles")
    (tmp_path / "new.md").write_text("a new note")
    command = [sys.executable, "-m", "embedwell.cli.main", "index", "--watch"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert "Watching for changes" in process.stderr.readline()
        (tmp_path / "new.md").rename(indexed / "new.md")
        assert "1 added" in process.stdout.readline()
        (indexed / "new.md").unlink()
        assert "1 removed" in process.stdout.readline()
        (indexed / ".gitignore").write_text("*.py\n")
        assert "1 removed" in process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert n_documents(run) == 2
