"""Two models behind one asynchronous service: text, code, or both for one text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

from msgspec import structs, to_builtins

from embedwell.app.config.configuration import load
from embedwell.app.config.rules import faults_of, refuse
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.connect import Connect, connect
from embedwell.app.embedding.domains import EmbeddingDomain, NamedModel, estimated_mb, ram
from embedwell.app.embedding.pair_settings import with_lengths
from embedwell.app.embedding.shared import shared_states
from embedwell.app.models.choose import AUTO, machine
from embedwell.app.models.obtain import named
from embedwell.core.device import resident_bytes
from embedwell.core.events import Watch
from embedwell.core.space import Kind, check_kind
from embedwell.models.heads import check_head
from embedwell.runtime.lazy import LazyEmbedder

__all__ = ["DualEmbeddingService", "DualEmbeddingServiceAdapter", "EmbeddingDomain"]

TEXT_MODEL, CODE_MODEL = "nomic-embed-text-v1.5", "jina-embeddings-v2-base-code"
"""The default pair: both of 768 dimensions and 8,192 tokens."""

_KEYS = {
    EmbeddingDomain.TEXT: ("text",),
    EmbeddingDomain.CODE: ("code",),
    EmbeddingDomain.HYBRID: ("text", "code"),
}


class DualEmbeddingService:
    """Embeds texts with a model for text, a model for code, or both. Never blocks the event loop.

    Each model is loaded when it is first needed, in the machine's service where that runs, else in
    this process. Models are those that the arguments name, else the settings (`EMBEDDING_MODEL` and
    `CODE_EMBEDDING_MODEL` answer too), else nomic-embed-text-v1.5 and
    jina-embeddings-v2-base-code; `auto` is the first of these here. May be used from several event
    loops.

    Args:
        text_model: Name of the model for text.
        code_model: Name of the model for code.
        connect: Gives the embedder of the model that settings name.

    Raises:
        SettingsError: Settings are wrong, lengths of vectors that do not agree among them.
        UnknownModelError: There is no such model.
        WrongTaskError: A model scores pairs of texts.

    Example:
        >>> service = embedwell.DualEmbeddingService()
        >>> found = await service.generate_embedding("retry", EmbeddingDomain.HYBRID)
        >>> len(found["text"]) == len(found["code"]) == 768
        True
    """

    def __init__(
        self,
        text_model: str | None = None,
        code_model: str | None = None,
        *,
        connect: Connect = connect,
    ) -> None:
        self.settings = _settings(text_model, code_model)
        names = {"text": self.settings.model, "code": self.settings.code_model}
        own = self.settings
        if len({name.partition("@")[0] for name in names.values()}) == 1:
            own = structs.replace(
                own, code_model=""
            )  # no second model that memory could be short of
        self._embedders = {key: _lazy(own, name, connect) for key, name in names.items()}

    async def generate_embedding(
        self,
        text: str,
        domain: EmbeddingDomain | str = EmbeddingDomain.TEXT,
        *,
        kind: Kind = "document",
    ) -> dict[str, list[float]]:
        """Embed a text.

        Args:
            text: What to embed.
            domain: With which model; `HYBRID` with both. Its value, such as `"code"`, does too.
            kind: `document` for what is searched, `query` for what it is searched with.

        Returns:
            A unit vector under `text`, under `code`, or one under each.

        Raises:
            CodeMemoryError: The process is too large for the code model; text goes on.
            EmbedwellError: The model cannot be had, or cannot embed this.
            ValueError: There is no such domain or kind.
        """
        return (await self.generate_embeddings([text], domain, kind=kind))[0]

    async def generate_embeddings(
        self,
        texts: Sequence[str],
        domain: EmbeddingDomain | str = EmbeddingDomain.TEXT,
        *,
        kind: Kind = "document",
    ) -> list[dict[str, list[float]]]:
        """Embed texts of any number; see `generate_embedding`."""
        if isinstance(texts, str):
            raise TypeError(
                "generate_embeddings() takes a list; generate_embedding() takes a text."
            )
        check_kind(kind)
        keys = _KEYS[EmbeddingDomain(domain)]
        found = await asyncio.gather(*(self._embed(key, texts, kind) for key in keys))
        return [dict(zip(keys, rows, strict=True)) for rows in zip(*found, strict=True)]

    async def generate_embedding_legacy(self, text: str) -> list[float]:
        """Embed a text with the text model: the vector alone."""
        return (await self.generate_embedding(text))["text"]

    def get_ram_usage_mb(self) -> dict[str, float]:
        """Memory in MB of 10^6 bytes: of this process, and of the models in it."""
        found = self._ram()
        return {name: found[name] for name in ("process_rss_mb", "estimated_models_mb")}

    def get_stats(self) -> dict[str, Any]:
        """Models and memory, as `GET /v1/monitoring/embeddings` tells them."""
        models = {
            key: NamedModel(embedder.space.model, embedder.is_loaded)
            for key, embedder in self._embedders.items()
        }
        return {"models": to_builtins(models), "ram": self._ram()}

    def close(self) -> None:
        """Let go of both models."""
        for embedder in self._embedders.values():
            embedder.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.close)

    async def _embed(self, key: str, texts: Sequence[str], kind: Kind) -> list[list[float]]:
        watch = Watch()
        try:
            embed = partial(self._embedders[key].embed, list(texts), kind, watch)
            found = await asyncio.to_thread(embed)
        except asyncio.CancelledError:  # nobody waits for it any more
            watch.cancelled.set()
            raise
        rows: list[list[float]] = found.vectors.tolist()
        return rows

    def _ram(self) -> dict[str, Any]:
        budget_bytes, _ = machine(self.settings)
        models_mb = estimated_mb(shared_states())
        told: dict[str, Any] = to_builtins(
            ram(self.settings, resident_bytes(), budget_bytes, models_mb)
        )
        return told


class DualEmbeddingServiceAdapter:
    """For code that was written for one model: `await generate_embedding(text) -> list[float]`.

    Args:
        service: What embeds.
        domain: Which of its models; one of them, not `HYBRID`.

    Raises:
        ValueError: `domain` is `HYBRID`, which gives two vectors.
    """

    def __init__(
        self, service: DualEmbeddingService, domain: EmbeddingDomain | str = EmbeddingDomain.TEXT
    ) -> None:
        self._domain = EmbeddingDomain(domain)
        if self._domain is EmbeddingDomain.HYBRID:
            raise ValueError("HYBRID gives two vectors; the adapter needs TEXT or CODE.")
        self._service = service

    async def generate_embedding(self, text: str) -> list[float]:
        """Embed a text: the vector alone."""
        found = await self._service.generate_embedding(text, self._domain)
        return found[self._domain.value]


def _settings(text_model: str | None, code_model: str | None) -> Settings:
    loaded = load({"model": text_model, "code_model": code_model})
    settings = loaded.settings
    if loaded.origins["model"] == "default" or settings.model == AUTO:
        settings = structs.replace(settings, model=TEXT_MODEL)
    if not settings.code_model:
        settings = structs.replace(settings, code_model=CODE_MODEL)
    refuse(faults_of(settings))
    return with_lengths(settings)


def _lazy(settings: Settings, name: str, connect: Connect) -> LazyEmbedder:
    own = structs.replace(settings, model=name)
    card = named(own, name, Watch())[0]
    check_head(card, "embedding")
    return LazyEmbedder(card.space, lambda: connect(own, Watch()))
