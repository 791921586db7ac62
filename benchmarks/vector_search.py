"""Search among many vectors: embedwell's store beside what else is used, in one run.

python -m benchmarks.vector_search [ROWS]…
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import realistic
from benchmarks.environments import UnavailableError, python
from benchmarks.paths import ROOT, data, work
from benchmarks.processes import environment
from benchmarks.searchers import FILTERS

SIZES = (100_000, 1_000_000)
ENVIRONMENT = "vector-search"


@dataclass(frozen=True)
class System:
    """What is measured.

    Attributes:
        name: The row's name.
        module: Below `benchmarks.searchers`.
        is_own: Whether this interpreter runs it; else the peers' environment.
        borrows: Whether it finds the peers' packages besides.
        without: A package that counts as not installed.
        largest: More rows take it too long to build on one thread.
    """

    name: str
    module: str
    is_own: bool = False
    borrows: bool = False
    without: str = ""
    largest: int = 1_000_000


NUMPY, NATIVE = "embedwell, numpy alone", "embedwell, with `embedwell[fast]`"
SYSTEMS = (
    System(NUMPY, "embedwell", is_own=True, without="faiss"),
    System(NATIVE, "embedwell", is_own=True, borrows=True),
    System("numpy float32 product", "matmul"),
    System("sqlite-vec float32", "sqlite_vec"),
    System("faiss PQ96x4fs, refined from float16", "faiss_pq"),
    System("usearch HNSW float16", "usearch_hnsw", largest=500_000),
    System("pgvector HNSW halfvec", "pgvector", largest=100_000),
)


def measure(folder: Path, n_threads: int, sizes: Sequence[int]) -> dict[str, Any]:
    """Every system at every size; systems that cannot be had here are named with the reason."""
    rows, missing, made = [], [], []
    for size in sizes:
        found = realistic.make(folder, size, n_threads)
        made.append(
            {
                "n": size,
                "n_real": found.n_real,
                "similarity": round(found.similarity, 3),
                "similarity_real": round(found.similarity_real, 3),
            }
        )
        truth = json.loads((found.folder / "truth.json").read_text())
        for system in SYSTEMS:
            if size > system.largest:
                continue
            print(f"  {size:,}: {system.name}", flush=True)
            try:
                row = _measured(system, found.folder)
            except (UnavailableError, subprocess.CalledProcessError) as error:
                missing.append(f"{system.name}, {size:,}: {_reason(error)}")
                continue
            rows.append({"system": system.name, "n": size} | scored(row, truth))
            print("   ", {key: value for key, value in rows[-1].items() if key != "system"})
    return {"made": made, "rows": rows, "missing": missing}


def scored(row: dict[str, Any], truth: dict[str, list[list[int]]]) -> dict[str, Any]:
    """What a process found, its rows replaced by their recall."""
    for name in (*FILTERS, "changed"):
        if name in row:
            row[name]["recall"] = round(realistic.recall(row[name].pop("rows"), truth[name]), 4)
    return row


def _measured(system: System, folder: Path) -> dict[str, Any]:
    """Build once, search in a fresh process; changes come last, so they are built for anew."""
    built = folder / f"{system.module}.built"
    if not built.exists():
        built.write_text(json.dumps(_run(system, folder, "build")))
    found = _run(system, folder, "search", "update")
    if "changed" in found:
        built_s = json.loads(built.read_text())
        built.unlink()
    else:
        built_s = json.loads(built.read_text())
    return built_s | found


def _run(system: System, folder: Path, *what: str) -> dict[str, Any]:
    extra = {"WITHOUT": system.without}
    if system.borrows:
        packages = python(ENVIRONMENT).parents[1] / "lib"
        extra["PYTHONPATH"] = str(next(packages.glob("python3*/site-packages")))
    interpreter = sys.executable if system.is_own else python(ENVIRONMENT)
    command = [interpreter, "-m", "benchmarks.searchers.measure", system.module, folder, *what]
    with work("logs", f"search {system.module}.log").open("w") as log:
        done = subprocess.run(
            command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, stderr=log,
            env=environment(1) | extra,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with status {error.returncode}"
    return str(error)


def sizes_asked() -> list[int]:
    """Numbers of rows from `SIZES`, such as `100000,500000`."""
    asked = os.environ.get("SIZES")
    return [int(size) for size in asked.split(",")] if asked else list(SIZES)


if __name__ == "__main__":
    chosen = [int(size) for size in sys.argv[1:]] or sizes_asked()
    print(json.dumps(measure(data(), 1, chosen), indent=1))
