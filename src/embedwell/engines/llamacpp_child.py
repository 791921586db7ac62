"""The child process of the engine `llamacpp`: llama.cpp runs here, so that it ends nobody else.

`python -m embedwell.engines.llamacpp_child` reads messages (`core.pipes`) from its standard input
and answers on its standard output. The first is a `Start` as JSON, answered with an `About` as
JSON; each later one is a batch: for every text the number of its tokens and the tokens, all int32
of this machine, answered with the vectors' float32 values. The first byte of an answer says whether
it is one (`DONE`) or what went wrong.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from embedwell.core.pipes import die_before_parent, receive, send, take_standard_pipes
from embedwell.core.space import Pooling
from embedwell.core.vectors import FloatArray

ABOUT = "--about"
"""The argument with which the program only says what it was compiled for."""
DONE, FAILED = b"+", b"-"

_LOOK_S = 1.0
_POOLING: dict[Pooling, int] = {"mean": 1, "cls": 2, "last": 3}  # of llama.h
_ERROR = 4  # a level of ggml.h
_LEAST_TOKENS = 128  # of a context; it is made anew for a longer text
_FLASH_ATTENTION = 1

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Start:
    """What is loaded.

    Attributes:
        file: The GGUF file.
        pooling: How token vectors become one.
        max_tokens: Longest text.
        n_threads: Threads of a run.
    """

    file: str
    pooling: Pooling
    max_tokens: int
    n_threads: int


@dataclass(frozen=True)
class About:
    """What has been loaded.

    Attributes:
        dimensions: Length of a vector.
        system: What llama.cpp says that it was compiled for.
    """

    dimensions: int
    system: str


def packed(texts: list[Ids]) -> bytes:
    """A batch as it is sent."""
    return b"".join(np.int32(len(text)).tobytes() + text.tobytes() for text in texts)


def unpacked(message: bytes) -> Iterator[Ids]:
    """The texts of a batch that was sent."""
    numbers, at = np.frombuffer(message, np.int32), 0
    while at < len(numbers):
        end = at + 1 + int(numbers[at])
        yield numbers[at + 1 : end]
        at = end


class Network:
    """A GGUF file in llama.cpp.

    Texts run one by one: llama.cpp multiplies a few rows by other code than many, so that a vector
    would depend on the company of its text (cosine .9998 at Q8_0).

    Args:
        library: `llama_cpp.llama_cpp`.
        start: What to load.

    Raises:
        RuntimeError: It does not load.
    """

    def __init__(self, library: ModuleType, start: Start) -> None:
        self._library = library
        self._start = start
        # First, and kept: llama.cpp calls it for as long as this process lives.
        self._log = library.llama_log_callback(_log)
        library.llama_log_set(self._log, None)
        library.llama_backend_init()
        self._n_threads = threads_for(system(library), start.n_threads)
        self._context: Any = None
        self._n_tokens = 0
        how = library.llama_model_default_params()
        how.n_gpu_layers = 0
        self._model = library.llama_model_load_from_file(os.fsencode(start.file), how)
        if not self._model:
            raise RuntimeError("llama.cpp cannot read it")
        self._dimensions = int(library.llama_model_n_embd(self._model))
        self._hold(min(_LEAST_TOKENS, start.max_tokens))

    @property
    def about(self) -> About:
        """What has been loaded."""
        return About(self._dimensions, system(self._library))

    def vector(self, ids: Ids) -> FloatArray:
        """The pooled vector of one text, not normalized: float32, shape (d,).

        Raises:
            RuntimeError: llama.cpp refused it.
        """
        self._hold(len(ids))
        status = self._library.llama_decode(self._context, self._batch(ids))
        if status:
            raise RuntimeError(f"llama.cpp answered {status}{_MEANING.get(status, '')}")
        found = self._library.llama_get_embeddings_seq(self._context, 0)
        if not found:
            raise RuntimeError("llama.cpp gave no vector: the file is no embedding model")
        return np.ctypeslib.as_array(found, (self._dimensions,)).copy()

    def _hold(self, n_tokens: int) -> None:
        """Have a context for so many tokens: memory follows the longest text so far."""
        if n_tokens <= self._n_tokens:
            return
        n_tokens = min(1 << (n_tokens - 1).bit_length(), self._start.max_tokens)
        how = self._library.llama_context_default_params()
        how.n_ctx = how.n_batch = how.n_ubatch = n_tokens
        how.n_seq_max = 1
        how.n_threads = how.n_threads_batch = self._n_threads
        how.embeddings = True
        how.pooling_type = _POOLING[self._start.pooling]
        how.offload_kqv = False
        # Twice as fast, and the scores of long texts are never whole in memory.
        flash = "flash_attn_type" if hasattr(how, "flash_attn_type") else "flash_attn"
        setattr(how, flash, _FLASH_ATTENTION)
        if hasattr(how, "op_offload"):
            how.op_offload = False
        if self._context:
            self._library.llama_free(self._context)
        self._context = self._library.llama_init_from_model(self._model, how)
        if not self._context:
            raise RuntimeError(f"llama.cpp makes no context for {n_tokens} tokens")
        self._n_tokens = n_tokens

    def _batch(self, ids: Ids) -> Any:  # noqa: ANN401 - a structure of the library's
        """`ids` as a `llama_batch`: its arrays are owned here, and live until the next one."""
        n = len(ids)
        sequence = np.zeros(1, np.int32)
        fields: dict[str, npt.NDArray[Any]] = {
            "token": np.ascontiguousarray(ids),
            "pos": np.arange(n, dtype=np.int32),
            "n_seq_id": np.ones(n, np.int32),
            "seq_id": np.full(n, sequence.ctypes.data, np.uintp),
            "logits": np.ones(n, np.int8),
        }
        batch = self._library.llama_batch()
        batch.n_tokens = n
        types = dict(self._library.llama_batch._fields_)
        for name, array in fields.items():
            setattr(batch, name, ctypes.cast(array.ctypes.data, types[name]))
        self._arrays = [sequence, *fields.values()]
        return batch


def threads_for(told: str, n_threads: int) -> int:
    """Threads of a run: half of what was asked for where llama.cpp has no OpenMP.

    Its own threads wait for each other by spinning. With one for each of two processors that others
    used as well, a batch took five times as long as on one.

    Args:
        told: What `system` says.
        n_threads: As many as may be used.
    """
    return n_threads if "OPENMP = 1" in told else max(1, n_threads // 2)


def system(library: ModuleType) -> str:
    """What llama.cpp says that it was compiled for."""
    return str(library.llama_print_system_info().decode("utf-8", "replace"))


_MEANING = {-1: ": it does not take these tokens", -2: ": Failed to allocate memory"}


def _log(level: int, text: bytes, _: Any) -> None:  # noqa: ANN401 - a pointer of C's
    if level == _ERROR:
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()


def _library() -> ModuleType:
    """The binding's functions alone: the rest of its package brings in 10 MB for chats."""
    from importlib import import_module, util  # noqa: PLC0415 - in the child only

    spec = util.find_spec("llama_cpp")
    if spec is None:
        raise RuntimeError("llama-cpp-python is not installed")
    package = ModuleType("llama_cpp")
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules["llama_cpp"] = package
    return import_module("llama_cpp.llama_cpp")


def _end_with(parent: int) -> None:
    """End when the parent has: in the middle of a batch nobody reads from the pipe."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(0)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions."""
    try:
        network = Network(_library(), Start(**json.loads(receive(questions))))
    except (RuntimeError, OSError, ImportError, AttributeError, MemoryError) as error:
        send(answers, FAILED, _said(error))
        return
    send(answers, DONE, json.dumps(asdict(network.about)).encode())
    while True:
        batch = receive(questions)
        try:
            vectors = b"".join(network.vector(ids).tobytes() for ids in unpacked(batch))
        except (RuntimeError, MemoryError) as error:
            send(answers, FAILED, _said(error))
        else:
            send(answers, DONE, vectors)


def _said(error: Exception) -> bytes:
    return (str(error) or type(error).__name__).encode("utf-8", "replace")


def main() -> None:
    """Serve on the standard streams; what else is printed goes to the standard error."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads of OpenMP sleep while they wait
    if sys.argv[1:] == [ABOUT]:
        sys.stdout.write(system(_library()))
        return
    die_before_parent()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        serve(*take_standard_pipes())


if __name__ == "__main__":
    main()
