"""A program that looks at one engine, so that no engine reaches the process that asks.

Standard input: `{"engine", "artifact", "n_threads", "vectors", "part_s"}` as JSON. Without an
artifact it only says which code is installed; with one, that is loaded and run, each measurement
`part_s` seconds long, and the vectors of the probe texts are written to the file `vectors` (npy).
Standard output: `{"version", "native"}`, with an artifact the fields of `Speed` as well; or
`{"problem", "remedy"}` and exit status 1.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from embedwell.core.artifact import Artifact
from embedwell.core.device import resident_bytes
from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.engines.registry import build_of, import_engine, open_engine

_MOST_QUERIES = 50


@dataclass(frozen=True)
class Speed:
    """What running an artifact took.

    Attributes:
        load_s: Seconds to load it and run one text.
        query_ms: Median milliseconds of one query.
        tokens_per_s: Tokens of documents in a second.
        loaded_bytes: Memory of the process, with those that it started, when it was loaded.
        after_bytes: The same after all runs.
    """

    load_s: float
    query_ms: float
    tokens_per_s: float
    loaded_bytes: int
    after_bytes: int


def main() -> int:
    """Answer the request on standard input; returns the exit status."""
    request = json.loads(sys.stdin.read())
    try:
        found = _look(request)
    except EmbedwellError as error:
        found = {"problem": error.problem, "remedy": error.remedy}
    sys.stdout.write(json.dumps(found))
    return int("problem" in found)


def _look(request: dict[str, Any]) -> dict[str, Any]:
    if request["artifact"] is None:
        build = build_of(request["engine"])
        return {"version": build.version, "native": build.native} if build else {}
    fields = request["artifact"]
    space, folder = Space(**fields["space"]), Path(fields["folder"])
    artifact = Artifact(**fields | {"space": space, "folder": folder})
    return _measure(artifact, request["n_threads"], Path(request["vectors"]), request["part_s"])


def _measure(artifact: Artifact, n_threads: int, place: Path, part_s: float) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - with an artifact only: what is told else needs none

    from embedwell.handshake.probes import PROBES, embed_probes  # noqa: PLC0415 - the same
    from embedwell.runtime.embedder import LocalEmbedder  # noqa: PLC0415 - the same

    import_engine(artifact.engine)
    began = time.perf_counter()
    embedder = LocalEmbedder(artifact, open_engine(artifact, n_threads))
    embedder.embed(["warm"], "document", Watch())
    load_s, loaded_bytes = time.perf_counter() - began, resident_bytes()
    query_ms = _query_ms(embedder, part_s)
    texts = [probe.text for probe in PROBES if not probe.is_odd]
    tokens_per_s = _tokens_per_s(embedder, texts, part_s)
    build, vectors = embed_probes(embedder, Watch())
    np.save(place, vectors)
    speed = Speed(load_s, query_ms, tokens_per_s, loaded_bytes, resident_bytes())
    embedder.close()
    return asdict(speed) | {"version": build.engine_version, "native": build.native}


def _query_ms(embedder: Any, part_s: float) -> float:  # noqa: ANN401 - imported late
    took: list[float] = []
    ends = time.perf_counter() + part_s
    while len(took) < _MOST_QUERIES and time.perf_counter() < ends:
        began = time.perf_counter()
        embedder.embed([f"how do I change setting {len(took)} of the server"], "query", Watch())
        took.append(time.perf_counter() - began)
    return 1000 * median(took)


def _tokens_per_s(embedder: Any, texts: list[str], part_s: float) -> float:  # noqa: ANN401 - imported late
    n_tokens, began = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began) < part_s:
        found = embedder.embed(texts, "document", Watch())
        n_tokens += int(found.n_tokens.clip(max=embedder.space.max_tokens).sum())
    return n_tokens / took_s


if __name__ == "__main__":
    sys.exit(main())
