"""The program that `hub.py` runs, from the outside: what it says and how it ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hub_server import HubServer
from published import FILES, REVISION, all_files, made_up_card

from embedwell.models.mirrors import hub_child

CARD = made_up_card()


@pytest.fixture
def hub():
    with HubServer(CARD.hub_id, REVISION, dict(FILES)) as server:
        yield server


def start(hub: HubServer, tmp_path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", hub_child.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_TOKEN": ""},
    )
    request = {
        "repository": CARD.hub_id,
        "revision": CARD.revision,
        "names": list(CARD.files),
        "connect_s": 5,
    }
    child.stdin.write(json.dumps(request) + "\n")
    child.stdin.flush()
    return child


def test_it_tells_of_each_file_in_lines_of_json(hub, tmp_path):
    with start(hub, tmp_path) as child:
        messages = [json.loads(line) for line in child.stdout if line.strip()]
    files = {row["file"]: Path(row["path"]).read_bytes() for row in messages if "file" in row}
    assert files == FILES
    assert child.returncode == 0


def test_it_ends_without_a_trace_when_its_parent_is_killed(hub, tmp_path):
    hub.fault = "stalled"
    script = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from published import made_up_card
        from embedwell.core.events import Watch
        from embedwell.models.files import mirrors, pull
        print("ready", flush=True)
        pull(made_up_card(), mirrors(Path({str(tmp_path / "cache")!r})), Watch())
    """
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, env=environment
    ) as parent:
        wait_for(lambda: half_done(tmp_path))
        parent.kill()
    wait_for(lambda: not half_done(tmp_path))
    assert parent.returncode == -signal.SIGKILL


def half_done(folder: Path) -> list[str]:
    return [name for name in all_files(folder) if name.endswith(".incomplete")]


def wait_for(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
