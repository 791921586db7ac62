"""The CUDA engine: onnxruntime's graphs on a graphics card of NVIDIA's, for bulk.

Not measured: no machine with such a card has run it.
"""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import onnxruntime

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EngineError
from embedwell.engines.protocol import Engine, EngineBuild
from embedwell.engines.sessions import PROCESSOR, Session, build

PROVIDER = "CUDAExecutionProvider"
INSTALL = (
    'pip install "embedwell[cuda]" && pip uninstall --yes onnxruntime && '
    "pip install --force-reinstall --no-deps onnxruntime-gpu"
)
"""Both packages have the module `onnxruntime`: the one that is installed last runs."""

_SETTINGS = {
    "use_tf32": "0",  # else products have 10 bits of precision
    "arena_extend_strategy": "kSameAsRequested",  # else memory is taken in powers of two
}

if PROVIDER not in onnxruntime.get_available_providers():
    raise EngineError(
        "The engine 'cuda' needs onnxruntime with CUDA, and the one that is installed has none.",
        f"Install it with: {INSTALL}.",
    )


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact.

    Args:
        artifact: Made by `models.convert`, q16 or q32.
        n_threads: Threads for what runs on the processor.

    Raises:
        EngineError: The artifact cannot be loaded, or CUDA does not start.
    """
    _load_libraries()
    session = Session(artifact, n_threads, "cuda", ((PROVIDER, _SETTINGS), *PROCESSOR))
    if session.providers[0] != PROVIDER:  # it goes on without, and says so in its log alone
        session.close()
        raise EngineError(
            "CUDA does not start on this machine: its driver, CUDA's libraries or cuDNN are "
            "missing, or of another version than onnxruntime-gpu was made for.",
            "Run `nvidia-smi`; then `pip install nvidia-cudnn-cu12 nvidia-cublas-cu12 "
            "nvidia-cuda-runtime-cu12`, or set `engine` to onnx.",
        )
    return session


def engine_build() -> EngineBuild:
    """The code that is installed."""
    return build("cuda")


def _load_libraries() -> None:
    """Have CUDA's libraries loaded from their packages, where those are installed."""
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            onnxruntime.preload_dlls()
