"""Every family by name: the one place that lists them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.models.networks import (
    bert,
    jina_bert_v2,
    modernbert,
    mpnet,
    nomic_bert,
    xlm_roberta,
)
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.family import Family, Fields, Network, layout, n_labels

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (bert, mpnet, xlm_roberta, nomic_bert, jina_bert_v2, modernbert)
}
HeadKind = Literal["embedding", "rerank"]
_REMEDY = "Remove the model with `embedwell models remove` and fetch it again."
_Read = TypeVar("_Read")
_MOST_LAYERS = 1000


def read_fields(path: Path) -> Fields:
    """The entries of `config.json`.

    Raises:
        WrongBytesError: It is not a JSON object.
    """
    try:
        fields: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WrongBytesError(f"'{path}' cannot be read as JSON ({error}).", _REMEDY) from error
    if not isinstance(fields, dict):
        raise WrongBytesError(f"'{path}' is not a JSON object.", _REMEDY)
    return fields


def architecture_of(fields: Fields) -> str:
    """Name of the family that `config.json` belongs to.

    Raises:
        WrongBytesError: It does not say what it describes.
        ConversionError: No family here knows it.
    """
    return _checked(lambda: _family(fields).name)


def read_network(fields: Fields, head: HeadKind = "embedding") -> Network:
    """What `config.json` describes.

    Args:
        fields: Its entries.
        head: `rerank` where the network's scoring head is wanted as well.

    Raises:
        WrongBytesError: An entry is missing, or is not what it should be.
        ConversionError: The network is not one that the builder knows.
    """
    return _checked(lambda: _network(fields, head))


def _network(fields: Fields, head: HeadKind) -> Network:
    family = _family(fields)
    for entry in ("num_hidden_layers", "n_layer"):
        if int(fields.get(entry) or 0) > _MOST_LAYERS:
            raise ConversionError(f"{fields[entry]} layers are too many to be meant.", _REMEDY)
    network = family.read(fields)
    config = network.config
    _check_sizes(config)
    if head == "embedding":
        return network
    if not family.heads:
        raise ConversionError(
            f"No network of the family '{family.name}' with a scoring head is known.",
            f"Use one of: {', '.join(name for name, one in FAMILIES.items() if one.heads)}.",
        )
    return Network(
        replace(config, head=family.head(fields, n_labels(fields))),
        {**network.layout, **layout(family.heads)},
    )


def _check_sizes(config: EncoderConfig) -> None:
    sizes = (config.n_words, config.width, config.ffn_width, config.n_heads, config.max_tokens)
    if min(*sizes, config.n_layers + 1, config.norm_epsilon) <= 0:
        raise ConversionError("A size in config.json is not positive.", _REMEDY)
    parts = config.n_heads * (2 if config.rotary_bases else 1)  # rotary positions turn halves
    if config.width % parts:
        raise ConversionError(
            f"{config.n_heads} attention heads do not divide a width of {config.width}.", _REMEDY
        )


def _family(fields: Fields) -> Family:
    for family in FAMILIES.values():
        if family.claims(fields):
            return family
    raise ConversionError(
        f"Networks of the type '{fields['model_type']}' are not known to this builder.",
        f"Use a model of one of the families {', '.join(FAMILIES)}, or let a server run this one.",
    )


def _checked(read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except KeyError as error:
        raise WrongBytesError(f"config.json has no entry {error}.", _REMEDY) from error
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise WrongBytesError(f"config.json cannot be read ({error}).", _REMEDY) from error
