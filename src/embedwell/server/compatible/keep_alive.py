"""Ollama's `keep_alive`: how long a model stays loaded after a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from embedwell.core.errors import BadRequestError

if TYPE_CHECKING:
    from embedwell.server.shared.service import Service

KeepAlive: TypeAlias = float | str | None

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[-+]?(0|({_PART})+)")


def seconds(given: float | str) -> float:
    """What a `keep_alive` means, in seconds; below 0 for ever.

    A number counts seconds; a string is a duration in Go's form, such as `5m` or `1h30m`
    (<https://pkg.go.dev/time#ParseDuration>).

    Raises:
        BadRequestError: It is no duration.
    """
    if not isinstance(given, str):
        return float(given)
    if not _DURATION.fullmatch(given):
        raise BadRequestError(
            f"`keep_alive` is '{given}', which is no duration.",
            "Send seconds, a duration such as `5m`, 0 to unload, or -1 to keep.",
        )
    total = sum(float(size) * _UNITS_S[unit] for size, unit in re.findall(_PART, given))
    return -total if given.startswith("-") else total


def keep(service: Service, model: str, keep_alive: KeepAlive) -> None:
    """Let a model stay for as long as a client asked; without a wish nothing changes.

    A pinned model stays whatever a client says: it is the machine's owner who pinned it.
    """
    if keep_alive is None:
        return
    wanted_s = seconds(keep_alive)
    if wanted_s != 0:
        service.runtime.keep(model, max(0.0, wanted_s))
    elif not _is_pinned(service, model):
        service.runtime.unload(model)


def _is_pinned(service: Service, model: str) -> bool:
    name = service.runtime.artifact_name(model)
    return any(s.pinned for s in service.runtime.states() if s.artifact.name == name)
