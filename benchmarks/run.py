"""Run the benchmarks: `python -m benchmarks.run [PART]…`.

Parts: setup, speed, product, agreement, quality, service, cache, migration, vector_search,
postgres, wrong_readers, ingestion, llama_cpp, model_memory,
static_models, text_and_code, report. Without arguments: all of them
but setup, in this order.
Each part leaves one file in `results/`, from which `report` writes `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from benchmarks import (
    agreement,
    cache,
    compilations,
    ingestion,
    machine,
    migration,
    model_memory,
    postgres,
    product,
    quality,
    report,
    service,
    speed,
    static_models,
    text_and_code,
    vector_search,
    wrong_readers_measure,
)
from benchmarks.engines import ENGINES
from benchmarks.environments import published
from benchmarks.paths import RESULTS, data
from benchmarks.texts import agreement_corpus, speed_corpora

SPEED_CORPORA = ("short", "128", "mixed", "queries")


def main() -> None:
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "speed": _speed,
        "product": lambda: product.measure(_corpora(), data()),
        "agreement": lambda: agreement.measure(
            agreement_corpus(data(), published() / "tokenizer.json"), machine.n_cores()
        ),
        "quality": lambda: quality.measure(data(), machine.n_cores()),
        "service": lambda: service.measure(data(), machine.n_cores()),
        "cache": cache.measure,
        "migration": lambda: migration.measure(data(), machine.n_cores()),
        "vector_search": lambda: vector_search.measure(data(), 1, vector_search.sizes_asked()),
        "postgres": lambda: postgres.measure(data(), 1),
        "wrong_readers": lambda: wrong_readers_measure.measure(data()),
        "ingestion": lambda: ingestion.measure(data(), machine.n_cores()),
        "llama_cpp": compilations.measure,
        "model_memory": model_memory.measure,
        "static_models": lambda: static_models.measure(_corpora(), data()),
        "text_and_code": lambda: text_and_code.measure(data()),
    }
    chosen = _arguments([*parts, "setup", "report"]).parts or [*parts, "report"]
    if "setup" in chosen:
        for missing in speed.available(list(ENGINES.values()))[1]:
            print(f"Left out: {missing}", flush=True)
    for name in (name for name in parts if name in chosen):
        _run(name, parts[name])
    if "report" in chosen:
        report.write()


def _run(name: str, part: Callable[[], dict[str, Any]]) -> None:
    """Run a part and keep what it found, with the day, the machine and the time it took."""
    print(name, flush=True)
    began = time.perf_counter()
    found = {"date": datetime.now(UTC).date().isoformat(), "machine": machine.describe()}
    found |= part()
    found["took_s"] = round(time.perf_counter() - began)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{name} took {found['took_s']} s", flush=True)


def _corpora():
    return speed_corpora(data(), published() / "tokenizer.json")


def _speed() -> dict[str, Any]:
    corpora = {name: corpus for name, corpus in _corpora().items() if name in SPEED_CORPORA}
    repetitions = int(os.environ.get("REPETITIONS", "5"))
    return speed.measure(corpora, repetitions, machine.n_cores())


def _arguments(known: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(known))
    options = parser.parse_args()
    if unknown := set(options.parts) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return options


if __name__ == "__main__":
    main()
