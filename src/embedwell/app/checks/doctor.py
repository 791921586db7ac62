"""Checks of this machine and of the index, each with its remedy."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import psutil

from embedwell.app.checks.server import remote_checks
from embedwell.app.checks.service import Check, service_checks
from embedwell.app.config.configuration import load, personal_in
from embedwell.app.config.place import shown_target, target_of
from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import format_bytes, parse_budget
from embedwell.app.config.trust import is_trusted, read_project
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.opening import open_index
from embedwell.app.models.choose import AUTO, machine, quantization_for
from embedwell.app.models.language import uncovered
from embedwell.core.device import available_cpus, available_memory_bytes, total_memory_bytes
from embedwell.core.errors import EmbedwellError, StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.handshake.admit import check_declaration
from embedwell.jobs.compare import check_vectors_of
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.known import Known
from embedwell.runtime.pressure import judge, read_machine
from embedwell.runtime.profile import DeviceProfile, profile_for


def diagnose(db: str | None = None, *, deep: bool = False) -> list[Check]:
    """Look at settings, machine, SQLite, model and index; nothing is changed.

    Args:
        db: The index, where it is not found by itself.
        deep: Whether a sample of its passages is embedded anew, with the model of the index.
    """
    try:
        settings = load({"db": db}).settings
    except EmbedwellError as error:
        return [Check("settings", ok=False, found=error.problem, remedy=error.remedy)]
    is_remote = settings.engine == "http"
    return [
        Check("settings", ok=True, found=f"model {settings.model}@{settings.quantization}"),
        _trust(Path.cwd()),
        *_machine(settings),
        *(() if is_remote else _looked("quantization", _choices(settings))),
        *(() if is_remote else _looked("service", service_checks(settings))),
        *_sqlite(),
        *_looked("model", remote_checks(settings) if is_remote else _model(settings)),
        *_looked("index", _index(settings, deep=deep)),
    ]


def _looked(name: str, checks: Iterable[Check]) -> Iterator[Check]:
    """The checks; where the system lets nobody look, that is what is broken."""
    try:
        yield from checks
    except OSError as error:
        found = f"{error.filename or 'something'} cannot be looked at: {error.strerror}."
        yield Check(name, ok=False, found=found, remedy="Check its permissions.")


def _machine(settings: Settings) -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", ok=True, found=f"{python} on {sys.platform}")
    yield Check("memory", ok=True, found=_memory(settings))
    threads = settings.threads or available_cpus()
    found = f"{available_cpus()} for this process, {threads} used"
    yield Check("processors", ok=True, found=found)
    folder = next(f for f in (settings.cache, *settings.cache.parents) if os.path.exists(f))  # noqa: PTH110 - `Path.exists` raises where nobody may look
    writable = os.access(folder, os.W_OK)
    remedy = "" if writable else "Make it writable, or set `cache` to a folder that is."
    yield Check(
        "cache",
        ok=writable,
        found=str(settings.cache) + ("" if writable else ": cannot be written."),
        remedy=remedy,
    )


def _memory(settings: Settings) -> str:
    total, free = total_memory_bytes(), available_memory_bytes()
    machine_bytes = int(psutil.virtual_memory().total)
    cgroup = f" for the cgroup, of {format_bytes(machine_bytes)}" if total < machine_bytes else ""
    budget = parse_budget(settings.memory_budget, total)
    pressure = judge(read_machine())
    return (
        f"{format_bytes(total)}{cgroup}, {format_bytes(free)} free; pressure {pressure.level} "
        f"({pressure.fraction:.0%}); budget {format_bytes(budget)} ({settings.memory_budget})"
    )


def _trust(folder: Path) -> Check:
    project = read_project(folder)
    personal = sorted({name for names in personal_in(project).values() for name in names})
    if is_trusted(project):
        found = f"{project.folder} is trusted"
    else:
        found = "this folder's files are not trusted"
    found += f"; they set {', '.join(personal)}" if personal else "; they need no trust"
    return Check("trust", ok=True, found=found)


def _choices(settings: Settings) -> Iterator[Check]:
    """What the machine's size decides, and why."""
    budget_bytes, ram_bytes = machine(settings)
    profile = profile_for(ram_bytes)
    counted = f"counts as {format_bytes(ram_bytes)} (budget {format_bytes(budget_bytes)})"
    yield Check("profile", ok=True, found=f"{counted}: {_limits(settings, profile)}")
    if settings.model == AUTO:
        yield Check("quantization", ok=True, found="chosen with the model, for a new index")
        return
    try:
        choice = quantization_for(settings, Known(settings.cache).card(settings.model))
    except EmbedwellError:
        return  # the check of the model says it
    found = f"{choice.reason} {choice.warning}".strip()
    remedy = "Leave it to `quantization = auto`, or raise the budget." if choice.warning else ""
    yield Check("quantization", ok=True, found=found, remedy=remedy)


def _limits(settings: Settings, profile: DeviceProfile) -> str:
    n_models = settings.models_at_once or profile.n_models
    idle_s = profile.idle_s if settings.idle_s is None else settings.idle_s
    idle = f"unloaded after {idle_s:g} s idle" if idle_s else "never unloaded for being idle"
    noun = "model" if n_models == 1 else "models"
    return f"{n_models} {noun} at once, {idle}; the table's level is {profile.quantization}"


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
    if settings.model == AUTO:
        yield Check("model", ok=True, found="auto: chosen for each new index")
        return
    try:
        model, level = Known(settings.cache).named(settings.model)
        chosen = level or quantization_for(settings, model).quantization
        kept = ArtifactStore(settings.cache)
        artifact = kept.find(model, chosen)
        if artifact is None:
            yield Check("model", ok=True, found="not here yet; it is pulled at first use")
            return
        kept.verify(artifact)
        if not settings.embeddings:
            yield Check("model", ok=True, found=f"{artifact.name} whole; embeddings are off")
            return
        runtime = Runtime(settings)
        embedded = runtime.embed(artifact.name, ["hello world"], "document", Watch())
        size = format_bytes(sum(state.size_bytes for state in runtime.states()))
        runtime.close()
    except EmbedwellError as error:
        yield Check("model", ok=False, found=error.problem, remedy=error.remedy)
        return
    length = float(np.linalg.norm(embedded.vectors[0]))
    found = f"{artifact.name} whole, takes about {size}, vector length {length:.4f}"
    remedy = "" if abs(length - 1) < 1e-3 else "Remove the model and pull it again."
    yield Check("model", ok=not remedy, found=found, remedy=remedy)


def _index(settings: Settings, *, deep: bool) -> Iterator[Check]:
    try:
        target = target_of(settings, Path.cwd(), create=False)
    except StoreNotFoundError:
        yield Check("index", ok=True, found="none here; `embedwell index` makes one")
        return
    shown = shown_target(target)
    try:
        with open_index(db=str(target), create=False) as index:
            index.embedders.check()
            _check_models(index)
            foreign, notice = uncovered(index.store, index.settings), index.notice
            broken = [*index.store.check(), *_broken_vectors(index, deep=deep)]
            found = _index_found(index)
    except EmbedwellError as error:
        yield Check("index", ok=False, found=error.problem, remedy=error.remedy)
        return
    if foreign is not None:
        yield Check("language", ok=True, found=foreign.said, remedy=foreign.remedy)
    if notice:
        yield Check("code model", ok=True, found=notice)
    if broken:
        remedy = "See `embedwell compare`; restore a backup, or index again into another place."
        yield Check("index", ok=False, found=f"{shown}: {'; '.join(broken)}", remedy=remedy)
    else:
        yield Check("index", ok=True, found=f"{shown}: {found}")


def _check_models(index: Index) -> None:
    """Refuse spaces whose model no name finds here; raises `EmbedwellError`.

    A server's models are asked for when they are used.
    """
    if index.settings.engine == "http":
        return
    known = Known(index.settings.cache)
    for stored in (index.store.spaces.main(), index.store.spaces.code()):
        if stored is not None:
            check_declaration(stored, known.card(known.name_of(stored.space)).space)


def _broken_vectors(index: Index, *, deep: bool) -> Iterator[str]:
    """What is wrong with the vectors that are searched, of text and of code."""
    for stored in (index.store.spaces.main(), index.store.spaces.code()):
        if stored is not None:
            embedder = index.embedders.of(stored, Watch()) if deep else None
            yield from check_vectors_of(index.store, stored.number, embedder)


def _index_found(index: Index) -> str:
    counts, spaces = index.counts(), index.store.spaces
    main = spaces.main()
    reference = spaces.reference(main.number)
    proof = f"proved by {reference.build}" if reference else "no proof yet: nothing was embedded"
    others = "".join(
        f"; {one.role} space of {one.space.model}" for one in spaces.all() if one.role != "main"
    )
    return (
        f"{counts.documents:,} documents, {counts.chunks:,} chunks, searched by "
        f"{index.store.index_kind}; {main.space.model}, {proof}, "
        f"{len(spaces.admissions(main.number))} builds admitted{others}"
    )
