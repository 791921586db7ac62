"""What a clone can do with the files that it brings: nothing, until the user consents."""

from __future__ import annotations

import json
import os
import shutil

import pytest

import embedwell
from embedwell.app.config.configuration import load
from embedwell.app.config.rules import PERSONAL
from embedwell.app.config.trust import (
    is_trusted,
    read_project,
    trust,
    trust_file,
    untrust,
)
from embedwell.core.errors import SettingsError
from embedwell.stores.registry import open_store

VALUES = {
    "remote_url": "http://192.0.2.1",
    "remote_dialect": "ollama",
    "remote_model": "other",
    "remote_api_key": "s3cret",
    "remote_timeout_s": 1.5,
    "cache": "/elsewhere",
    "model_files": "/elsewhere",
    "db": "/elsewhere.db",
    "database_url": "postgresql://me:s3cret@192.0.2.1/db",
    "accept_drift": "all-MiniLM-L6-v2@q4",
    "service": "start",
    "socket": "/elsewhere.sock",
    "host": "192.0.2.1",
    "port": 1234,
    "api_key": "s3cret",
    "cors_origins": "https://evil.example",
    "preload": "all-MiniLM-L6-v2",
    "pinned": "all-MiniLM-L6-v2",
    "indexes": "/elsewhere",
    "max_waiting": 1,
    "max_request": "1GiB",
    "request_timeout_s": 1.5,
    "code_memory_limit_mb": 1,
    "memory_warning_mb": 1,
    "memory_limit_mb": 1,
}


@pytest.fixture
def clone(tmp_path, monkeypatch):
    monkeypatch.delenv("EMBEDWELL_SERVICE")
    monkeypatch.delenv("EMBEDWELL_CODE_MEMORY_LIMIT_MB")
    folder = tmp_path / "clone"
    (folder / ".embedwell").mkdir(parents=True)
    return folder


def write_config(clone, text):
    (clone / ".embedwell/config.toml").write_text(text)


def write_env(clone, text):
    (clone / ".env").write_text(text)


def test_every_personal_setting_is_tried_here():
    assert set(VALUES) == PERSONAL


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_a_personal_setting_of_a_clone_needs_consent(clone, name):
    write_config(clone, f"{name} = {json.dumps(VALUES[name])}")
    write_env(clone, f"EMBEDWELL_{name.upper()}={VALUES[name]}")
    with pytest.raises(SettingsError) as caught:
        load(folder=clone)
    for file in (".embedwell/config.toml", ".env"):
        assert f"{name} may not be set by {file}; look at the file" in str(caught.value)
    assert "embedwell config trust" in str(caught.value)
    assert str(VALUES[name]) not in str(caught.value)
    trust(read_project(clone))
    assert load(folder=clone).origins[name] == ".env"


def test_other_settings_of_a_clone_count_without_consent(clone):
    write_config(clone, 'quantization = "q4"\nthreads = 1')
    write_env(clone, "EMBEDWELL_THREADS=2\nSECRET=3\n")
    loaded = load(folder=clone)
    assert (loaded.settings.quantization, loaded.settings.threads) == ("q4", 2)


@pytest.mark.parametrize("name", ["model", "code_model"])
def test_a_clone_names_models_of_the_hub_but_no_file_without_consent(clone, name):
    write_config(clone, f'{name} = "hf:someone/model#v1@q8"')
    assert load(folder=clone).origins[name] == ".embedwell/config.toml"
    write_config(clone, f'{name} = "file:/home/me/secret.gguf"')
    write_env(clone, f"EMBEDWELL_{name.upper()}=file:/home/me/secret.gguf")
    with pytest.raises(SettingsError, match=f"{name} may not be set by"):
        load(folder=clone)
    trust(read_project(clone))
    assert load(folder=clone).origins[name] == ".env"


@pytest.mark.parametrize("changed", [".embedwell/config.toml", ".env"])
def test_consent_ends_with_any_change_of_either_file(clone, changed):
    write_config(clone, 'service = "start"')
    write_env(clone, "EMBEDWELL_PORT=1\n")
    trust(read_project(clone))
    assert load(folder=clone).settings.service == "start"
    with (clone / changed).open("a") as file:
        file.write("\n")
    with pytest.raises(SettingsError, match="may not be set"):
        load(folder=clone)


def test_consent_ends_when_a_file_comes_or_goes(clone):
    write_config(clone, 'service = "start"')
    trust(read_project(clone))
    write_env(clone, "")
    assert not is_trusted(read_project(clone))
    (clone / ".env").unlink()
    assert is_trusted(read_project(clone))


def test_consent_is_for_one_place(clone):
    write_config(clone, 'service = "start"')
    trust(read_project(clone))
    shutil.copytree(clone, clone.with_name("other"))
    assert not is_trusted(read_project(clone.with_name("other")))
    clone.with_name("link").symlink_to(clone)
    assert is_trusted(read_project(clone.with_name("link")))


def test_consent_can_be_taken_back(clone):
    write_config(clone, 'service = "start"')
    assert not untrust(read_project(clone))
    trust(read_project(clone))
    assert untrust(read_project(clone))
    assert not is_trusted(read_project(clone))


def test_there_must_be_something_to_consent_to(tmp_path):
    with pytest.raises(SettingsError, match="has neither"):
        trust(read_project(tmp_path))


def test_a_damaged_record_trusts_nothing(clone):
    write_config(clone, 'service = "start"')
    trust(read_project(clone))
    trust_file().write_text("[1")
    assert not is_trusted(read_project(clone))
    trust_file().write_text("[1]")
    assert not is_trusted(read_project(clone))


def test_a_record_that_cannot_be_written_is_said(clone, tmp_path, monkeypatch):
    write_config(clone, 'service = "start"')
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match="cannot be written"):
        trust(read_project(clone))


@pytest.mark.parametrize(
    "model",
    ["https://evil.example/model", "/etc/passwd", "../model", "~/model", "a/b/c", "m\x1b[2J"],
)
@pytest.mark.parametrize("name", ["model", "preload", "pinned"])
def test_a_model_is_never_a_path_or_an_address(clone, name, model):
    write_config(clone, f"{name} = {json.dumps(model)}")
    trust(read_project(clone))
    with pytest.raises(SettingsError, match="embedwell models list"):
        load(folder=clone)


@pytest.mark.parametrize("name", [".embedwell/config.toml", ".env"])
def test_a_link_out_of_the_clone_is_not_read_without_consent(clone, name):
    outside = clone.with_name("secrets")
    outside.write_text("secret_token = 1\nEMBEDWELL_SECRET=1\n")
    (clone / name).symlink_to(outside)
    with pytest.raises(SettingsError, match="is a link out of the project") as caught:
        load(folder=clone)
    assert "secret_token" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_link_out_of_the_clone_may_be_consented_to_until_it_leads_elsewhere(clone):
    for name in ("one", "two"):
        clone.with_name(name).write_text("threads = 3\n")
    (clone / ".embedwell/config.toml").symlink_to(clone.with_name("one"))
    trust(read_project(clone))
    assert load(folder=clone).settings.threads == 3
    (clone / ".embedwell/config.toml").unlink()
    (clone / ".embedwell/config.toml").symlink_to(clone.with_name("two"))
    with pytest.raises(SettingsError, match="link out"):
        load(folder=clone)


def test_a_link_within_the_clone_is_no_matter(clone):
    (clone / "settings.toml").write_text("threads = 3\n")
    (clone / ".embedwell/config.toml").symlink_to("../settings.toml")
    assert load(folder=clone).settings.threads == 3


def test_links_in_a_circle_are_no_file(clone):
    (clone / ".env").symlink_to(".env")
    assert load(folder=clone).settings.threads == 0


def test_a_variable_of_the_user_does_not_get_into_a_setting_without_consent(clone, monkeypatch):
    monkeypatch.setenv("TOKEN", "q4")
    write_env(clone, "EMBEDWELL_QUANTIZATION=${TOKEN}\n")
    with pytest.raises(SettingsError, match="TOKEN"):
        load(folder=clone)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
@pytest.mark.parametrize("name", [".embedwell/config.toml", ".env"])
def test_what_is_no_regular_file_is_not_read(clone, name):
    os.mkfifo(clone / name)
    with pytest.raises(SettingsError, match="is no regular file"):
        load(folder=clone)


@pytest.mark.parametrize("name", [".embedwell/config.toml", ".env"])
def test_a_huge_file_is_not_read(clone, name):
    (clone / name).write_bytes(b"#" * (2 << 20))
    with pytest.raises(SettingsError, match="is larger than"):
        load(folder=clone)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (".embedwell/config.toml", b"x = " + b"[" * 100_000),
        (".embedwell/config.toml", b"\xff\xfe"),
        (".env", b"EMBEDWELL_THREADS=\xff\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault(clone, name, data):
    (clone / name).write_bytes(data)
    with pytest.raises(SettingsError, match="cannot be read"):
        load(folder=clone)


def test_a_folder_named_env_is_no_settings_file(clone):
    (clone / ".env").mkdir()
    assert load(folder=clone).settings.threads == 0


def test_names_from_a_clone_do_not_reach_the_terminal_raw(clone):
    write_config(clone, '"\\u001b[2J" = 1')
    with pytest.raises(SettingsError) as caught:
        load(folder=clone)
    assert "\x1b" not in str(caught.value)


def test_a_linked_index_is_not_opened_without_consent(real_cache, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "clone").mkdir()
    with embedwell.open(tmp_path / "mine") as index:
        index.add(["my own notes"])
        mine = index.target
    (tmp_path / "clone/.embedwell").symlink_to(tmp_path / "mine/.embedwell")
    for create in (True, False):
        with pytest.raises(SettingsError, match="is a link out of its folder"):
            embedwell.open(tmp_path / "clone", create=create)
    with embedwell.open(db=tmp_path / "clone/.embedwell/index.db") as index:
        assert index.counts().documents == 1
    trust(read_project(tmp_path / "clone"))
    with embedwell.open(tmp_path / "clone") as index:
        assert index.counts().documents == 1
    store = open_store(mine)
    assert store.counts().documents == 1
    store.close()
