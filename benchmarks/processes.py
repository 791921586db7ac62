"""Start a process, watch its memory, talk to a peer."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.engines import Engine
from benchmarks.environments import model_file, python
from benchmarks.paths import ROOT, WORK, work

POLL_S = 0.005


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process now and at its highest, in MB (10^6 bytes)."""

    rss_mb: float
    peak_mb: float


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end."""

    seconds: float
    peak_mb: float
    output: str


class PeerError(Exception):
    """A peer stopped; the message holds its exit status and the last line of its log."""


class Peer:
    """A running peer; see `peers/serve.py` for what it can be asked."""

    def __init__(
        self,
        engine: Engine,
        n_threads: int,
        extra: Mapping[str, str] = MappingProxyType({}),
        n_processors: int | None = None,
    ) -> None:
        self._log = work("logs", f"{engine.name}.log")
        command = [str(python(engine.environment)), "-m", f"benchmarks.peers.{engine.peer}"]
        if engine.model:
            command += ["--model", str(model_file(engine.model))]
        command += ["--variant", engine.variant, "--threads", str(n_threads)]
        command += ["--processors", str(n_processors or n_threads)]
        began = time.perf_counter()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(n_threads) | extra, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self.pid = self._process.pid
        self.first_values: list[float] = self._read()["first"]
        self.cold_start_s = time.perf_counter() - began

    def embed(
        self, texts: Path, *, group: int = 0, kind: str = "document", save: Path | None = None
    ) -> list[float]:
        """Embed a JSON file of texts in calls of `group` texts; the time of each call in ms."""
        request = {"do": "embed", "texts": str(texts), "group": group, "kind": kind}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request | {"save": save and str(save)}) + "\n")
        self._process.stdin.flush()
        ms: list[float] = self._read()["ms"]
        return ms

    def memory(self) -> Memory:
        """Its memory now."""
        return memory_of(self._process.pid)

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            last = self._log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
            raise PeerError(f"it ended with status {status}. {last}".strip())
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def visit(
    engine: Engine, n_threads: int = 1, extra: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Peer]:
    """A fresh process of a peer with `extra` environment variables, ended afterwards."""
    peer = Peer(engine, n_threads, extra)
    try:
        yield peer
    finally:
        peer.close()


def run(
    command: Sequence[str | Path],
    *,
    n_threads: int = 1,
    n_processors: int | None = None,
    stdin: Path | None = None,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> Finished:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        n_threads: Threads that it may use.
        n_processors: Processors that it may use; as many as threads if left out.
        stdin: What it reads.
        extra: Environment variables besides the usual ones.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with tempfile.TemporaryFile("w+") as out, (stdin or Path(os.devnull)).open() as source:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment(n_threads) | extra, stdin=source, stdout=out, text=True
        )
        _pin(process.pid, n_processors or n_threads)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid).peak_mb)
            time.sleep(POLL_S)
        seconds = time.perf_counter() - began
        out.seek(0)
        output = out.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output)
    return Finished(seconds, peak, output)


def _pin(pid: int, n_threads: int) -> None:
    """Keep a process that has just started on as many processors, the last ones."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, sorted(os.sched_getaffinity(0))[-n_threads:])


def environment(n_threads: int) -> dict[str, str]:
    """What every process gets: its threads by all the names there are, no network, no service."""
    count = str(n_threads)
    return os.environ | {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "RAYON_NUM_THREADS": count,
        "TOKENIZERS_PARALLELISM": "false" if n_threads == 1 else "true",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(WORK / "hub"),
        "EMBEDWELL_CACHE": str(WORK / "cache"),
        "EMBEDWELL_MODEL_FILES": str(WORK / "models" / "published"),
        "EMBEDWELL_THREADS": count,
        "EMBEDWELL_SERVICE": "off",
    }


def memory_of(pid: int) -> Memory:
    """Memory of a process from /proc; zeros once it has ended, or where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return Memory(0, 0)
    fields = dict(line.split(":", 1) for line in status.splitlines())
    kib = [int(fields.get(name, "0").split()[0]) for name in ("VmRSS", "VmHWM")]
    return Memory(*(round(k * 1024 / 1e6, 1) for k in kib))
