"""Embed a group of texts, however the engine feels, so that one bad text spoils no other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, CodeMemoryError, EngineError
from embedwell.core.events import Watch
from embedwell.jobs.work.patience import Patience
from embedwell.jobs.work.retries import ENGINE_AWAY
from embedwell.jobs.work.share import Share
from embedwell.runtime.protocol import TextEmbedder

_HARMLESS = "Does the engine still work?"
_ATTEMPTS = 4


@dataclass(frozen=True)
class Embedding:
    """What the engine gave for a group.

    Attributes:
        found: Its vectors, not yet admitted; NaN where a text failed.
        failures: Why texts failed, by their place.
        took_s: Seconds.
    """

    found: Embedded
    failures: Mapping[int, str]
    took_s: float


def embed_texts(
    texts: Sequence[str], embedder: TextEmbedder, watch: Watch, patience: Patience
) -> Embedding:
    """Embed texts as documents.

    What is away, busy or short of memory is waited for. Where the engine fails on a group, the
    group is halved until the texts that it fails on are alone.

    Raises:
        EngineError: It fails on everything, or what computes keeps changing.
        ServiceError: The service was away for longer than patience lasts.
        PressureError: Memory was full for longer than that.
        TaskCancelledError: `watch` was asked to stop.
    """
    began = time.perf_counter()
    for _ in range(_ATTEMPTS):
        parts = _embedded(texts, embedder, watch, patience)
        if len({found.build.key for found, _ in parts}) == 1:
            found, failures = _joined(parts)
            return Embedding(found, failures, time.perf_counter() - began)
    raise EngineError(
        f"What embeds changed {_ATTEMPTS} times in a row.",
        "Try again once the service stays up, or set `service` to `off`.",
    )


def embed_share(share: Share, watch: Watch, patience: Patience) -> Embedding | CodeMemoryError:
    """Embed what is new of a share, in whichever thread; nothing is admitted yet.

    Returns:
        The vectors; or why the code model cannot be loaded: text goes on without.

    Raises:
        EmbedwellError: As `embed_texts` does.
    """
    texts = list(share.new.values())
    try:
        return embed_texts(texts, share.lane.embedder.unproven, watch, patience)
    except CodeMemoryError as error:
        return error


def accept_share(
    share: Share, embedding: Embedding | CodeMemoryError, watch: Watch, patience: Patience
) -> None:
    """Have a share's vectors admitted; where what computes changed, embed its texts again.

    Raises:
        DriftError: What computes is not fit for the store.
        EmbedwellError: As `embed_texts` does.
    """
    while isinstance(embedding, Embedding):
        accept = partial(share.lane.embedder.accept, embedding.found, watch)
        if accepted := patience.with_store(accept):
            share.embedded(accepted, embedding.failures, embedding.took_s)
            return
        embedding = embed_share(share, watch, patience)
    share.failed(embedding.problem)


_Part = tuple[Embedded, Mapping[int, str]]


def _embedded(
    texts: Sequence[str], embedder: TextEmbedder, watch: Watch, patience: Patience
) -> list[_Part]:
    try:
        found = patience.with_engine(lambda: embedder.embed(texts, "document", watch))
    except BadTextsError as error:
        return [(error.embedded, error.failures)]
    except ENGINE_AWAY:
        raise
    except EngineError as error:
        # An engine that fails on this too is broken: no text is to blame.
        alone = patience.with_engine(lambda: embedder.embed([_HARMLESS], "document", watch))
        if len(texts) == 1:
            return [(_nothing(alone), {0: error.problem})]
        half = len(texts) // 2
        halves = (texts[:half], texts[half:])
        return [part for some in halves for part in _embedded(some, embedder, watch, patience)]
    return [(found, {})]


def _nothing(of_one: Embedded) -> Embedded:
    """The row of a text that failed."""
    return replace(of_one, vectors=np.full_like(of_one.vectors, np.nan), n_truncated=0)


def _joined(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    failures, at = {}, 0
    for found, failed in parts:
        failures.update({at + place: reason for place, reason in failed.items()})
        at += len(found.vectors)
    joined = Embedded(
        np.concatenate([found.vectors for found, _ in parts]),
        np.concatenate([found.n_tokens for found, _ in parts]),
        sum(found.n_truncated for found, _ in parts),
        parts[0][0].build,
    )
    return joined, failures
