from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_bert import tiny_source

from embedwell import Embedder
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.key import recipe_name


def test_status_shows_what_is_stale(indexed, run):
    assert run("status", "--json").json["stale"] == {"changed": [], "gone": []}
    (indexed / "disk.md").unlink()
    (indexed / "new.md").write_text("new")
    found = run("status", "--json").json
    assert found["stale"] == {"changed": ["new.md"], "gone": ["disk.md"]}
    assert (found["documents"], found["dimensions"]) == (3, 384)
    assert "1 new or changed, 1 gone: run `embedwell index`" in run("status").out


def test_vectors_are_printed_as_json_lines(real_cache, run):
    ran = run("embed", "hello world", "une phrase", "--json")
    rows = np.array([json.loads(line) for line in ran.out.splitlines()], np.float32)
    with Embedder() as embedder:
        assert np.array_equal(rows, embedder.embed(["hello world", "une phrase"]))


def test_lines_of_standard_input_are_embedded(real_cache, run):
    ran = run("embed", stdin="un\n\ntrois é\r\n".encode() + b"\xff\xfe not utf-8\n")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 4
    assert "(384 dimensions)  trois é" in ran.out


def test_truncation_is_told(real_cache, run):
    ran = run("embed", "word " * 500, "--json")
    assert ran.code == 0
    assert "1 of 1 texts had more than the 256 tokens" in ran.err


def test_a_stream_flows(real_cache):
    process = subprocess.Popen(
        [sys.executable, "-m", "embedwell.cli.main", "embed", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    for text in ("first", "second"):
        process.stdin.write(text + "\n")
        process.stdin.flush()
        assert len(json.loads(process.stdout.readline())) == 384
    process.communicate()
    assert process.returncode == 0


def test_a_reader_that_has_enough_is_no_error(real_cache):
    command = f"yes text | head -5000 | {sys.executable} -m embedwell.cli.main embed | head -1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "384 dimensions" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_settings_are_shown_with_their_origin(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDWELL_THREADS", "3")
    settings = run("config", "--json").json["settings"]
    assert settings["threads"] == {"value": 3, "origin": "environment"}
    assert settings["model"] == {"value": "all-MiniLM-L6-v2", "origin": "default"}
    assert "environment" in run("config").out


def test_wrong_settings_are_code_2_and_the_others_are_shown(run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_THREADS", "three")
    monkeypatch.setenv("EMBEDWELL_CANARY", "3")
    ran = run("config", "--json")
    assert ran.code == 2
    assert "threads = 'three' from environment" in ran.err
    assert "`embedwell config` shows" in ran.err
    assert ran.json["settings"]["threads"] == {"value": 0, "origin": "default"}
    assert ran.json["settings"]["canary"] == {"value": 3, "origin": "environment"}


def test_the_doctor_finds_a_sound_machine_sound(indexed, run):
    ran = run("doctor", "--json")
    assert ran.code == 0, ran.out
    assert ran.json["ok"]
    names = [check["name"] for check in ran.json["checks"]]
    assert {"python", "memory", "sqlite", "model", "index"} <= set(names)


def test_a_code_model_that_the_index_does_not_have_is_told(indexed, run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CODE_MODEL", "all-mpnet-base-v2")
    ran = run("index", "--json")
    assert "all-mpnet-base-v2 is not used" in ran.err
    assert ran.json["n_unchanged"] == 3
    checks = {check["name"]: check for check in run("doctor", "--json").json["checks"]}
    assert "`embedwell migrate --code all-mpnet-base-v2`" in checks["code model"]["found"]


def test_the_doctor_looks_whether_the_index_fits_the_settings(indexed, run, monkeypatch):
    monkeypatch.setenv("EMBEDDING_DIMENSION", "384")
    assert run("doctor").code == 0
    monkeypatch.setenv("EMBEDWELL_MODEL", "all-mpnet-base-v2")
    monkeypatch.setenv("EMBEDDING_DIMENSION", "768")
    ran = run("doctor")
    assert ran.code == 1
    assert "dimensions is 768, and the index holds" in ran.out


def test_the_doctor_names_what_is_broken_and_the_remedy(folder, run):
    (folder / ".embedwell").mkdir()
    (folder / ".embedwell/index.db").write_text("this is no database, whatever its name says")
    ran = run("doctor")
    assert ran.code == 1
    assert "BROKEN" in ran.out


def test_the_doctor_tells_wrong_settings(run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_QUANTIZATION", "q5")
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert "q5" in ran.json["checks"][0]["found"]


def test_models_are_listed_and_shown(real_cache, run):
    (listed,) = [m for m in run("models", "list", "--json").json if m["name"] == "all-MiniLM-L6-v2"]
    assert listed["here"]["q8"] > 20_000_000
    assert "all-MiniLM-L6-v2" in run("models", "list").out
    shown = run("models", "show", "all-MiniLM-L6-v2", "--json").json
    assert shown["files"]["model.safetensors"]["size_bytes"] == 90868376
    assert "53aa51172d142c89" in run("models", "show", "all-MiniLM-L6-v2").out


def test_a_model_is_pulled_from_a_folder_and_removed(run, real_source, tmp_path, monkeypatch):
    folder = tmp_path / "files"
    folder.mkdir()
    for name, path in real_source.paths.items():
        (folder / name).symlink_to(path)
    monkeypatch.setenv("EMBEDWELL_CACHE", str(tmp_path / "cache"))
    ran = run("models", "pull", "all-MiniLM-L6-v2", "--from", str(folder), "--json")
    assert ran.code == 0, ran.err
    assert ran.json["quantization"] == "q8"
    ran = run("models", "remove", "all-MiniLM-L6-v2", "--json")
    assert ran.json["freed_bytes"] > 20_000_000
    listed = run("models", "list", "--json").json
    assert listed[0]["here"] == {}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["index", "-h"], ["models", "-h"]])
def test_help_and_version(run, words):
    ran = run(*words)
    assert ran.code == 0
    assert "embedwell" in ran.out


def test_a_recipe_is_made_used_and_written_elsewhere(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CACHE", str(tmp_path / "cache"))
    source = tiny_source(tmp_path / "tiny")
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {"tiny": source.card})
    monkeypatch.setattr("embedwell.app.models.calibration.pull_source", lambda *_: source)
    kept = ArtifactStore(tmp_path / "cache")
    without = kept.make(source, "q8", Watch())
    ran = run("models", "calibrate", "tiny", "--json")
    assert ran.code == 0, ran.err
    made = kept.make(source, "q8", Watch())
    assert (without.recipe is None, made.recipe is None) == (True, False)
    assert made.key != without.key
    file = tmp_path / "tiny.recipe"
    assert run("models", "calibrate", "tiny", "--output", str(file)).out.strip() == str(file)
    assert file.read_bytes() == (kept.recipes / recipe_name(source)).read_bytes()


def test_a_recipe_that_cannot_be_written_says_so(run, tmp_path, monkeypatch):
    source = tiny_source(tmp_path / "tiny")
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {"tiny": source.card})
    monkeypatch.setattr("embedwell.app.models.calibration.pull_source", lambda *_: source)
    (tmp_path / "file").write_text("")
    ran = run("models", "calibrate", "tiny", "--output", str(tmp_path / "file/below"))
    assert ran.code == 1
    assert "--output FILE" in ran.err
