"""The embedder of a model that another program's server runs: `engine = http`."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from embedwell.app.config.settings import Settings
from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.errors import ModelError, SettingsError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.engines.remote.client import Client, place_of
from embedwell.engines.remote.server import Server
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import ModelCard
from embedwell.models.files import mirrors, pull
from embedwell.models.known import Known
from embedwell.models.names import REMOTE
from embedwell.runtime.remote import FindTokens
from embedwell.runtime.remote_model import Cut, HttpEmbedder

_TOKENIZER = "tokenizer.json"

_log = logging.getLogger("embedwell")


def http_embedder(settings: Settings, watch: Watch) -> HttpEmbedder:
    """The embedder for the model that the settings name, at the server that they name.

    The server is asked who it is. A model of the catalogue is taken for what the server says it
    is: whoever uses a store has it measured there.

    Raises:
        SettingsError: They name no server.
        UnknownModelError: There is no such model, and it is not called `remote:NAME`.
        RemoteError: The server does not answer as it must.
        SpaceMismatchError: Its vectors have another length than the model's.
    """
    embedder = _embedder(settings, client_of(settings))
    try:
        embedder.greet(watch)
    except BaseException:
        embedder.close()
        raise
    return embedder


def client_of(settings: Settings) -> Client:
    """How the server that the settings name is reached.

    Raises:
        SettingsError: They name none.
    """
    if not settings.remote_url:
        raise SettingsError(
            "`engine = http` needs the address of a server, and `remote_url` is not set.",
            "Set it to one such as http://127.0.0.1:11434.",
        )
    key, timeout_s = settings.remote_api_key, settings.remote_timeout_s
    return Client(place_of(settings.remote_url, key, timeout_s))


def own_card(settings: Settings, watch: Watch) -> ModelCard:
    """What is known of a model `remote:NAME` that only its server knows; the server is asked.

    Raises:
        SettingsError: The settings name no server.
        RemoteError: The server does not answer as it must.
    """
    embedder = http_embedder(settings, watch)
    embedder.close()
    space = embedder.space
    return ModelCard(
        name=space.model,
        hub_id="",
        revision=space.revision,
        licence="",
        summary="A server's own.",
        architecture="http",
        dimensions=space.dimensions,
        max_tokens=space.max_tokens,
        pooling=space.pooling,
        languages=(),
        n_parameters=0,
    )


def _embedder(settings: Settings, client: Client) -> HttpEmbedder:
    if settings.model.startswith(REMOTE):
        names = (_named(settings, settings.model) or settings.model.removeprefix(REMOTE),)
        server = Server(client, settings.remote_dialect, names)
        return HttpEmbedder(server, _own_space(settings.model))
    card = Known(settings.cache).card(settings.model)
    server = Server(client, settings.remote_dialect, names_of(settings, card))
    tokenizer = partial(_tokenizer, settings, card)
    cut = Cut(card.full_dimensions, centred=card.centred_cut) if card.full_dimensions else None
    return HttpEmbedder(server, card.space, tokenizer, cut)


def names_of(settings: Settings, card: ModelCard) -> tuple[str, ...]:
    """What a server may call a model, the likeliest first."""
    if named := _named(settings, card.name):
        return (named,)
    found = (card.name, *card.aliases, card.hub_id, card.hub_id.rpartition("/")[2])
    return tuple(dict.fromkeys(name for name in found if name))


def _named(settings: Settings, model: str) -> str:
    """The name that the settings give for a model; empty where they give none."""
    common = ""
    for entry in settings.remote_model:
        name, is_for_one, served = entry.rpartition("=")
        if not is_for_one:
            common = entry
        elif name == model:
            return served
    return common


def _own_space(model: str) -> Space:
    """What is declared of a model that nobody but its server knows; the server tells the rest."""
    return Space(
        model=model,
        revision="",
        pooling="unknown",
        normalized=True,
        query_prompt="",
        document_prompt="",
        max_tokens=0,
        dimensions=0,
    )


def _tokenizer(settings: Settings, card: ModelCard) -> FindTokens | None:
    """The tokenizer of a catalogue model: from its artifacts, else pulled without the weights."""
    from embedwell.runtime.tokenizer import Tokenizer  # noqa: PLC0415 - 10 MB, for long texts

    if not card.files:
        return None
    kept = ArtifactStore(settings.cache)
    for level in QUANTIZATIONS:
        if found := kept.find(card, level):
            return Tokenizer(found.tokenizer_file, card.max_tokens).starts
    if _TOKENIZER not in card.files:
        return None
    alone = replace(card, files={_TOKENIZER: card.files[_TOKENIZER]})
    try:
        source = pull(alone, mirrors(settings.cache, settings.model_files), Watch())
    except ModelError as error:
        _log.warning(
            "Tokens of %s are estimated, and its longest texts are cut by the server: %s",
            card.name,
            error.problem.rstrip(),
        )
        return None
    return Tokenizer(source.paths[_TOKENIZER], card.max_tokens).starts
