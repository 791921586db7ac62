"""Where texts become vectors: in the machine's service, or in this process."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from embedwell.app.config.settings import Settings
from embedwell.core.artifact import Head
from embedwell.core.errors import EmbeddingsOffError, ServiceGoneError
from embedwell.core.events import Listener, Watch, ignore_events
from embedwell.models.catalogue import ModelCard
from embedwell.models.heads import check_head
from embedwell.models.known import Known, in_full
from embedwell.models.names import BROUGHT, parse_name

if TYPE_CHECKING:
    from embedwell.app.models.choose import ModelChoice
    from embedwell.engines.http import Address
    from embedwell.runtime.fallback import LocalEither, LocalModel
    from embedwell.runtime.protocol import TextEmbedder
    from embedwell.runtime.remote import FindTokens, RemoteEmbedder

Connect: TypeAlias = "Callable[[Settings, Watch], TextEmbedder]"
"""Gives the embedder for the model that settings name."""

HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")
# After a service went away, the same socket is tried again after this long.
_TRY_AGAIN_S = 30.0


def chosen(settings: Settings, watch: Watch) -> tuple[Settings, ModelChoice | None]:
    """Settings whose model has a name for `connect`: what `auto` is here, and `dimensions` in it.

    Args:
        settings: What the user chose.
        watch: Told of progress where a model is pulled.

    Returns:
        The settings, and why `auto` is that model; None where a model was named.

    Raises:
        SettingsError: The vectors of the model cannot have that length.
        ModelError: The model is unknown, or none can be had.
        TaskCancelledError: `watch` was asked to stop.
    """
    choice = None
    if settings.embeddings and settings.model == "auto":
        from embedwell.app.models.auto import with_model  # noqa: PLC0415 - only where it is asked for

        settings, choice = with_model(settings, watch)
    if settings.embeddings and settings.dimensions:
        from embedwell.app.embedding.pair_settings import with_lengths  # noqa: PLC0415 - as above

        settings = with_lengths(settings, ["model"])
    return settings, choice


def connect(settings: Settings, watch: Watch, on_event: Listener = ignore_events) -> LocalModel:
    """The embedder for the model that the settings name, wherever it runs.

    Where no service is there and the settings do not ask for one, the model is loaded now.

    Args:
        settings: What the user chose; see `chosen`.
        watch: Told of progress in this process.
        on_event: Called with what happens to models in this process.

    Raises:
        RemoteError: The settings name a server (`engine = http`) that does not answer as it must.
        ServiceGoneError: The settings require the service and none answers.
        ServiceStartError: The settings start the service on demand, and it does not start.
        EmbeddingsOffError: The settings switch embeddings off.
        WrongTaskError: The model scores pairs of texts.
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
        OverBudgetError: The model does not fit the memory budget.
    """
    if not settings.embeddings:
        raise EmbeddingsOffError(
            "Embeddings are switched off (`embeddings = false`).",
            "Search with `--mode lexical`, or switch them on.",
        )
    if settings.engine == "http":
        from embedwell.app.models.remote import http_embedder  # noqa: PLC0415 - one of the ways

        return http_embedder(settings, watch)
    return anywhere(settings, model_name(settings), "embedding", watch, on_event)


def anywhere(
    settings: Settings, model: str, head: Head, watch: Watch, on_event: Listener
) -> LocalEither:
    """A model in the machine's service or in this process, as the setting `service` says.

    Args:
        settings: What the user chose.
        model: Its name.
        head: What is wanted of it.
        watch: Told of progress in this process.
        on_event: Called with what happens to models in this process.

    Raises:
        WrongTaskError: Something else comes out of it.
        EmbedwellError: As `connect` does.
    """
    if model.startswith(BROUGHT):
        from embedwell.app.models.obtain import named  # noqa: PLC0415 - only what a person brings

        named(settings, model, watch)
        model = in_full(model)
    card = Known(settings.cache).card(model)
    check_head(card, head)

    def make_local(watch: Watch) -> LocalEither:
        from embedwell.app.embedding.shared import shared_embedder  # noqa: PLC0415 - one of the ways

        return shared_embedder(settings, model, watch, on_event)

    if settings.service == "off":
        return make_local(watch)
    if settings.service == "auto":
        from embedwell.runtime.fallback import FallbackModel  # noqa: PLC0415 - one of the ways

        found = FallbackModel(card.space, ServiceWay(settings, model), make_local)
        found.load(watch)
        return found
    return _service_only(settings, model, watch)


def model_name(settings: Settings) -> str:
    """The model that the settings name, with its quantization where they name one."""
    if settings.quantization == "auto" or parse_name(settings.model).quantization:
        return settings.model
    return f"{settings.model}@{settings.quantization}"


def socket_file(settings: Settings) -> Path | None:
    """The Unix socket of the machine's service; None where there is no such thing."""
    return (settings.socket or settings.cache / "service.sock") if HAS_UNIX_SOCKETS else None


def address(settings: Settings) -> Address:
    """Where the machine's service listens."""
    from embedwell.engines.http import Address  # noqa: PLC0415 - not where there is no service

    return Address(socket_file(settings), settings.host, settings.port, settings.api_key)


def sign_of_service(settings: Settings) -> tuple[int, ...] | None:
    """What tells one start of the service from the next; None where there is none.

    It costs a look at one file: a socket that belongs to us, or to root. Whoever else could make
    one there would read our texts.
    """
    place = socket_file(settings)
    if place is None:
        return (settings.port,) if settings.port else None
    try:
        found = place.stat()
    except (OSError, ValueError):
        return None
    owners = {os.geteuid(), 0} if hasattr(os, "geteuid") else {found.st_uid}
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in owners:
        return None
    return found.st_ino, found.st_ctime_ns


class ServiceWay:
    """How this process reaches the service, if there is one.

    Args:
        settings: Where it listens.
        model: Which model is asked for.
    """

    def __init__(self, settings: Settings, model: str) -> None:
        self._settings = settings
        self._model = model
        self._remote: RemoteEmbedder | None = None
        self._failed: tuple[int, ...] | None = None
        self._try_again_at = 0.0

    def model(self) -> RemoteEmbedder | None:
        """The service's model; None while there is nothing new since it failed."""
        sign = sign_of_service(self._settings)
        if sign is None or (sign == self._failed and time.monotonic() < self._try_again_at):
            return None
        if self._remote is None:
            remote = _remote(self._settings, self._model)
            if not remote.answers():  # what a killed service left there
                self.failed()
                return None
            self._remote = remote
        return self._remote

    def failed(self) -> None:
        """Leave it alone until it was started again, or for half a minute."""
        self._failed = sign_of_service(self._settings)
        self._try_again_at = time.monotonic() + _TRY_AGAIN_S
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._remote is not None:
            self._remote.close()


def _remote(settings: Settings, model: str) -> RemoteEmbedder:
    """A model that the service is asked for; whether there is one is not looked at."""
    from embedwell.engines.http import HttpEngine  # noqa: PLC0415 - not where there is no service
    from embedwell.runtime.remote import RemoteEmbedder  # noqa: PLC0415 - the same

    engine = HttpEngine(address(settings))
    card = Known(settings.cache).card(model)
    revive = None
    if settings.service == "start":
        from embedwell.app.embedding.launch import ensure_service  # noqa: PLC0415 - the same

        revive = partial(ensure_service, settings, engine)
    return RemoteEmbedder(
        engine,
        model,
        card.space,
        tokenizer=partial(_tokenizer, settings, card),
        revive=revive,
    )


def _service_only(settings: Settings, model: str, watch: Watch) -> RemoteEmbedder:
    """The service's model: it is started now, or required to be there."""
    remote = _remote(settings, model)
    if settings.service == "start":
        remote.revive(watch)
    elif not remote.answers():
        remote.close()
        raise ServiceGoneError(
            f"No service answers at {address(settings)}, and the settings require it.",
            "Start it with `embedwell serve`, or set `service` to `auto` or `start`.",
        )
    return remote


def _tokenizer(settings: Settings, card: ModelCard) -> FindTokens | None:
    """The model's tokenizer from the cache that is shared with the service.

    Whoever cuts documents asks for tokens several times for each; see docs/library.md.
    """
    from embedwell.core.artifact import QUANTIZATIONS  # noqa: PLC0415 - only to index
    from embedwell.models.artifacts import ArtifactStore  # noqa: PLC0415
    from embedwell.runtime.tokenizer import Tokenizer  # noqa: PLC0415

    kept = ArtifactStore(settings.cache)
    for level in QUANTIZATIONS:
        if found := kept.find(card, level):
            return Tokenizer(found.tokenizer_file, card.max_tokens).starts
    return None
