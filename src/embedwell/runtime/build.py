"""The build record of an artifact in this process."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import tokenizers

from embedwell.core.artifact import Artifact
from embedwell.core.build import BuildRecord
from embedwell.engines.protocol import EngineBuild

_CPU_FILE = Path("/proc/cpuinfo")
# Vector and matrix instructions: what kernels are chosen by, and in what order sums are made.
# Their names begin so, on x86 and on ARM.
_STARTS = {
    "flags": ("sse4_", "avx", "fma", "f16c", "amx_"),
    "Features": ("neon", "asimd", "sve", "sme", "i8mm", "bf16", "fphp"),
}


@cache
def build_record(artifact: Artifact, engine: EngineBuild) -> BuildRecord:
    """What computes vectors of an artifact here; the same record each time."""
    return BuildRecord(
        artifact=artifact.name,
        artifact_key=artifact.key,
        weights_sha256=artifact.weights_sha256,
        tokenizer_sha256=artifact.tokenizer_sha256,
        quantization=artifact.quantization,
        engine=engine.name,
        engine_version=engine.version,
        native=engine.native,
        tokenizers_version=tokenizers.__version__,
        cpu=_cpu(),
        host=platform.node(),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def cpu_features(lines: Iterable[str]) -> tuple[str, ...]:
    """What a processor can do as far as results may depend on it.

    Args:
        lines: `/proc/cpuinfo`; read up to the first processor's features.

    Returns:
        In alphabetical order; empty where none are told.
    """
    for line in lines:
        name, _, told = line.partition(":")
        starts = _STARTS.get(name.strip())
        if starts:
            return tuple(sorted({flag for flag in told.split() if flag.startswith(starts)}))
    return ()


@cache
def _cpu() -> tuple[str, ...]:
    try:
        with _CPU_FILE.open(encoding="utf-8", errors="replace") as lines:
            found = cpu_features(lines)
    except OSError:  # not Linux
        found = ()
    return found or (platform.processor() or platform.machine(),)
