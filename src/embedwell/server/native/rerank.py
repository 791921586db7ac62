"""The route that reranks, in the form that clients of Cohere, Jina and vLLM call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from embedwell.app.embedding.reranker import ranked
from embedwell.core.errors import BadRequestError
from embedwell.core.events import Watch
from embedwell.engines.wire import (
    BINARY,
    RERANK_PATH,
    RerankAnswer,
    RerankDocument,
    RerankRequest,
    RerankResult,
    RerankUsage,
)
from embedwell.models.heads import RERANKER
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

# As many as Cohere takes.
_MOST_DOCUMENTS = 1000


async def rerank(service: Service, request: Request, body: RerankRequest) -> Response:
    """Rank texts; in msgpack where that was sent."""
    texts = [given if isinstance(given, str) else given.text for given in body.documents]
    if not 1 <= len(texts) <= _MOST_DOCUMENTS:
        raise BadRequestError(
            f"`documents` has {len(texts):,} texts.",
            f"Send 1 to {_MOST_DOCUMENTS:,}; more in several requests.",
        )
    model = body.model or RERANKER
    wants_binary = request.headers.get("accept", "") == BINARY

    def work(watch: Watch) -> bytes:
        found = service.runtime.score(model, body.query, texts, watch)
        results = [
            RerankResult(
                index, score, RerankDocument(texts[index]) if body.return_documents else UNSET
            )
            for index, score in ranked(found)[: body.top_n]
        ]
        answer = RerankAnswer(model, results, RerankUsage(found.n_tokens, found.n_truncated))
        return msgspec.msgpack.encode(answer) if wants_binary else msgspec.json.encode(answer)

    found = await service.work(request, work)
    return Response(found, media_type=BINARY if wants_binary else "application/json")


ENDPOINTS = (
    Endpoint(
        "POST",
        RERANK_PATH,
        "Rank texts by how well they answer a query.",
        rerank,
        body=RerankRequest,
        answer=RerankAnswer,
        statuses=((404, "no such model"),),
    ),
)
