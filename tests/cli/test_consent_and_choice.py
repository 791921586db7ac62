from __future__ import annotations

import json
import socket

import pytest
from serving import serving, short_folder

from embedwell.app.config.settings import Settings


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project that wants to start the service, as the working directory."""
    monkeypatch.delenv("EMBEDWELL_SERVICE")
    folder = tmp_path / "project"
    (folder / ".embedwell").mkdir(parents=True)
    (folder / ".embedwell/config.toml").write_text('service = "start"\nthreads = 3\n')
    monkeypatch.chdir(folder)
    return folder


def test_consent_is_given_and_taken_back(project, run):
    ran = run("config")
    assert ran.code == 2
    assert "service may not be set by .embedwell/config.toml" in ran.err
    ran = run("config", "trust")
    assert ran.code == 0
    assert ".embedwell/config.toml sets service" in ran.out
    assert run("config", "--json").json["settings"]["service"]["value"] == "start"
    assert "is no longer trusted" in run("config", "untrust").out
    assert run("config").code == 2
    assert "was not trusted" in run("config", "untrust").out


def test_consent_in_json(project, run):
    found = run("config", "trust", str(project), "--json").json
    assert found == {
        "folder": str(project),
        "trusted": True,
        "settings": {".embedwell/config.toml": ["service"]},
    }
    found = run("config", "untrust", "--json").json
    assert found == {"folder": str(project), "trusted": False, "was_trusted": True}


def test_a_folder_without_settings_cannot_be_trusted(tmp_path, run):
    ran = run("config", "trust", str(tmp_path))
    assert ran.code == 2
    assert "has neither" in ran.err


def test_secrets_are_never_shown(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run("config", "--json").json["settings"]["api_key"]["value"] is None
    monkeypatch.setenv("EMBEDWELL_API_KEY", "s3cret")
    monkeypatch.setenv("EMBEDWELL_PRELOAD", "all-MiniLM-L6-v2,all-minilm")
    assert run("config", "--json").json["settings"]["api_key"]["value"] == "set"
    shown = run("config").out
    assert "s3cret" not in shown
    assert "all-MiniLM-L6-v2, all-minilm" in shown
    monkeypatch.setenv("EMBEDWELL_API_KEY", "s3cret with spaces")
    ran = run("config", "--json")
    assert ran.code == 2
    assert "s3cret" not in ran.out + ran.err


def test_a_new_index_says_which_model_was_chosen(folder, real_cache, run):
    ran = run("index", "--model", "auto")
    assert ran.code == 0, ran.err
    assert "The model is all-MiniLM-L6-v2 (384 dimensions)" in ran.err
    assert "The model is" not in run("index", "--model", "auto").err
    assert "The model is" in run("embed", "--model", "auto", "text").err


def checks(ran):
    return {check["name"]: check for check in ran.json["checks"]}


def test_the_doctor_explains_what_it_chose(folder, real_cache, run, monkeypatch):
    found = checks(run("doctor", "--json"))
    assert "a quarter of the budget" in found["quantization"]["found"]
    assert "at once" in found["profile"]["found"]
    assert "need no trust" in found["trust"]["found"]
    assert found["service"]["found"].endswith("not used")
    monkeypatch.setenv("EMBEDWELL_QUANTIZATION", "q32")
    monkeypatch.setenv("EMBEDWELL_MEMORY_BUDGET", "1GiB")
    monkeypatch.setenv("EMBEDWELL_IDLE_S", "0")
    found = checks(run("doctor", "--json"))
    assert "q32 is meant for machines from 8.0 GiB" in found["quantization"]["found"]
    assert found["quantization"]["ok"]
    assert "1 model at once, never unloaded" in found["profile"]["found"]
    monkeypatch.setenv("EMBEDWELL_MODEL", "auto")
    assert "chosen" in checks(run("doctor", "--json"))["model"]["found"]
    monkeypatch.setenv("EMBEDWELL_MODEL", "unknown")
    ran = run("doctor", "--json")
    assert (ran.code, checks(ran)["model"]["ok"]) == (1, False)


def test_the_doctor_loads_nothing_where_embeddings_are_off(folder, real_cache, run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_EMBEDDINGS", "false")
    assert "embeddings are off" in checks(run("doctor", "--json"))["model"]["found"]


def test_the_doctor_tells_of_a_trusted_project(project, real_cache, run, monkeypatch):
    run("config", "trust")
    assert "is trusted; they set service" in checks(run("doctor", "--json"))["trust"]["found"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_the_doctor_finds_the_service(folder, real_cache, run, monkeypatch):
    with short_folder() as place:
        settings = Settings(cache=real_cache, socket=place / "s", port=0)
        monkeypatch.setenv("EMBEDWELL_SOCKET", str(settings.socket))
        monkeypatch.setenv("EMBEDWELL_SERVICE", "require")
        ran = run("doctor", "--json")
        assert (ran.code, checks(ran)["service"]["ok"]) == (1, False)
        with serving(settings):
            run("embed", "text")
            found = checks(run("doctor", "--json"))["service"]
            assert found["ok"], json.dumps(found)
            assert "required; all-MiniLM-L6-v2@q8 loaded" in found["found"]
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(settings.socket))
            assert not checks(run("doctor", "--json"))["service"]["ok"]
