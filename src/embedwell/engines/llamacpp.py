"""The llama.cpp engine: the model's GGUF file, run in a process of its own.

llama.cpp is compiled on the machine of whoever installs it, and a library that was compiled for
another processor, or that meets a file it was not made for, ends the process that it is in. Here
that is an error of the batch.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EngineError, EngineMemoryError, MissingExtraError
from embedwell.core.vectors import FloatArray
from embedwell.engines.faults import does_not_load, does_not_run, is_closed, is_out_of_memory
from embedwell.engines.llamacpp_child import ABOUT, Start, packed
from embedwell.engines.llamacpp_process import (
    PROGRAM,
    DiedError,
    Process,
    RefusedError,
    signal_name,
)
from embedwell.engines.native import native_build
from embedwell.engines.protocol import Engine, EngineBuild, TokenBatch

_SPEC = find_spec("llama_cpp")
if _SPEC is None or _SPEC.origin is None:
    raise MissingExtraError("The engine 'llamacpp'", "llamacpp")

MODEL_FILE = "model.gguf"
_FOLDER = Path(_SPEC.origin).parent
_DEATHS_IN_A_ROW = 3
_REST_S = 60.0
# Longest time of a batch: with a second a token, even 568M parameters on a Raspberry Pi are done.
_BATCH_S, _TOKEN_S = 60.0, 1.0
_REBUILD = (
    "Compile it for this processor: "
    '`CMAKE_ARGS="-DGGML_NATIVE=OFF" pip install --force-reinstall --no-cache-dir '
    "--no-binary llama-cpp-python llama-cpp-python`, or set `engine` to onnx."
)


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact of the form `gguf`.

    Args:
        artifact: A folder with `model.gguf`.
        n_threads: Threads that one run may use.

    Raises:
        EngineError: The artifact cannot be loaded.
    """
    return LlamaCppEngine(artifact, n_threads)


class LlamaCppEngine:
    """A loaded artifact; see `engines.protocol.Engine`."""

    def __init__(self, artifact: Artifact, n_threads: int) -> None:
        space = artifact.space
        if space.pooling == "unknown":
            raise EngineError(
                f"Nobody says how '{artifact.name}' makes one vector of many.", "Name its pooling."
            )
        file = os.fspath((artifact.folder / MODEL_FILE).absolute())
        self._start = Start(file, space.pooling, space.max_tokens, n_threads)
        self._artifact = artifact
        self._lock = threading.Lock()
        self._n_deaths = 0
        self._rests_until = 0.0
        self._is_closed = False
        self._owner = os.getpid()
        self._process: Process | None = self._started()
        self._dimensions = self._process.about.dimensions
        self._build = _build(self._process.about.system)

    @property
    def build(self) -> EngineBuild:
        """See `Engine.build`."""
        return self._build

    def run(self, batch: TokenBatch) -> FloatArray:
        """See `Engine.run`."""
        name = self._artifact.name
        try:
            lengths = batch.mask.sum(axis=1)
            rows = zip(batch.ids.astype(np.int32), lengths, strict=True)
            texts = [row[:n] for row, n in rows]
        except ValueError as error:
            raise does_not_run(name, batch, error) from error
        with self._lock:
            process = self._living()
            try:
                most_s = _BATCH_S + _TOKEN_S * int(lengths.sum())
                values = np.frombuffer(process.ask(packed(texts), most_s), np.float32)
                vectors = values.reshape(len(texts), self._dimensions).copy()
            except (RefusedError, ValueError) as error:
                raise does_not_run(name, batch, error) from error
            except DiedError as died:
                self._n_deaths += 1
                self._rests_until = time.monotonic() + _REST_S
                raise self._dead(f"on a batch of shape {batch.ids.shape}", died) from died
            finally:
                self._process = None if process.is_over else process
            self._n_deaths = 0
        return vectors

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            self._is_closed = True
            if self._process is not None and self._owner == os.getpid():
                self._process.close()
            self._process = None

    def _living(self) -> Process:
        """The process, started anew after it died; the lock is held."""
        if self._is_closed:
            raise is_closed(self._artifact.name)
        if self._owner != os.getpid():
            raise EngineError(
                f"'{self._artifact.name}' was loaded before this process was forked.",
                "Load it after the fork: it belongs to one process.",
            )
        if self._process is not None and self._process.has_ended:  # killed while nothing ran
            self._process.close()
            self._process = None
        if self._process is None:
            if self._n_deaths >= _DEATHS_IN_A_ROW and time.monotonic() < self._rests_until:
                raise EngineError(
                    f"llama.cpp died {self._n_deaths} times in a row with "
                    f"'{self._artifact.name}' and is left alone for {_REST_S:.0f} s.",
                    "Run `embedwell engines --measure`, or set `engine` to onnx.",
                )
            self._process = self._started()
        return self._process

    def _started(self) -> Process:
        try:
            return Process(self._start)
        except (RefusedError, OSError) as error:
            raise does_not_load(self._artifact, error) from error
        except DiedError as died:
            raise self._dead("while it loaded", died) from died

    def _dead(self, when: str, died: DiedError) -> EngineError:
        problem = f"llama.cpp died with '{self._artifact.name}' {when}: {died}."
        if died.signal == "SIGILL":
            return EngineError(
                f"{problem} It has instructions that this processor does not run.", _REBUILD
            )
        if died.killed or is_out_of_memory(died):
            so = " So does a system that has no more memory." if died.killed else ""
            return EngineMemoryError(
                f"{problem}{so}", "Free memory on this machine, or take a lower quantization."
            )
        return EngineError(problem, "Try again; if it goes on, set `engine` to onnx.")


def engine_build() -> EngineBuild:
    """The code that is installed: asked of a process of its own.

    Raises:
        EngineError: It does not start.
    """
    done = subprocess.run((*PROGRAM, ABOUT), capture_output=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        how = f"it died of {name}" if (name := signal_name(done.returncode)) else "it does not load"
        raise EngineError(f"llama.cpp does not start: {how}.", _REBUILD)
    return _build(done.stdout.decode("utf-8", "replace"))


def _build(system: str) -> EngineBuild:
    return EngineBuild("llamacpp", version("llama-cpp-python"), _native(system))


@cache
def _native(system: str) -> str:
    """What tells two compilations apart: SHA-256 over its libraries, and what they were made for.

    Args:
        system: What `llama_print_system_info` says, such as `CPU : AVX2 = 1 | FMA = 1 |`.
    """
    libraries = sorted((_FOLDER / "lib").glob("*ggml*")) + sorted((_FOLDER / "lib").glob("*llama*"))
    builds = {f"{file.name.split('.')[0]} {native_build(file)}" for file in libraries}
    told = [flag.strip() for flag in system.replace(":", "|").split("|")]
    flags = " ".join(flag.removesuffix(" = 1") for flag in told if flag.endswith("= 1"))
    return f"{hashlib.sha256(repr(sorted(builds)).encode()).hexdigest()} {flags}"
