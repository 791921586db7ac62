"""Checks of this machine and of the index, each with its remedy."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedwell.app.configuration import load
from embedwell.app.index import open_index
from embedwell.app.place import find_file
from embedwell.app.runtime import Runtime
from embedwell.app.settings import Settings
from embedwell.app.sizes import format_bytes, parse_budget
from embedwell.core.device import available_cpus, available_memory_bytes, total_memory_bytes
from embedwell.core.errors import EmbedwellError, StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import card
from embedwell.runtime.loaded import estimated_bytes


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it was.
        ok: Whether it is as it must be.
        found: What was seen.
        remedy: What to do now; empty where all is well.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


def diagnose(db: Path | None = None) -> list[Check]:
    """Look at settings, machine, SQLite, model and index; nothing is downloaded or changed."""
    try:
        settings = load({"db": db}).settings
    except EmbedwellError as error:
        return [Check("settings", ok=False, found=error.problem, remedy=error.remedy)]
    return [
        Check("settings", ok=True, found=f"model {settings.model}@{settings.quantization}"),
        *_machine(settings),
        *_sqlite(),
        *_model(settings),
        *_index(settings),
    ]


def _machine(settings: Settings) -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", ok=True, found=f"{python} on {sys.platform}")
    total, free = total_memory_bytes(), available_memory_bytes()
    budget = parse_budget(settings.memory_budget, total)
    found = f"{format_bytes(total)}, {format_bytes(free)} free; budget {format_bytes(budget)}"
    yield Check("memory", ok=True, found=found)
    threads = settings.threads or available_cpus()
    found = f"{available_cpus()} for this process, {threads} used"
    yield Check("processors", ok=True, found=found)
    folder = next(f for f in (settings.cache, *settings.cache.parents) if f.exists())
    writable = os.access(folder, os.W_OK)
    remedy = "" if writable else "Make it writable, or set `cache` to a folder that is."
    yield Check("cache", ok=writable, found=str(settings.cache), remedy=remedy)


def _sqlite() -> Iterator[Check]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(words)")
        fts5 = True
    except sqlite3.OperationalError:
        fts5 = False
    extensions = hasattr(connection, "enable_load_extension")
    connection.close()
    remedy = "" if fts5 else "Use a Python whose SQLite has FTS5, such as your system's."
    loads = "can" if extensions else "cannot"
    found = f"{sqlite3.sqlite_version}, {loads} load extensions (optional)"
    yield Check("sqlite", ok=fts5, found=found, remedy=remedy)


def _model(settings: Settings) -> Iterator[Check]:
    try:
        model = card(settings.model)
        kept = ArtifactStore(settings.cache)
        level = "q8" if settings.quantization == "auto" else settings.quantization
        artifact = kept.find(model, level)
        if artifact is None:
            yield Check("model", ok=True, found="not here yet; it is pulled at first use")
            return
        kept.verify(artifact)
        runtime = Runtime(settings)
        embedded = runtime.embed(artifact.name, ["hello world"], "document", Watch())
        runtime.close()
    except EmbedwellError as error:
        yield Check("model", ok=False, found=error.problem, remedy=error.remedy)
        return
    length = float(np.linalg.norm(embedded.vectors[0]))
    need = format_bytes(estimated_bytes(artifact))
    found = f"{artifact.name} whole, needs about {need}, vector length {length:.4f}"
    remedy = "" if abs(length - 1) < 1e-3 else "Remove the model and pull it again."
    yield Check("model", ok=not remedy, found=found, remedy=remedy)


def _index(settings: Settings) -> Iterator[Check]:
    try:
        file = settings.db or find_file(Path.cwd())
    except StoreNotFoundError:
        yield Check("index", ok=True, found="none here; `embedwell index` makes one")
        return
    try:
        with open_index(db=file, create=False) as index:
            broken = index.store.check()
            counts = index.counts()
    except EmbedwellError as error:
        yield Check("index", ok=False, found=error.problem, remedy=error.remedy)
        return
    found = f"{file}: {counts.documents:,} documents, {counts.chunks:,} chunks"
    if broken:
        remedy = "Delete the file and run `embedwell index` again."
        yield Check("index", ok=False, found=f"{file}: {'; '.join(broken)}", remedy=remedy)
    else:
        yield Check("index", ok=True, found=found)
