"""What a GGUF file says of its model, as a card."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

from embedwell.models.catalogue import ModelCard
from embedwell.models.description import languages_of
from embedwell.models.gguf.config import (
    check_known,
    head_of,
    n_positions,
    pooling_of,
    published_config,
)
from embedwell.models.gguf.header import GgufHeader, read_header
from embedwell.models.networks.registry import architecture_of

# Only what says where the file itself was made from: a base model is another model.
_ADDRESSES = ("general.source.repo_url", "general.repo_url", "general.source.url", "general.url")
_REPOSITORY = re.compile(r"https?://(?:www\.)?huggingface\.co/([\w.-]+/[\w.-]+?)(?:\.git)?/?")


def card_of_gguf(path: Path, name: str) -> ModelCard:
    """Describe the model in a GGUF file.

    It has no files and no revision yet; `hub_id` is empty where the file names no repository. A
    GGUF file holds no prompts: the card has none.

    Args:
        path: The file.
        name: What the model will be called.

    Raises:
        WrongBytesError: It is not a sound GGUF file.
        ConversionError: It is no text encoder of a known architecture, or its pooling is missing.
    """
    header = read_header(path)
    check_known(header)
    return ModelCard(
        name=name,
        hub_id=_repository(header),
        revision="",
        licence=header.text("general.license", ""),
        summary=header.text("general.description", ""),
        architecture=architecture_of(published_config(header)),
        dimensions=header.count(f"{header.architecture}.embedding_length"),
        max_tokens=n_positions(header),
        pooling=pooling_of(header),
        languages=languages_of(header.texts("general.languages", [])),
        n_parameters=sum(prod(place.shape) for place in header.tensors.values()),
        head=head_of(header),
        vocabulary=header.tensors["token_embd.weight"].shape[0],
    )


def _repository(header: GgufHeader) -> str:
    for key in _ADDRESSES:
        found = _REPOSITORY.fullmatch(header.text(key, ""))
        if found:
            return found.group(1)
    return ""
