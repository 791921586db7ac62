"""The service as the doctor sees it: whether it runs, where, and with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from embedwell import __version__
from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import format_bytes
from embedwell.app.embedding.connect import address, sign_of_service
from embedwell.core.errors import EmbedwellError
from embedwell.engines.http import HttpEngine

_JSON = "application/json"
_WAYS = {
    "auto": "used where it runs",
    "start": "started on demand",
    "require": "required",
    "off": "not used",
}


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


def service_checks(settings: Settings) -> Iterator[Check]:
    """Whether the machine's service runs; a model is not woken for it."""
    place = address(settings)
    way = _WAYS[settings.service]
    if sign_of_service(settings) is None:
        yield _absent(settings, f"none at {place}; {way}")
        return
    engine = HttpEngine(place)
    try:
        health = _asked(engine, "/health")
        version = str(health.get("version", "unknown"))
        found = f"at {place}, version {version}; {way}{_told(engine)}"
    except EmbedwellError as error:
        yield _absent(settings, f"{error.problem} It is {way}")
        return
    finally:
        engine.close()
    remedy = "" if version == __version__ else f"Restart it: this is version {__version__}."
    yield Check("service", ok=True, found=found, remedy=remedy)


def _absent(settings: Settings, found: str) -> Check:
    is_needed = settings.service == "require"
    remedy = "Start it with `embedwell serve`, or set `service` to `auto`." if is_needed else ""
    return Check("service", ok=not is_needed, found=found, remedy=remedy)


def _told(engine: HttpEngine) -> str:
    """What the service says of its models and memory; nothing where it does not."""
    try:
        told = _asked(engine, "/v1/monitoring/embeddings")
        models = ", ".join(str(model["name"]) for model in told["runtime"]) or "no model"
        rss = format_bytes(told["ram"]["process_rss_mb"] * 1e6)
        return f"; {models} loaded, {rss} resident, pressure {told['pressure']['level']}"
    except (EmbedwellError, KeyError, TypeError):
        return ""


def _asked(engine: HttpEngine, path: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(engine.request("GET", path, kind=_JSON))
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}
