"""Mixed requests for several models from several threads within a budget; prints what became of it.

    python -m benchmarks.clients.requests --texts FILE --artifacts FILE --budget BYTES

The parent samples this process's memory from outside; nothing here spends time on measuring.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

N_THREADS = 8
SIZES = (1, 1, 1, 1, 2, 4, 8)  # texts of a request: mostly single queries


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--n-requests", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    from benchmarks.artifacts import load_artifacts
    from embedwell.runtime.loaded import LoadedModels
    from embedwell.runtime.states import Limits

    events: Counter[str] = Counter()
    reasons: Counter[str] = Counter()

    def listen(event: Any) -> None:
        events[event.kind] += 1
        if event.kind in {"unloaded", "refused"}:
            reasons[f"{event.kind}: {event.detail['reason']}"] += 1

    models = LoadedModels(Limits(options.budget, 5, 0, options.threads), listen)
    artifacts = list(load_artifacts(options.artifacts).values())
    texts = json.loads(options.texts.read_text("utf-8"))
    began = time.perf_counter()
    found = ask(models, artifacts, texts, options.n_requests)
    seconds = round(time.perf_counter() - began, 2)
    models.close()
    print(json.dumps({"seconds": seconds, **found, "events": dict(events),
                      "reasons": dict(reasons)}))  # fmt: skip


def ask(models: Any, artifacts: list[Any], texts: list[str], n_requests: int) -> dict[str, Any]:
    """Requests drawn beforehand, taken in turn by the threads; how many failed, and why."""
    from embedwell.core.events import Watch

    drawn = random.Random(5)
    waiting = [
        (drawn.choice(artifacts), drawn.sample(texts, drawn.choice(SIZES)))
        for _ in range(n_requests)
    ]
    errors: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    first: dict[str, str] = {}
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                artifact, some = waiting.pop()
            try:
                with models.using(artifact, Watch()) as embedder:
                    embedder.embed(some, "document", Watch())
                with lock:
                    answered[artifact.name] += 1
            except Exception as error:  # noqa: BLE001 - every kind is counted and shown
                with lock:
                    errors[type(error).__name__] += 1
                    first.setdefault(type(error).__name__, str(error))

    threads = [threading.Thread(target=work) for _ in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "n_requests": n_requests,
        "n_answered": sum(answered.values()),
        "answered": dict(answered),
        "errors": dict(errors),
        "first_errors": first,
    }


if __name__ == "__main__":
    main()
