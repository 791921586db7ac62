from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from embedwell.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in this process."""

    def call(*words: str, stdin: bytes = b"") -> Ran:
        with TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            monkeypatch.setattr(sys, "stdin", TextIOWrapper(source))
            with pytest.raises(SystemExit) as stop:
                main(words)
        out, err = capfd.readouterr()
        return Ran(int(stop.value.code or 0), out, err)

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with text and code, which is the working directory."""
    place = tmp_path / "folder"
    (place / "code").mkdir(parents=True)
    (place / "pain.md").write_text(
        "# Le pain\n\n## La pâte ne lève pas\n\nIl fait trop froid près de la fenêtre.\n"
    )
    (place / "disk.md").write_text(
        "# Disks\n\n## When one fails\n\nPull the drive whose lamp blinks, push the spare in.\n"
    )
    (place / "code/retry.py").write_text(
        'def call_again(action):\n    """Try an action again after a pause."""\n    action()\n'
    )
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def indexed(folder: Path, real_cache: Path, run: Run) -> Path:
    """The same folder with an index of the real model at q8."""
    assert run("index").code == 0
    return folder
