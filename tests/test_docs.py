"""What the documentation says is what happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from serving import free_port, short_folder

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs/library.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, "python"))
    ],
)
def test_examples_run(code, real_cache, tmp_path):
    shutil.copytree(ROOT / "examples/library", tmp_path / "notes")
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


# What `make` does has a test of its own; what watches would go on for ever; the others fetch models
# that a test cannot have, or take a minute, and have tests of their own.
NOT_RUN = ("make ", "--watch", "--code-model", "--rerank", "distill", "--measure")


@pytest.mark.skipif(shutil.which("curl") is None, reason="one of the commands is curl")
def test_the_commands_of_the_readme_run(real_cache, tmp_path):
    for name in ("notes", "papers"):
        shutil.copytree(ROOT / "examples/library", tmp_path / name)
    port = str(free_port())
    server = Path(tempfile.mkdtemp(prefix="embedwell-"))  # as in conftest: of another user
    server.chmod(0o755)
    wait = f"until curl -sf http://127.0.0.1:{port}/health; do sleep 0.1; done"
    lines = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    commands = [line.split("  #")[0].replace("~/", f"{tmp_path}/") for line in lines]
    runnable = [one for one in commands if not any(sign in one for sign in NOT_RUN)]
    script = "set -e\n" + "\n".join(runnable)
    script = script.replace("serve &", f"serve 2>/dev/null & trap 'kill $!' EXIT\n{wait}")
    script = script.replace("8437", port).replace("embedded:", f"embedded:{server}/data")
    folder = Path(sys.executable).parent
    with short_folder() as place:
        variables = {"EMBEDWELL_SOCKET": f"{place}/s", "EMBEDWELL_PORT": port}
        run = subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
    shutil.rmtree(server, ignore_errors=True)
    assert run.returncode == 0, run.stderr
    assert "guides/backup.md" in run.stdout
    assert '"object":"embedding"' in run.stdout


def test_every_link_between_pages_leads_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_wheel_is_pure_and_carries_its_data(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in ("py.typed", "models/catalogue.toml", "stores/sqlite/001.sql", "models/recipes/"):
        assert f"embedwell/{name}" in listed, name
