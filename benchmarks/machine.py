"""What the numbers were measured on: processor, memory, versions; no names or paths."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import embedwell
from embedwell.core.device import available_cpus, total_memory_bytes

TELLING_FLAGS = (
    "avx2",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
)


def n_cores() -> int:
    """Processors that a benchmark may use."""
    return available_cpus()


def describe() -> dict[str, Any]:
    """Processor with what matters of its instruction sets, memory, system and versions."""
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _cpu_field("model name") or platform.processor() or platform.machine(),
        "instructions": [f for f in TELLING_FLAGS if f in _cpu_field("flags").split()],
        "n_cores": n_cores(),
        "memory_gib": round(total_memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "embedwell": embedwell.__version__,
        "load_before": load_before and round(load_before, 2),
    }


def _cpu_field(name: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")
