"""Notes that are found by meaning: an application written for one method that embeds."""

from __future__ import annotations

import os
from typing import Protocol

from fastapi import FastAPI, HTTPException
from own import HashedWords
from pydantic import BaseModel


class EmbeddingServiceProtocol(Protocol):
    """What the application asks of whatever embeds."""

    async def generate_embedding(self, text: str) -> list[float]:
        """The vector of a text."""
        ...


class Note(BaseModel):
    """A text to be found later."""

    text: str


class ToEmbed(BaseModel):
    """A text, and what it is taken for."""

    text: str
    domain: str = "text"


def application_with(embeddings: EmbeddingServiceProtocol) -> FastAPI:
    """The application, with whatever embeds."""
    application = FastAPI()
    notes: list[tuple[str, list[float]]] = []

    @application.post("/notes")
    async def add(note: Note) -> dict[str, int]:
        notes.append((note.text, await embeddings.generate_embedding(note.text)))
        return {"notes": len(notes)}

    @application.get("/search")
    async def search(q: str) -> list[str]:
        asked = await embeddings.generate_embedding(q)
        scored = [
            (sum(a * b for a, b in zip(asked, vector, strict=True)), text) for text, vector in notes
        ]
        return [text for _, text in sorted(scored, reverse=True)]

    return application


def application_with_embedwell() -> FastAPI:
    """The same with embedwell, and what is new with it: `POST /embed` and `GET /health`."""
    import embedwell

    service = embedwell.DualEmbeddingService()
    application = application_with(embedwell.DualEmbeddingServiceAdapter(service))

    @application.post("/embed")
    async def embed(wanted: ToEmbed) -> dict[str, list[float]]:
        try:
            domain = embedwell.EmbeddingDomain(wanted.domain)
            return await service.generate_embedding(wanted.text, domain)
        except ValueError:
            raise HTTPException(422, "domain is text, code or hybrid") from None
        except embedwell.EmbedwellError as error:
            raise HTTPException(503, str(error)) from None

    @application.get("/health")
    async def health() -> dict[str, object]:
        return service.get_stats()

    return application


def _application() -> FastAPI:
    if os.environ.get("EMBEDDINGS", "own") == "embedwell":
        return application_with_embedwell()
    return application_with(HashedWords())


application = _application()
