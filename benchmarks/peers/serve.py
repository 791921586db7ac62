"""The protocol that every peer speaks: JSON lines over standard input and output.

A peer starts, loads, embeds one text and answers `{"ready": true, ...}`. Then it answers each
request with one line:

    {"do": "embed", "texts": FILE, "group": N, "save": FILE}   ->  {"ms": [...]}

`texts` is a JSON file with a list of strings, embedded in calls of `group` texts (all at once
when 0); `ms` holds each call's time, `save` takes the vectors as `.npy`. The file is read before
the clock starts, and kept out of the protocol so that large lists cost every peer the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Embed = Callable[[list[str], str], Any]  # texts and kind -> float32 array (n, d), unit rows


def serve(load: Callable[[argparse.Namespace], Embed]) -> None:
    """Load the engine, then answer requests until standard input ends."""
    options = _options()
    _pin(options.processors or options.threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not end up between the answers
    embed = load(options)
    first = embed(["hello world"], "query")
    _answer(answers, {"ready": True, "first": [float(x) for x in first[0][:5]]})
    for line in sys.stdin:
        request = json.loads(line)
        _answer(answers, _embed(embed, request))


def _embed(embed: Embed, request: dict[str, Any]) -> dict[str, Any]:
    texts = json.loads(Path(request["texts"]).read_text("utf-8"))
    size = request.get("group") or len(texts)
    kind = request.get("kind", "document")
    parts, ms = [], []
    for start in range(0, len(texts), size):
        group = texts[start : start + size]
        began = time.perf_counter()
        vectors = embed(group, kind)
        ms.append(1000 * (time.perf_counter() - began))
        if request.get("save"):
            parts.append(vectors)
    if request.get("save"):
        import numpy as np

        np.save(request["save"], np.concatenate(parts).astype(np.float32))
    return {"ms": ms}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, help="file or folder of the model")
    parser.add_argument("--variant", default="", help="precision or settings, as the peer names it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processors", type=int, help="those it may use; as many as threads")
    return parser.parse_args()


def _pin(n_processors: int) -> None:
    """Keep all threads of this process, whoever starts them, on so many processors."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-n_processors:])


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
