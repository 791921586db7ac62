"""The engines by name. Third parties add theirs under the entry point `embedwell.engines`."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EngineError
from embedwell.engines.protocol import Engine, OpenEngine

ENGINES = {"onnx": "embedwell.engines.onnx:open_engine"}


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact with the engine that it names.

    Raises:
        EngineError: No engine of that name is installed, or the artifact cannot be loaded.
    """
    return _find(artifact.engine)(artifact, n_threads)


def import_engine(name: str) -> None:
    """Bring in the libraries of an engine, so that loading adds nothing but the artifact.

    Raises:
        EngineError: No engine of that name is installed.
    """
    _find(name)


def _find(name: str) -> OpenEngine:
    if target := ENGINES.get(name):
        module, attribute = target.split(":")
        return cast("OpenEngine", getattr(import_module(module), attribute))
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs as much as a small model

    for entry in entry_points(group="embedwell.engines", name=name):
        return cast("OpenEngine", entry.load())
    raise EngineError(
        f"There is no engine '{name}'.", f"Choose one of: {', '.join(ENGINES)}, or install it."
    )
