"""Where texts become vectors: in the machine's service, or in this process."""

from __future__ import annotations

import socket

from embedwell.app.settings import Settings
from embedwell.core.events import Watch
from embedwell.engines.http import Address, HttpEngine
from embedwell.models.catalogue import named
from embedwell.runtime.protocol import TextEmbedder


def connect(settings: Settings, watch: Watch) -> TextEmbedder:
    """The embedder for the model that the settings name, wherever it runs.

    Raises:
        ServiceGoneError: The settings require the service and none answers.
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
        OverBudgetError: The model does not fit the memory budget.
    """
    name = model_name(settings)
    if settings.service != "off":
        engine = HttpEngine(address(settings))
        if engine.answers():
            from embedwell.runtime.remote import RemoteEmbedder  # noqa: PLC0415 - one of two ways

            return RemoteEmbedder(engine, name, named(name)[0].space)
    from embedwell.app.runtime import Runtime  # noqa: PLC0415 - one of two ways

    runtime = Runtime(settings)
    runtime.load(name, watch)
    return runtime.embedder(name)


def model_name(settings: Settings) -> str:
    """The model that the settings name, with its quantization where they name one."""
    level = "" if settings.quantization == "auto" else f"@{settings.quantization}"
    return f"{settings.model}{level}"


def address(settings: Settings) -> Address:
    """Where the machine's service listens."""
    if hasattr(socket, "AF_UNIX"):
        return Address(settings.socket or settings.cache / "service.sock")
    return Address(None, settings.host, settings.port, settings.api_key)
