"""The onnxruntime engine: an artifact's graph on the processor."""

from __future__ import annotations

from embedwell.core.artifact import Artifact
from embedwell.engines.protocol import Engine, EngineBuild
from embedwell.engines.sessions import Session, build


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact.

    Args:
        artifact: Made by `models.convert`.
        n_threads: Threads that one run may use.

    Raises:
        EngineError: The artifact cannot be loaded.
    """
    return Session(artifact, n_threads, "onnx")


def engine_build() -> EngineBuild:
    """The code that is installed."""
    return build("onnx")
