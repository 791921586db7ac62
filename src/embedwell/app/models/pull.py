"""Pulling and converting in a process of its own, so that the service keeps none of its memory.

A conversion imports `onnx` and walks through the weights; what its libraries leave behind would
stay in a process that lives for months. The program is `pull_child.py`.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import IO, Any

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import engine_for, quantization_for
from embedwell.app.models.obtain import named
from embedwell.core import errors
from embedwell.core.artifact import Artifact, Form, Quantization
from embedwell.core.errors import ConversionError, EmbedwellError
from embedwell.core.events import Watch
from embedwell.engines.registry import form_of
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import ModelCard
from embedwell.models.known import Known

_POLL_S = 0.05
_GRACE_S = 5.0
_PROGRAM = (sys.executable, "-P", "-m", "embedwell.app.models.pull_child")


class ChildPuller:
    """Makes artifacts in child processes, one at a time for each. Safe to call from threads."""

    def __init__(self) -> None:
        self._making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def artifact(self, settings: Settings, name: str, watch: Watch) -> Artifact:
        """The artifact of that name, such as `all-MiniLM-L6-v2@q8`, made now if it is not there.

        Args:
            settings: Where to keep it, and where its files may come from.
            name: Of the model, with its quantization where that matters.
            watch: Told of each step, in the thread that called; of none where another thread is
                making the same artifact already.

        Raises:
            ModelError: The model is unknown, cannot be had, or its bytes are wrong.
            TaskCancelledError: `watch` was asked to stop; nothing half-done was left.
        """
        model, level = named(settings, name, watch)
        quantization = level or quantization_for(settings, model).quantization
        form = form_of(engine_for(settings, model))
        kept = ArtifactStore(settings.cache)
        found = kept.find(model, quantization, form)
        if found is not None:
            return found
        with self._alone(f"{model.called}@{quantization}", watch):
            return kept.find(model, quantization, form) or _make(
                settings, model, quantization, form, watch
            )

    @contextlib.contextmanager
    def _alone(self, name: str, watch: Watch) -> Iterator[None]:
        with self._guard:
            lock = self._making[name]
        while not lock.acquire(timeout=_POLL_S):
            watch.check("download")
        try:
            yield
        finally:
            lock.release()


def _make(
    settings: Settings, model: ModelCard, quantization: Quantization, form: Form, watch: Watch
) -> Artifact:
    request = {
        "name": f"{model.called}@{quantization}",
        "cache": str(settings.cache),
        "model_files": str(settings.model_files) if settings.model_files else None,
        "engine": settings.engine,
    }
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program
        _PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            _follow(process, request, watch)
        finally:
            _end(process)
    model = Known(settings.cache).card(model.called)  # its hashes may be known only now
    found = ArtifactStore(settings.cache).find(model, quantization, form)
    if found is None:
        raise ConversionError(
            f"The program that pulls and converts {request['name']} ended with status "
            f"{process.returncode} and left nothing.",
            "Look in the service's log, free some memory, and pull it again with "
            f"`embedwell models pull {request['name']}`.",
        )
    return found


def _follow(process: subprocess.Popen[str], request: dict[str, str | None], watch: Watch) -> None:
    """Pass its progress on until it ends.

    Raises:
        EmbedwellError: What the program raised.
        TaskCancelledError: The watch asked to stop.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it ended already; its status says so
            process.stdin.write(f"{json.dumps(request)}\n")
            process.stdin.flush()
    while True:
        watch.check("download")
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=_POLL_S)
            if line is None:
                return
            _heed(json.loads(line), watch)


def _heed(said: dict[str, Any], watch: Watch) -> None:
    if "error" in said:
        kind = getattr(errors, said["error"], EmbedwellError)
        error: EmbedwellError = kind.__new__(kind)  # classes differ in what they are made of
        EmbedwellError.__init__(error, said["problem"], said["remedy"])
        raise error
    watch.progress(said["stage"], said["done"], said["total"], said["unit"])


def _read(output: IO[str] | None, lines: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(ValueError):  # closed meanwhile
        for line in output or ():
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask by closing its standard input, then insist."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
