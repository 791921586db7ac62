"""The engines by name. Third parties add theirs under the entry point `embedwell.engines`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import cast

from embedwell.core.artifact import QUANTIZATIONS, Artifact, Form, Quantization
from embedwell.core.errors import EngineError
from embedwell.engines.protocol import Engine, EngineBuild, OpenEngine

_GROUP = "embedwell.engines"
ENGINES = {
    "cuda": "embedwell.engines.cuda:open_engine",
    "llamacpp": "embedwell.engines.llamacpp:open_engine",
    "onnx": "embedwell.engines.onnx:open_engine",
    "openvino": "embedwell.engines.openvino:open_engine",
    "static": "embedwell.engines.static:open_engine",
}
_FORMS: dict[str, Form] = {"llamacpp": "gguf", "static": "static"}  # all others: onnx
_TOKENS_PER_BATCH = {"static": 1024}  # it starts batches faster than Python hands them over
# The graphs of q4 and q8 are made of onnxruntime's own operators. OpenVINO translates them since
# 2026.2, whose q8 vectors were wrong throughout; 2026.4 had them right. CUDA has none for q8.
_RUN = dict.fromkeys(("cuda", "openvino"), frozenset[Quantization]({"q16", "q32"}))
_RUN["static"] = frozenset({"q8", "q16", "q32"})


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact with the engine that it names.

    Raises:
        EngineError: No engine of that name is installed, or the artifact cannot be loaded.
        MissingExtraError: The engine's library is not installed.
    """
    open_it = _find(artifact.engine)
    if not runs(artifact.engine, artifact.quantization):
        levels = " or ".join(sorted(_RUN[artifact.engine]))
        raise EngineError(
            f"The engine '{artifact.engine}' cannot run '{artifact.name}': it runs {levels}.",
            f"Set `quantization` to {levels}, or `engine` to onnx.",
        )
    return open_it(artifact, n_threads)


def form_of(engine: str) -> Form:
    """The form that an artifact must have for an engine."""
    return _FORMS.get(engine, "onnx")


def tokens_per_batch(engine: str, usual: int) -> int:
    """How many padded tokens an engine runs at once best."""
    return _TOKENS_PER_BATCH.get(engine, usual)


def runs(engine: str, quantization: Quantization) -> bool:
    """Whether an engine runs artifacts of a quantization."""
    return quantization in _RUN.get(engine, QUANTIZATIONS)


def import_engine(name: str) -> None:
    """Bring in the libraries of an engine, so that loading adds nothing but the artifact.

    Raises:
        EngineError: No engine of that name is installed.
        MissingExtraError: The engine's library is not installed.
    """
    _find(name)


def build_of(name: str) -> EngineBuild | None:
    """The code of an engine that is installed; None where it tells only once it has loaded.

    Raises:
        EngineError: No engine of that name is installed, or it does not start.
        MissingExtraError: The engine's library is not installed.
    """
    tell = getattr(sys.modules[_find(name).__module__], "engine_build", None)
    return tell() if tell else None


def names() -> tuple[str, ...]:
    """All engines: ours, then those of other packages."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - as below

    return (*ENGINES, *sorted({entry.name for entry in entry_points(group=_GROUP)} - set(ENGINES)))


def _find(name: str) -> OpenEngine:
    if target := ENGINES.get(name):
        module, attribute = target.split(":")
        return cast("OpenEngine", getattr(import_module(module), attribute))
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs as much as a small model

    for entry in entry_points(group=_GROUP, name=name):
        return cast("OpenEngine", entry.load())
    raise unknown(name)


def unknown(name: str) -> EngineError:
    """What is said of an engine that nobody has here."""
    return EngineError(
        f"There is no engine '{name}'.",
        f"Choose one of: {', '.join(names())}; or `http`, where a server embeds.",
    )
