"""What cannot be shown on a fake machine: each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_bert import make, tiny_source

from embedwell.core.artifact import Artifact

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, sets RLIMIT_AS")

PRELUDE = """
import json, resource, sys
from pathlib import Path
from dataclasses import replace
from embedwell.core.artifact import Artifact
from embedwell.core.device import resident_bytes
from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.engines.registry import import_engine
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.states import Limits
from embedwell.runtime.managed import embed
from embedwell.runtime.refusals import OverBudgetError

def artifact(row):
    fields = dict(row, space=Space.from_json(row["space"]), folder=Path(row["folder"]))
    return Artifact(**fields)

def anonymous():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    rows = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return rows["Anonymous"] * 1024

def taken():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

first, second = map(artifact, json.loads(sys.argv[1]))
import_engine("onnx")
import tokenizers
MB = 1 << 20
events = []
"""


def run(code: str, *artifacts: Artifact):
    rows = [
        vars(artifact) | {"space": artifact.space.to_json(), "folder": str(artifact.folder)}
        for artifact in artifacts
    ]
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, json.dumps(rows)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def broad(tmp_path_factory) -> Artifact:
    """Random weights of 90 MB."""
    folder: Path = tmp_path_factory.mktemp("broad")
    made = make(tiny_source(folder / "source", width=960, n_layers=3), "q32", folder / "made")
    (folder / "source" / "tokenizer.json").rename(folder / "made" / "tokenizer.json")
    size = sum(file.stat().st_size for file in (folder / "made").iterdir())
    return replace(made, key="broad", size_bytes=size)


def test_unloading_gives_the_memory_back_and_nothing_grows(real_artifact, broad):
    rows = run(
        """
models = LoadedModels(Limits(8 << 30, 5, 0.0, 1))
texts = [f"w3 w4 a passage of some words, number {i}. " * (1 + i % 8) for i in range(120)]
before, rows = (anonymous(), resident_bytes()), []
for cycle in range(4):
    for one in (first, second):
        embed(models, one, texts, "document", Watch())
        used = anonymous()
        models.unload(one)
        rows.append([used - before[0], anonymous() - before[0], resident_bytes() - before[1]])
print(json.dumps(rows))
""",
        real_artifact("q8"),
        broad,
    )
    mb = 1 << 20
    assert min(used for used, _, _ in rows) > 20 * mb
    assert max(left for _, left, _ in rows) < 12 * mb
    assert max(resident for _, _, resident in rows) < 28 * mb
    assert rows[-1][1] - rows[3][1] < 2 * mb


def test_the_process_stays_inside_its_budget(real_artifact, broad):
    found = run(
        """
import threading
budget = resident_bytes() + 170 * MB
models = LoadedModels(Limits(budget, 5, 0.0, 1), events.append)
peak, done, errors = [0], threading.Event(), []

def sample():
    while not done.wait(0.002):
        peak[0] = max(peak[0], resident_bytes())

def work(number):
    for i in range(6):
        try:
            embed(models, (first, second)[(number + i) % 2], ["w3 w4 w5"], "query", Watch())
        except Exception as error:
            errors.append(repr(error))

threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
watcher = threading.Thread(target=sample)
for thread in [watcher, *threads]:
    thread.start()
for thread in threads:
    thread.join()
done.set()
watcher.join()
gone = sum(event.kind == "unloaded" for event in events)
print(json.dumps({"share": peak[0] / budget, "errors": errors, "gone": gone}))
""",
        real_artifact("q8"),
        broad,
    )
    assert found["errors"] == []
    assert found["gone"] > 0
    assert found["share"] < 1.05


def test_out_of_memory_is_survived_where_the_system_sets_the_limit(real_artifact, broad):
    found = run(
        """
models = LoadedModels(Limits(8 << 30, 5, 0.0, 1), events.append)
embed(models, first, ["warm"], "query", Watch())
resource.setrlimit(resource.RLIMIT_AS, (taken() + 10 * MB, resource.RLIM_INFINITY))
try:
    embed(models, second, ["w3"], "query", Watch())
    error = ""
except EmbedwellError as caught:
    error = type(caught).__name__
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
again = embed(models, first, ["still here"], "query", Watch()).artifact
told = [[e.kind, e.artifact, e.detail.get("reason")] for e in events]
print(json.dumps({"error": error, "again": again, "told": told}))
""",
        real_artifact("q8"),
        broad,
    )
    assert found["error"] == "OverBudgetError"
    assert found["again"] == "all-MiniLM-L6-v2@q8"
    assert ["unloaded", "all-MiniLM-L6-v2@q8", "memory"] in found["told"]
    assert ["refused", "tiny@q32", "budget"] in found["told"]
