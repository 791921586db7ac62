"""Are these weights and this tokenizer what the publisher ran? Asked once, after a pull."""

from __future__ import annotations

import numpy as np

from embedwell.core.errors import WrongBytesError
from embedwell.core.vectors import FloatArray, normalized
from embedwell.models import forward
from embedwell.models.forward import Texts
from embedwell.models.opening import open_network, tokenizer_of
from embedwell.models.source import SourceFiles


def check_first_values(source: SourceFiles) -> None:
    """Compare the vector of one text with the values that others published for it.

    The network is computed in plain numpy, apart from the graph builder and the engine.

    Raises:
        WrongBytesError: The values differ by more than the published tolerance.
    """
    published = source.card.first_values
    if published is None:
        return
    found = vector(source, published.text)[: len(published.values)]
    worst = float(np.abs(found - np.array(published.values)).max())
    if not worst <= published.tolerance:
        raise WrongBytesError(
            f"{source.card.name} gives other values than published for '{published.text}': "
            f"they are up to {worst:.4f} apart, expected at most {published.tolerance}.",
            f"Run `embedwell models remove {source.card.name}` and pull it again.",
        )


def vector(source: SourceFiles, text: str) -> FloatArray:
    """The vector of one text as the publisher's float32 network gives it: shape (d,)."""
    tokenizer = tokenizer_of(source)
    texts = Texts.of([tokenizer.encode(text).ids])
    with open_network(source) as (config, tensors):
        pooled = forward.pooled(config, tensors, texts, source.card.pooling)
    found: FloatArray = (normalized(pooled) if source.card.normalized else pooled)[0]
    return found
