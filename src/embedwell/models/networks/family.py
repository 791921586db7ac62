"""What a family of networks adds to its configuration: how to read it, and where tensors lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from embedwell.core.errors import ConversionError
from embedwell.models.networks.config import Activation, EncoderConfig, Head

Fields = Mapping[str, Any]
"""The entries of `config.json`."""

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
}


@dataclass(frozen=True)
class Part:
    """Where a tensor lies in the published file.

    Attributes:
        name: The published name without `.weight` and `.bias`, `{n}` for the layer's number.
        part: Which of the equal parts along the first axis it is, counted from 0.
        of: How many parts the published tensor has.
    """

    name: str
    part: int = 0
    of: int = 1


Layout = Mapping[str, Part]


@dataclass(frozen=True)
class Network:
    """A published network.

    Attributes:
        config: What it is.
        layout: Where its tensors lie, by our name without the layer's number.
    """

    config: EncoderConfig
    layout: Layout


@dataclass(frozen=True)
class Family:
    """Networks that one reader understands.

    Attributes:
        name: The architecture's name in the catalogue.
        claims: Whether `config.json` describes a network of this family.
        read: Reads it.
        heads: Where the tensors of a scoring head lie; empty where none is known.
        head: What that head is, apart from its number of labels.
    """

    name: str
    claims: Callable[[Fields], bool]
    read: Callable[[Fields], Network]
    heads: Mapping[str, str] = field(default_factory=dict)
    head: Callable[[Fields, int], Head] = lambda _, n_labels: Head(n_labels)


def layout(names: Mapping[str, str]) -> dict[str, Part]:
    """A layout of tensors that are published whole."""
    return {role: Part(name) for role, name in names.items()}


def fused(name: str, *roles: str) -> dict[str, Part]:
    """A layout of tensors that are published as one, in that order."""
    return {role: Part(name, part, len(roles)) for part, role in enumerate(roles)}


def activation(name: str) -> Activation:
    """The activation of that published name.

    Raises:
        ConversionError: It is not known.
    """
    if name not in _ACTIVATIONS:
        raise ConversionError(
            f"The activation '{name}' is not known to this builder.",
            f"Use a model with one of: {', '.join(_ACTIVATIONS)}.",
        )
    return _ACTIVATIONS[name]


def expect(fields: Fields, **known: object) -> None:
    """Refuse a network whose `config.json` has an entry with another value.

    Raises:
        ConversionError: It has.
    """
    for name, value in known.items():
        found = fields.get(name)
        if found is not None and found != value:
            raise ConversionError(
                f"config.json has {name} = {found!r}, and this builder knows only {value!r}.",
                "Use a model of the same family in its usual form, or let a server run this one.",
            )


def bert_sizes(fields: Fields) -> dict[str, Any]:
    """The sizes of a network that calls them as BERT does."""
    return {
        "n_words": int(fields["vocab_size"]),
        "width": int(fields["hidden_size"]),
        "ffn_width": int(fields["intermediate_size"]),
        "n_layers": int(fields["num_hidden_layers"]),
        "n_heads": int(fields["num_attention_heads"]),
        "norm_epsilon": float(fields["layer_norm_eps"]),
        "activation": activation(fields["hidden_act"]),
    }


def n_labels(fields: Fields) -> int:
    """How many scores a head gives; `transformers` takes 2 where nothing is said."""
    labels = fields.get("id2label")
    return len(labels) if labels else int(fields.get("num_labels", 2))
