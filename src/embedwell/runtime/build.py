"""The build record of an artifact in this process."""

from __future__ import annotations

import platform
import re
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
_X86 = re.compile(r"sse4_[12]|avx\w*|fma|f16c|amx_\w+")
_ARM = re.compile(r"neon|asimd\w*|sve\w*|sme\w*|i8mm|bf16|fphp|fp16")


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
        pattern = {"flags": _X86, "Features": _ARM}.get(name.strip())
        if pattern is not None:
            return tuple(sorted({flag for flag in told.split() if pattern.fullmatch(flag)}))
    return ()


@cache
def _cpu() -> tuple[str, ...]:
    try:
        with _CPU_FILE.open(encoding="utf-8", errors="replace") as lines:
            found = cpu_features(lines)
    except OSError:  # not Linux
        found = ()
    return found or (platform.processor() or platform.machine(),)
