"""Opens a model's published files as a network and its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tokenizers import Tokenizer

from embedwell.core.errors import ConversionError
from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.family import Fields
from embedwell.models.networks.registry import architecture_of, read_fields, read_network
from embedwell.models.published import Published, open_safetensors
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import Tensors
from embedwell.models.tokenizer_file import open_tokenizer

_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"


@contextmanager
def open_network(
    source: SourceFiles, watch: Watch | None = None
) -> Iterator[tuple[EncoderConfig, Tensors]]:
    """The network of a model and its tensors, until the end of the block.

    Args:
        source: The published files, their hashes checked.
        watch: Told of each tensor that was read.

    Raises:
        WrongBytesError: A published file is not what its name says.
        ConversionError: The network is not one that the builder knows.
    """
    card = source.card
    fields, published = _open(source)
    with closing(published):
        network = read_network(fields, card.head)
        _check_family(card, architecture_of(fields))
        yield network.config, Tensors(published, network, watch)


def tokenizer_of(source: SourceFiles) -> Tokenizer:
    """The published tokenizer of a model, or that in its GGUF file.

    Raises:
        WrongBytesError: It cannot be read or does not work.
        ConversionError: It is of a kind that is not known.
    """
    if _TOKENIZER in source.paths:
        return open_tokenizer(source.paths[_TOKENIZER])
    from embedwell.models.gguf.opening import open_gguf_tokenizer  # noqa: PLC0415 - as below

    return open_gguf_tokenizer(source.paths[source.card.weights])


def _open(source: SourceFiles) -> tuple[Fields, Published]:
    """What describes the network, and its published tensors."""
    if not source.card.weights.endswith(".gguf"):
        return read_fields(source.paths[_CONFIG]), open_safetensors(source.paths)
    from embedwell.models.gguf.opening import open_gguf  # noqa: PLC0415 - one of two forms

    return open_gguf(source.paths[source.card.weights])


def _check_family(card: ModelCard, found: str) -> None:
    """Refuse weights of another family than the card's.

    The GGUF file of an XLM-RoBERTa holds a plain BERT: see `models.gguf.config`.
    """
    plain = card.weights.endswith(".gguf") and (found, card.architecture) == ("bert", "xlm_roberta")
    if found != card.architecture and not plain:
        raise ConversionError(
            f"The files of '{card.name}' hold a network of the family '{found}', "
            f"expected '{card.architecture}'.",
            "Give the model files that belong together.",
        )
