"""The PostgreSQL store: a load with the index dropped and built around it, then searches.

python -m benchmarks.postgres [ROWS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import realistic
from benchmarks.paths import data
from benchmarks.searchers.measure import search
from benchmarks.vector_search import scored

N_ROWS = 100_000


def measure(folder: Path, n_threads: int, n_rows: int = N_ROWS) -> dict[str, Any]:
    """What loading took, and times and recall of searches, filtered and after changes."""
    from benchmarks.searchers import embedwell_postgres

    made = realistic.make(folder, n_rows, n_threads)
    truth = json.loads((made.folder / "truth.json").read_text())
    built = embedwell_postgres.build(made.folder)
    found = scored(search(embedwell_postgres.Searcher, made.folder, update=True), truth)
    return {"n": n_rows, **built, **found}


if __name__ == "__main__":
    asked = int(sys.argv[1]) if sys.argv[1:] else N_ROWS
    print(json.dumps(measure(data(), 1, asked), indent=1))
