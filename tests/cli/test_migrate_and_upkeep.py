"""Moving an index to other vectors, looking at them, and keeping its file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

QUESTION = "which drive has failed"


@pytest.fixture
def index_file(indexed) -> Path:
    return indexed / ".embedwell/index.db"


def roles(run) -> dict[str, str]:
    return {space["role"]: space["builds"][0] for space in run("status", "--json").json["spaces"]}


def first(run, *words) -> str:
    return run("search", QUESTION, "--json", *words).json["results"][0]["path"]


def test_an_index_moves_to_other_bits_and_back(indexed, run):
    plan = run("migrate", "--to", "all-MiniLM-L6-v2@q32", "--plan", "--json").json
    assert (plan["n_missing"], plan["dimensions"]) == (plan["n_chunks"], [384, 384])
    assert list(roles(run)) == ["main"]
    ran = run("migrate", "--to", "all-MiniLM-L6-v2@q32", "--keep-old")
    assert "switched" in ran.out
    found = roles(run)
    assert "@q32" in found["main"]
    assert "@q8" in found["kept"]
    assert first(run) == "disk.md"
    assert run("migrate", "--back").out == "back to all-MiniLM-L6-v2\n"
    assert "@q8" in roles(run)["main"]
    assert run("migrate", "--drop", "kept", "--json").json == {"dropped": "all-MiniLM-L6-v2"}
    assert list(roles(run)) == ["main"]
    assert run("doctor", "--deep").code == 0


@pytest.mark.usefixtures("folder", "real_cache")
def test_a_new_index_is_made_at_the_bits_in_its_models_names(run):
    model = "all-MiniLM-L6-v2"
    assert run("index", "--model", f"{model}@q32", "--code-model", f"{model}@q8").code == 0
    found = roles(run)
    assert ("@q32" in found["main"], "@q8" in found["code"]) == (True, True)
    assert run("doctor", "--deep").code == 0


def test_a_light_space_is_kept_current(indexed, run):
    report = run("migrate", "--to", "all-MiniLM-L6-v2@q4", "--keep-both", "--json").json
    assert report["outcome"] == "kept beside"
    (indexed / "new.md").write_text("# New\n\nThe ferry leaves at noon.\n")
    run("index")
    spaces = run("status", "--json").json["spaces"]
    assert [(space["role"], space["missing"]) for space in spaces] == [("main", 0), ("light", 0)]
    assert "@q4" in roles(run)["light"]


def test_code_gets_a_space_of_its_own_and_gives_it_up(indexed, run):
    (indexed / "parse.py").write_text("def parse_config(path):\n    return path.read_text()\n")
    run("index")
    plan = run("migrate", "--code", "all-MiniLM-L6-v2@q32", "--plan", "--json").json
    assert [(one["n_missing"], one["n_chunks"]) for one in plan["moves"]] == [(2, 2)]
    assert (plan["n_given_up"], plan["n_dropped"], plan["is_done"]) == (2, 0, False)
    ran = run("migrate", "--code", "all-MiniLM-L6-v2@q32", "--hybrid", "--yes")
    assert ran.out.endswith("text: all-MiniLM-L6-v2; code: all-MiniLM-L6-v2 (in both spaces)\n")
    report = run("migrate", "--code", "all-MiniLM-L6-v2@q32", "--json").json
    assert (report["hybrid"], report["moves"]) == (False, [])
    found = roles(run)
    assert ("@q8" in found["main"], "@q32" in found["code"]) == (True, True)
    (indexed / "more.py").write_text("def read_settings(place):\n    return place\n")
    assert run("index").code == 0
    assert first(run) == "disk.md"
    ran = run("search", "parse the configuration", "--json")
    assert ran.json["results"][0]["path"] == "parse.py"
    spaces = run("status", "--json").json["spaces"]
    assert [(one["holds"], one["missing"]) for one in spaces] == [(["text"], 0), (["code"], 0)]
    assert "code space of all-MiniLM-L6-v2" in run("doctor", "--deep").out
    ran = run("migrate", "--no-code", "--yes")
    assert "3 chunks embedded" in ran.out
    assert ran.out.endswith("text and code: all-MiniLM-L6-v2\n")
    assert list(roles(run)) == ["main"]
    run("migrate", "--code", "all-MiniLM-L6-v2@q8", "--yes")
    run("migrate", "--code", "all-MiniLM-L6-v2@q32", "--keep-old", "--yes")
    dropped = run("purge", "--space", "kept", "--dry-run", "--json").json["rows"]
    assert dropped == {"spaces": 1, "vectors": 3}
    run("migrate", "--no-code", "--yes")
    assert "one space for text and code already" in run("migrate", "--no-code").err


def test_what_becomes_of_vectors_of_code_is_told(indexed, run):
    code = ("--code", "all-MiniLM-L6-v2@q32", "--yes")
    ran = run("migrate", *code).out
    assert "vectors of code: all-MiniLM-L6-v2 (384 dimensions) to all-MiniLM-L6-v2@q32" in ran
    assert "1 of 1 chunks of code to embed" in ran
    assert "the main space (all-MiniLM-L6-v2) gave up its vectors of 1 chunks of code" in ran
    assert run("migrate", *code).out == (
        "nothing is to be done; text: all-MiniLM-L6-v2; code: all-MiniLM-L6-v2\n"
    )
    rows = run("status").out.splitlines()
    assert "384 dimensions, text alone" in next(row for row in rows if row.startswith("model"))
    assert "384 dimensions, code alone" in next(row for row in rows if row.startswith("code"))
    light = ("migrate", "--to", "all-MiniLM-L6-v2@q4", "--keep-both", "--plan", "--json")
    assert run(*light).json["n_missing"] == run("status", "--json").json["chunks"]
    ran = run("migrate", *code, "--hybrid").out
    assert "takes code in; its vectors of text are copied" in ran
    assert "100% of the first ten as before" in ran
    ran = run("migrate", "--no-code", "--yes").out
    assert "the code space is dropped with its vectors of 1 chunks" in ran
    assert ran.endswith("dropped with its vectors of 1 chunks\ntext and code: all-MiniLM-L6-v2\n")


def test_few_bits_are_refused_on_an_index_of_more_and_read_what_they_wrote(
    indexed, run, monkeypatch
):
    refused = run("search", QUESTION, "--quantization", "q4")
    assert refused.code == 1
    assert "drift on the probe texts" in refused.err
    assert "--quantization q8" in refused.err
    monkeypatch.setenv("EMBEDWELL_ACCEPT_DRIFT", "all-MiniLM-L6-v2@q4")
    assert first(run, "--quantization", "q4") == "disk.md"
    monkeypatch.delenv("EMBEDWELL_ACCEPT_DRIFT")
    run("migrate", "--to", "all-MiniLM-L6-v2@q4")
    assert first(run) == "disk.md"


def test_documents_are_cut_anew(indexed, run):
    before = run("status", "--json").json["chunks"]
    ran = run("migrate", "--chunk-tokens", "8", "--json")
    assert int(ran.json["chunks"]) > before
    assert run("index", "--json").json["n_unchanged"] == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Give one of --to"),
        (["--back", "--to", "x"], "Give one of --to"),
        (["--to", "x", "--keep-old", "--keep-both"], "leave --keep-old out"),
        (["--code", "x", "--no-code"], "Give one of --to"),
        (["--back", "--hybrid"], "--hybrid goes with --code"),
        (["--no-code", "--keep-old"], "--keep-old goes with"),
        (["--code", "x", "--keep-both"], "--keep-both goes with --to"),
        (["--code", "unheard-of"], "unheard-of"),
        (["--to", "unheard-of"], "unheard-of"),
        (["--to", ""], "no model ''"),
        (["--to", "all-MiniLM-L6-v2@q8"], "already"),
        (["--back"], "No earlier space was kept"),
        (["--drop", "next"], "no 'next' space"),
    ],
)
def test_what_cannot_be_is_refused(indexed, run, words, told):
    ran = run("migrate", *words)
    assert ran.code in {1, 2}
    assert told in ran.err


def test_a_model_is_compared_with_its_index(indexed, run):
    ran = run("compare", QUESTION)
    assert ran.code == 0
    assert "The index and the model agree" in ran.out
    found = run("compare", QUESTION, "--json").json
    assert found["ok"]
    assert found["embedded_again"]["worst"] < 1e-3
    assert found["distances"]["nearest"].startswith("disk.md")
    worse = run("compare", "--quantization", "q4")
    assert worse.code == 1
    assert "is not fit for it" in worse.out


def test_what_was_altered_in_the_file_is_found(indexed, run, index_file):
    with sqlite3.connect(index_file) as database:
        database.execute("UPDATE vectors_1 SET vector = zeroblob(768) WHERE chunk = 1")
    database.close()
    assert "1 of 3 stored vectors are all zero" in run("compare").out
    ran = run("doctor")
    assert ran.code == 1
    assert "embedwell compare" in ran.out


def test_an_index_is_compacted_and_copied(indexed, run, tmp_path):
    assert run("compact", "--json").json["after_bytes"] > 0
    assert " now" in run("compact").out
    copy = tmp_path / "copy.db"
    assert run("backup", str(copy)).code == 0
    assert first(run, "--db", str(copy)) == "disk.md"
    assert run("backup", str(copy), "--json").code == 1
