"""What the routes of other programs' dialects share: texts to vectors, all of them or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedwell.core.errors import BadRequestError, BadTextsError
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.core.vectors import FloatArray, normalized, shortened
from embedwell.models.catalogue import ModelCard

if TYPE_CHECKING:
    from embedwell.server.shared.service import Service


@dataclass(frozen=True)
class Asked:
    """What a client asked for, whatever it called it.

    Attributes:
        model: As it named it.
        texts: What to embed.
        kind: `document` or `query`.
        dimensions: Length of the vectors; None for the model's own.
        truncate: Whether a text that is too long loses its end; else it is refused.
    """

    model: str
    texts: list[str]
    kind: Kind
    dimensions: int | None = None
    truncate: bool = True


@dataclass(frozen=True)
class Answered:
    """What came of it.

    Attributes:
        vectors: float32, shape (n, dimensions), each row of length 1 where they were shortened or
            the space says so.
        n_tokens: Tokens that the model read, special ones included.
        n_truncated: How many texts lost their end.
    """

    vectors: FloatArray
    n_tokens: int
    n_truncated: int


def embed(service: Service, asked: Asked, watch: Watch) -> Answered:
    """Embed all texts.

    Raises:
        BadRequestError: A text is too long and may not be cut, or could not be embedded.
        EmbedwellError: As `Runtime.embed` does.
    """
    card = service.runtime.card(asked.model)
    try:
        embedded = service.runtime.embed(asked.model, asked.texts, asked.kind, watch)
    except BadTextsError as error:
        raise _cannot(error) from error
    service.monitor.embedded(embedded)
    if embedded.n_truncated and not asked.truncate:
        raise _too_long(card, asked.texts, np.flatnonzero(embedded.n_tokens > card.max_tokens))
    n_tokens = int(np.minimum(embedded.n_tokens, card.max_tokens).sum())
    return Answered(_cut(card, embedded.vectors, asked.dimensions), n_tokens, embedded.n_truncated)


def check_dimensions(card: ModelCard, dimensions: int) -> None:
    """Whether a model's vectors may be cut to a length.

    Raises:
        BadRequestError: They may not; the message names the lengths that it has.
    """
    allowed = (card.dimensions, *card.matryoshka)
    if dimensions in allowed:
        return
    if card.matryoshka:
        remedy = f"Set `dimensions` to one of {', '.join(map(str, allowed))}, or leave it out."
    else:
        remedy = f"Leave `dimensions` out: {card.name} gives {card.dimensions} and was not trained "
        remedy += "to be cut."
    raise BadRequestError(
        f"{card.name} does not give vectors of {dimensions} `dimensions`.", remedy
    )


def _cut(card: ModelCard, vectors: FloatArray, dimensions: int | None) -> FloatArray:
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    return normalized(shortened(vectors, dimensions, centred=card.centred_cut))


def _cannot(error: BadTextsError) -> BadRequestError:
    """This form of answer has no place for a text that failed among others that did not."""
    reasons = "; ".join(f"input {at}: {why}" for at, why in sorted(error.failures.items())[:10])
    return BadRequestError(
        f"{len(error.failures)} of {len(error.vectors)} texts could not be embedded ({reasons}).",
        "Mend or leave out these inputs and send the others again.",
    )


def _too_long(card: ModelCard, texts: list[str], positions: np.ndarray) -> BadRequestError:
    places = ", ".join(str(at) for at in positions[:10])
    return BadRequestError(
        f"The input length exceeds the context length of {card.max_tokens} tokens of {card.name} "
        f"in {len(positions)} of {len(texts)} inputs (positions {places}).",
        "Send shorter texts, or let them be cut with `truncate: true`.",
    )
