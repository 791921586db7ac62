"""A program that pulls and converts one model; `pull.py` runs it.

Standard input: one line of JSON, `{"name", "cache", "model_files", "engine"}`; then it stays open
for as long as the artifact is wanted. Standard output: a line of JSON a step, `{"stage", "done",
"total", "unit"}`, or `{"error": class, "problem", "remedy"}`. Its exit status is 0 where the
artifact is there afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from embedwell.app.config.settings import Settings
from embedwell.app.models.obtain import artifact
from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Progress, Watch

_GRACE_S = 4.0


def main() -> int:
    """Answer the request on standard input; returns the exit status."""
    request = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then lets go
    files = request["model_files"]
    settings = Settings(
        cache=Path(request["cache"]),
        model_files=Path(files) if files is not None else None,
        engine=request.get("engine", "onnx"),
    )
    watch = Watch(_tell_step)
    threading.Thread(target=_stop_with_parent, args=(watch,), daemon=True).start()
    try:
        artifact(settings, request["name"], watch)
    except EmbedwellError as error:
        _tell(error=type(error).__name__, problem=error.problem, remedy=error.remedy)
        return 1
    return 0


def _stop_with_parent(watch: Watch) -> None:
    """Standard input ends when the parent has no more use for the artifact, or has died."""
    sys.stdin.read()
    watch.cancelled.set()
    time.sleep(_GRACE_S)
    os._exit(1)


def _tell_step(step: Progress) -> None:
    _tell(stage=step.stage, done=step.done, total=step.total, unit=step.unit)


def _tell(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # The thread that waits for the parent holds standard input, which a usual exit would lock.
    os._exit(status)
