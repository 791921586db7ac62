from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest


def test_a_folder_is_indexed_where_it_lies(folder, real_cache, run):
    ran = run("index", "--json")
    assert ran.code == 0
    assert ran.json["n_added"] == 3
    assert ran.json["total"]["documents"] == 3
    assert (folder / ".embedwell/index.db").is_file()
    assert (folder / ".embedwell/.gitignore").read_text() == "/index.db*\n"


def test_the_index_is_found_from_below(indexed, run, monkeypatch):
    monkeypatch.chdir(indexed / "code")
    ran = run("search", "try once more", "--json")
    assert ran.json["results"][0]["path"] == "code/retry.py"


def test_the_json_has_the_promised_shape(indexed, run):
    found = run("search", "a broken drive", "--json").json
    assert list(found) == ["query", "mode", "space", "took_ms", "results"]
    assert found["mode"] == "hybrid"
    first = found["results"][0]
    assert list(first) == [
        "rank",
        "score",
        "id",
        "path",
        "start_line",
        "end_line",
        "kind",
        "title",
        "text",
    ]
    assert (first["rank"], first["path"], first["kind"]) == (1, "disk.md", "text")
    assert "lamp blinks" in first["text"]


def test_results_are_shown_with_place_heading_and_lines(indexed, run):
    ran = run("search", "la pâte ne lève pas", "-k", "1")
    assert ran.code == 0
    assert "pain.md:" in ran.out
    assert "La pâte ne lève pas" in ran.out
    assert "1 result in" in ran.out
    assert "\x1b[" not in ran.out


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        (["--kind", "code"], {"code/retry.py"}),
        (["--language", "markdown"], {"pain.md", "disk.md"}),
        (["--path", "code/**"], {"code/retry.py"}),
        (["--mode", "semantic"], {"pain.md", "disk.md", "code/retry.py"}),
        (["--mode", "lexical"], {"disk.md"}),
    ],
)
def test_results_can_be_narrowed(indexed, run, options, paths):
    found = run("search", "drive whose lamp blinks", "--json", *options).json
    assert {result["path"] for result in found["results"]} == paths


def test_nothing_found_is_said(indexed, run):
    ran = run("search", "zzzz", "--mode", "lexical")
    assert (ran.code, ran.out.strip()) == (0, "Nothing was found.")


def test_only_changes_are_done(indexed, run):
    (indexed / "disk.md").unlink()
    (indexed / "new.txt").write_text("a new note")
    report = run("index", "--json").json
    changes = [report[name] for name in ("n_added", "n_updated", "n_removed", "n_unchanged")]
    assert changes == [1, 0, 1, 2]
    assert report["n_embedded"] == 1


def test_files_that_fail_are_listed_and_the_exit_code_says_so(folder, real_cache, run):
    (folder / "broken.pdf").write_bytes(b"not a pdf")
    for number in range(12):
        (folder / f"link{number}").symlink_to(folder / "disk.md")
    ran = run("index")
    assert ran.code == 3
    assert "3 added" not in ran.out
    assert "1 failed:\n  broken.pdf: " in ran.err
    assert "12 left out:" in ran.err
    assert "and 2 more; --json lists them all" in ran.err


def test_an_index_may_lie_elsewhere(folder, real_cache, run, tmp_path):
    file = tmp_path / "elsewhere.db"
    assert run("index", "--db", str(file)).code == 0
    assert not (folder / ".embedwell").exists()
    assert run("search", "drive", "--db", str(file), "--json").json["results"]


def test_without_an_index_the_way_to_one_is_told(folder, run):
    ran = run("search", "anything")
    assert ran.code == 1
    assert "There is no index in" in ran.err
    assert "embedwell index" in ran.err


def test_an_error_can_be_json(folder, run):
    ran = run("search", "anything", "--json")
    assert ran.code == 1
    assert '"type": "StoreNotFoundError"' in ran.err


@pytest.mark.parametrize("words", [["search"], ["search", "x", "-k", "0"], ["nonsense"]])
def test_wrong_usage_is_code_2(folder, run, words):
    assert run(*words).code == 2


def test_an_empty_query_is_wrong_usage(indexed, run):
    ran = run("search", "  ")
    assert ran.code == 2
    assert "query is empty" in ran.err


def test_an_unknown_model_is_wrong_usage(folder, run):
    ran = run("index", "--model", "no-such-model")
    assert ran.code == 2
    assert "all-MiniLM-L6-v2" in ran.err


def test_a_folder_that_is_not_there(folder, run):
    ran = run("index", "nowhere")
    assert ran.code == 1
    assert "nowhere" in ran.err


def until_something_is_stored(file):
    for _ in range(600):
        if file.exists():
            with closing(sqlite3.connect(file)) as database:
                if database.execute("SELECT COUNT(*) FROM documents").fetchone()[0]:
                    return
        time.sleep(0.1)
    pytest.fail("nothing was stored in a minute")


def test_ctrl_c_keeps_what_was_done_and_the_next_run_goes_on(folder, real_cache, run):
    for number in range(60):
        text = "".join(f"# {n}\n\n{number} {'words and more ' * 60}{n}\n\n" for n in range(40))
        (folder / f"{number}.md").write_text(text)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "embedwell.cli.main", "index"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    until_something_is_stored(folder / ".embedwell/index.db")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "was cancelled" in err
    status = run("status", "--json").json
    assert 0 < status["documents"] < 63
    for path in folder.glob("[0-9]*.md"):
        path.unlink()
    assert run("index").code == 0
    assert run("status", "--json").json["documents"] == 3


def test_without_embeddings_search_is_by_words_and_says_so(indexed, run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_EMBEDDINGS", "false")
    ran = run("search", "drive lamp blinks")
    assert (ran.code, ran.err.strip().partition(":")[0]) == (0, "Searched by words only")
    assert "disk.md:" in ran.out
    found = run("search", "drive lamp blinks", "--json").json
    assert (found["mode"], "switched off" in found["notice"]) == ("lexical", True)
    ran = run("search", "drive", "--mode", "semantic")
    assert ran.code == 1
    assert "switched off" in ran.err


def test_without_embeddings_nothing_is_indexed(folder, run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_EMBEDDINGS", "false")
    ran = run("index")
    assert ran.code == 1
    assert "switched off" in ran.err
    assert not (folder / ".embedwell").exists()


def test_without_embeddings_an_index_stays_as_it_is(indexed, run, monkeypatch):
    before = run("status", "--json").json
    (indexed / "new.txt").write_text("a new note")
    monkeypatch.setenv("EMBEDWELL_EMBEDDINGS", "false")
    assert run("index").code == 1
    after = run("status", "--json").json
    assert (after["documents"], after["chunks"]) == (before["documents"], before["chunks"])
