"""Every engine as it is on this machine: installed or not, chosen or not, measured when asked."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import structs

from embedwell.app.checks.engine_child import Speed
from embedwell.app.config.settings import Settings
from embedwell.app.models.auto import with_model
from embedwell.app.models.choose import engine_for, quantization_for
from embedwell.app.models.obtain import named
from embedwell.app.models.pull import ChildPuller
from embedwell.core.artifact import QUANTIZATIONS, Artifact
from embedwell.core.device import available_cpus
from embedwell.core.errors import EmbedwellError, EngineError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.engines.registry import form_of, names, runs, unknown
from embedwell.models.catalogue import ModelCard
from embedwell.models.heads import check_head

FILE = "engines.json"
"""In the cache: the last measurement of each engine."""

DEFAULT = "onnx"
"""The engine whose vectors the others' drift is measured from."""

REMOTE = "http"
"""The value of `engine` with which a server embeds: no engine is needed here, or measured."""

_REMOTE = "http: the server at `remote_url` embeds, and no engine runs here."
_PROGRAM = (sys.executable, "-P", "-m", "embedwell.app.checks.engine_child")
_POLL_S = 0.1
_PART_S = 2.0  # of each of the measurements of an engine
_OWN_GROUP = 0 if sys.platform != "win32" else None  # Ctrl-C is for us, who then end it


@dataclass(frozen=True)
class Measured:
    """What was measured of an engine.

    Attributes:
        artifact: What it ran, such as `all-MiniLM-L6-v2@q8`.
        at: When, ISO 8601 in UTC.
        version: Of the engine's library.
        n_threads: Threads that it was given.
        speed: Time and memory.
        drift_mean: Mean drift of the natural probes from the default engine's vectors; None where
            the default engine could not be measured.
        drift_worst: The worst natural probe's.
    """

    artifact: str
    at: str
    version: str
    n_threads: int
    speed: Speed
    drift_mean: float | None = None
    drift_worst: float | None = None


@dataclass(frozen=True)
class EngineState:
    """An engine on this machine.

    Attributes:
        name: As the setting `engine` names it.
        version: Of its library; empty where it is not installed, or tells only once it runs.
        native: Which build of the library.
        quantizations: What it runs.
        is_chosen: Whether it would run the model.
        problem: Why it cannot run, as a sentence; empty where it can.
        remedy: What to do about that: the command that installs it.
        measured: The last measurement with this model; None without one.
        unmeasured: Why a measurement that was asked for did not come about; else empty.
    """

    name: str
    version: str
    native: str
    quantizations: tuple[str, ...]
    is_chosen: bool
    problem: str = ""
    remedy: str = ""
    measured: Measured | None = None
    unmeasured: str = ""


@dataclass(frozen=True)
class EngineReport:
    """All engines.

    Attributes:
        model: Whom they would run.
        engine: The one that would.
        quantization: At which level; empty where a server embeds, which has its own.
        reason: Why, as sentences.
        engines: The default first, then by name.
    """

    model: str
    engine: str
    quantization: str
    reason: str
    engines: tuple[EngineState, ...]


def look(settings: Settings, watch: Watch, *, measure: bool = False) -> EngineReport:
    """Look at every engine, each in a process of its own.

    Args:
        settings: Which model, how many threads, where things are kept.
        watch: Told of each engine; asked to stop between and within them.
        measure: Whether each one loads the model and runs it, and is remembered in the cache.

    Raises:
        ModelError: The model is unknown or cannot be had.
        EngineError: The settings name an engine that nobody has here.
        TaskCancelledError: `watch` was asked to stop.
    """
    if settings.engine == REMOTE:
        return EngineReport(settings.model, REMOTE, "", _REMOTE, tuple(_states(REMOTE, watch)))
    if settings.engine not in names():
        raise unknown(settings.engine)
    settings, _ = with_model(settings, watch)
    model, level = named(settings, settings.model, watch)
    settings = structs.replace(settings, quantization=level or settings.quantization)
    chosen = engine_for(settings, model)
    choice = quantization_for(settings, model)
    states = _states(chosen, watch)
    if measure:
        states = _measured(settings, model, states, watch)
    remembered = _remembered(settings.cache)
    found = [_with_measurement(state, model, remembered) for state in states]
    lacks = (
        " It cannot run yet, as below." if any(s.is_chosen and s.problem for s in states) else ""
    )
    reason = f"{_reason(settings, model, chosen)}{lacks} {choice.reason}"
    return EngineReport(model.called, chosen, choice.quantization, reason, tuple(found))


def _states(chosen: str, watch: Watch) -> list[EngineState]:
    known = names()
    order = [*(name for name in known if name == DEFAULT), *(n for n in known if n != DEFAULT)]
    states = []
    for done, name in enumerate(order):
        watch.progress("look at engines", done, len(order), "engines")
        states.append(_state(name, is_chosen=name == chosen, watch=watch))
    return states


def _reason(settings: Settings, model: ModelCard, chosen: str) -> str:
    if chosen != settings.engine:
        what = "is a table of token vectors" if chosen == "static" else "reranks"
        return f"{chosen}: {model.name} {what}, which no other engine runs."
    if chosen == DEFAULT:
        return f"{chosen}: the default, and the fastest where it was measured."
    return f"{chosen}: the setting `engine` names it."


def _state(name: str, *, is_chosen: bool, watch: Watch) -> EngineState:
    levels = tuple(level for level in QUANTIZATIONS if runs(name, level))
    told = _ask({"engine": name, "artifact": None}, watch)
    version, native, problem, remedy = (
        str(told.get(key, "")) for key in ("version", "native", "problem", "remedy")
    )
    return EngineState(name, version, native, levels, is_chosen, problem, remedy)


def _measured(
    settings: Settings, model: ModelCard, states: list[EngineState], watch: Watch
) -> list[EngineState]:
    """Measure what can run; what cannot be measured says why."""
    found, stored = [], None
    with tempfile.TemporaryDirectory() as folder:
        for done, state in enumerate(states):
            watch.progress("measure", done, len(states), "engines")
            if not state.problem:
                place = Path(folder) / f"{state.name}.npy"
                try:
                    measured = _measure(settings, model, state.name, place, watch)
                except TaskCancelledError:
                    raise
                except EmbedwellError as error:
                    state = replace(state, unmeasured=str(error))  # noqa: PLW2901 - now known
                else:
                    stored = place if state.name == DEFAULT else stored
                    _remember(settings.cache, state.name, _with_drift(measured, stored, place))
            found.append(state)
    return found


def _measure(
    settings: Settings, model: ModelCard, engine: str, place: Path, watch: Watch
) -> Measured:
    check_head(model, "embedding")
    asked = structs.replace(settings, engine=engine)
    if (form_of(engine) == "static") != (model.architecture == "static"):
        raise EngineError(
            f"{engine} does not run {model.name}.",
            f"`embedwell models distill {model.name}` makes what static runs."
            if engine == "static"
            else "static runs it.",
        )
    level = quantization_for(asked, model).quantization
    artifact = ChildPuller().artifact(asked, f"{model.called}@{level}", watch)
    n_threads = settings.threads or available_cpus()
    told = _ask(
        {
            "engine": engine,
            "artifact": _fields(replace(artifact, engine=engine)),
            "n_threads": n_threads,
            "vectors": str(place),
            "part_s": _PART_S,
        },
        watch,
    )
    if "problem" in told:
        raise EngineError(told["problem"], told["remedy"])
    speed = Speed(**{name: told[name] for name in Speed.__dataclass_fields__})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Measured(artifact.name, now, told["version"], n_threads, speed)


def _fields(artifact: Artifact) -> dict[str, Any]:
    return asdict(artifact) | {"folder": str(artifact.folder)}


def _with_drift(measured: Measured, stored: Path | None, place: Path) -> Measured:
    if stored is None:
        return measured
    import numpy as np  # noqa: PLC0415 - to measure only

    from embedwell.handshake import drift  # noqa: PLC0415 - the same
    from embedwell.handshake.probes import PROBES  # noqa: PLC0415 - the same

    found = drift.measure(np.load(stored), np.load(place), PROBES)
    return replace(measured, drift_mean=found.mean, drift_worst=found.worst)


def _ask(request: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """What the child says; a problem where it says nothing.

    Raises:
        TaskCancelledError: `watch` was asked to stop; the child has ended.
    """
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program
        _PROGRAM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        process_group=_OWN_GROUP,
    ) as child:
        given: str | None = json.dumps(request)
        try:
            while True:
                watch.check("measure engines")
                try:
                    said, _ = child.communicate(given, _POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    given = None  # it is being sent
        except BaseException:
            child.kill()
            raise
    with suppress(ValueError):
        return dict(json.loads(said))
    return {
        "problem": f"The engine '{request['engine']}' ended its process (status "
        f"{child.returncode}).",
        "remedy": "Install it anew, or set `engine` to onnx.",
    }


def _with_measurement(
    state: EngineState, model: ModelCard, remembered: Mapping[str, Measured]
) -> EngineState:
    found = remembered.get(state.name)
    of_this = found is not None and found.artifact.rpartition("@")[0] == model.called
    return replace(state, measured=found) if of_this else state


def _remembered(cache: Path) -> dict[str, Measured]:
    """The last measurements by engine; none where nothing was, or the file cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        rows = json.loads((cache / FILE).read_text("utf-8"))
        return {
            name: Measured(**row | {"speed": Speed(**row["speed"])}) for name, row in rows.items()
        }
    return {}


def _remember(cache: Path, engine: str, measured: Measured) -> None:
    rows = _remembered(cache) | {engine: measured}
    text = json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1)
    with suppress(OSError):  # a cache that cannot be written: it is shown, and forgotten
        new = cache / f"{FILE}.new"
        new.write_text(text + "\n", "utf-8")
        new.replace(cache / FILE)
