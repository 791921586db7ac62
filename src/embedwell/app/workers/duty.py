"""What somebody asks of workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Duty:
    """What somebody asks of a worker.

    Attributes:
        once: Whether it ends when the queue is drained, rather than wait for more.
        batch_size: Most rows that it claims at once.
        moved: Where sources are on this machine, by name, if not where the index says.
        max_load: Load average above which it claims nothing; 0 for none.
        nice: By how much it gives way to others, as `nice` counts.
    """

    once: bool = False
    batch_size: int = 100
    moved: Mapping[str, Path] = field(default_factory=dict)
    max_load: float = 0.0
    nice: int = 0


def words_of(duty: Duty) -> list[str]:
    """The options of `embedwell work` that ask for it."""
    words = ["--once"] if duty.once else []
    words += ["--batch-size", str(duty.batch_size)]
    for name, folder in duty.moved.items():
        words += ["--source", f"{name}={folder}"]
    words += ["--max-load", str(duty.max_load), "--nice", str(duty.nice)]
    return words
