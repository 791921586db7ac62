"""The runtime and the service: memory of sharing, of unloading, within a budget; what a call costs.

Every part is a question of its own, measured in fresh processes. Linux only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.budget import budget_for_one, kept, unloading
from benchmarks.daemon import embedwell_service
from benchmarks.environments import published
from benchmarks.paths import ROOT
from benchmarks.processes import environment
from benchmarks.responsiveness import beside_bulk, bulk_clients, one_text
from benchmarks.sharing import sharing
from benchmarks.texts import Corpus, cut, passages, save, speed_corpora, word_marks

N_BULK = 1024  # texts of 128 tokens
N_MIXED, N_SHORT = 25, 115  # texts for the models that are loaded and unloaded
REPETITIONS = 3


def measure(data: Path, n_threads: int) -> dict[str, Any]:
    """All of it, with as many threads as there are processors; returns what JSON keeps."""
    found, results = corpora(data), {}
    for name, part in (
        ("sharing", lambda: sharing(found["10,000 short"], n_threads)),
        ("stages", lambda: stages(found["10,000 short"], n_threads)),
        ("one_text", lambda: one_text(found["queries"], n_threads, REPETITIONS)),
        ("bulk_clients", lambda: bulk_clients(found["bulk"], n_threads, REPETITIONS)),
        ("beside_bulk",
         lambda: beside_bulk(found["bulk"], found["short"], found["queries"], n_threads)),
        ("unloading", lambda: unloading(found["unloaded"], n_threads)),
        ("budget",
         lambda: kept(found["unloaded"], budget_for_one(results["unloading"]), n_threads)),
    ):  # fmt: skip
        print(f"  {name}", flush=True)
        results[name] = part()
    return results


def corpora(data: Path) -> Mapping[str, Corpus]:
    """Those of the speed part, and `bulk` and `unloaded`."""
    tokenizer = published() / "tokenizer.json"
    found = speed_corpora(data, tokenizer)
    texts = cut(passages(data), [128] * N_BULK, word_marks(tokenizer), seed="bulk")
    short, mixed = (json.loads(found[name].file.read_text("utf-8")) for name in ("short", "mixed"))
    unloaded = [*mixed[:N_MIXED], *short[:N_SHORT]]
    return {
        **found,
        "bulk": save("bulk", texts, 128 * N_BULK),
        "unloaded": save("unloaded", unloaded, 0),
    }


def stages(corpus: Corpus, n_threads: int) -> dict[str, list[dict[str, Any]]]:
    """Memory of one process after each step of becoming a service, and a client of one."""
    with embedwell_service(n_threads) as service:
        client = _stages("client", corpus, environment(n_threads) | service.extra)
    return {"service": _stages("service", corpus, environment(n_threads)), "client": client}


def _stages(who: str, corpus: Corpus, env: Mapping[str, str]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.clients.stages", who, "--texts", corpus.file]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(env), text=True, check=True, stdout=subprocess.PIPE
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
