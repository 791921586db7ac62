"""Whether memory is given back after unloading, and whether a budget is kept under mixed requests.

Both run the runtime itself in a fresh process, with all-MiniLM-L6-v2 and models of 768 dimensions
and random weights (`random_bert.py`), all q8.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.artifacts import WIDE, artifacts_file, load_artifacts
from benchmarks.cgroup import Cgroup, NoCgroupError, limited
from benchmarks.memory import RSS_EVERY_S, Sampler
from benchmarks.paths import ROOT, work
from benchmarks.processes import Memory, environment, memory_of
from benchmarks.texts import Corpus

N_CYCLES = 10
N_REQUESTS = 1000
# The budget holds what one wide model takes beyond an unloaded runtime, and so much more of it.
ROOM = 1.5


def unloading(corpus: Corpus, n_threads: int, n_cycles: int = N_CYCLES) -> dict[str, Any]:
    """Memory after each unload of two models in turn, beside that before the first load."""
    options = ["--texts", corpus.file, "--artifacts", artifacts_file(), "--n-cycles", n_cycles]
    found = json.loads(_output("unloading", [*options, "--threads", n_threads]))
    return found | {"n_texts": corpus.n_texts} | growth(found)


def growth(found: Mapping[str, Any]) -> dict[str, float]:
    """How far memory stays above that before the first load, and how it grows after cycle 2."""
    before, rows = found["before"], found["rows"]
    last, second = rows[-1]["after"], _last_of(rows, 2)["after"]
    later = [row["after"] for row in rows if row["cycle"] > 2] or [second]
    return {
        "private_above_mb": round(last["private_mb"] - before["private_mb"], 1),
        "rss_above_mb": round(last["rss_mb"] - before["rss_mb"], 1),
        "private_growth_mb": round(last["private_mb"] - second["private_mb"], 1),
        "highest_private_after_cycle_2_mb": max(row["private_mb"] for row in later),
    }


def _last_of(rows: Sequence[Mapping[str, Any]], cycle: int) -> Mapping[str, Any]:
    return [row for row in rows if row["cycle"] <= cycle][-1]


def budget_for_one(found: Mapping[str, Any]) -> int:
    """Bytes that fit one wide model in use and not two, from what `unloading` measured."""
    wide = [row for row in found["rows"] if row["model"] == WIDE[0]]
    used = max(row["used"]["rss_mb"] for row in wide)
    without = min(row["after"]["rss_mb"] for row in wide)
    return round((without + ROOM * (used - without)) * 1e6)


def kept(
    corpus: Corpus, budget_bytes: int, n_threads: int, n_requests: int = N_REQUESTS
) -> dict[str, Any]:
    """Mixed requests for three models from 8 threads, free and in a cgroup of the budget's size."""
    artifacts = artifacts_file()
    options = ["--texts", corpus.file, "--artifacts", artifacts, "--budget", budget_bytes]
    options += ["--n-requests", n_requests, "--threads", n_threads]
    rows = [{"where": "free"} | _requests(options, budget_bytes, None)]
    missing = []
    try:
        with ExitStack() as stack:
            cgroup = stack.enter_context(limited(budget_bytes))
            _drop_from_page_cache(artifacts)
            row = _requests(options, budget_bytes, cgroup)
            row |= {"oom_kills": cgroup.n_oom_kills(), "limit_hits": cgroup.n_limit_hits()}
            rows.append({"where": f"cgroup (version {cgroup.version}) of that size"} | row)
    except NoCgroupError as error:
        missing.append(str(error))
    return {"budget_mb": round(budget_bytes / 1e6, 1), "rows": rows, "missing": missing}


def _requests(
    options: Sequence[object], budget_bytes: int, cgroup: Cgroup | None
) -> dict[str, Any]:
    command = _client("requests", options)
    log = work("logs", "requests.log")
    readings: list[Memory]
    with log.open("w") as err:
        process = subprocess.Popen(
            cgroup.inside(command) if cgroup else command, cwd=ROOT, env=environment(1), text=True,
            stdout=subprocess.PIPE, stderr=err,
        )  # fmt: skip
        with Sampler(lambda: memory_of(process.pid), RSS_EVERY_S) as sampler:
            output = process.communicate()[0]
        readings = sampler.found
    peak_mb = max(one.rss_mb for one in readings)
    found = {
        "status": process.returncode,
        "highest_rss_mb": peak_mb,
        "high_water_mb": max(one.peak_mb for one in readings),
        "of_budget": round(peak_mb * 1e6 / budget_bytes, 3),
        "n_samples": len(readings),
    }
    if process.returncode:
        return found | {"last": log.read_text("utf-8", "replace").strip().rpartition("\n")[2]}
    return found | json.loads(output)


def _output(client: str, options: Sequence[object]) -> str:
    done = subprocess.run(
        _client(client, options), cwd=ROOT, env=environment(1), text=True, check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.stdout


def _client(name: str, options: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.clients.{name}", *(str(word) for word in options)]


def _drop_from_page_cache(artifacts: Path) -> None:
    """Let the weights be read anew, so that they count for whoever reads them: the cgroup."""
    for artifact in load_artifacts(artifacts).values():
        for file in artifact.folder.iterdir():
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
