"""Opens a GGUF file as what is published beside safetensors: `config.json` and tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from embedwell.models.gguf.config import published_config
from embedwell.models.gguf.header import read_header
from embedwell.models.gguf.tensors import GgufTensors
from embedwell.models.gguf.tokenizer import tokenizer_json


def open_gguf(path: Path) -> tuple[dict[str, Any], GgufTensors]:
    """The fields of `config.json`, and the tensors, which the caller closes.

    Raises:
        WrongBytesError: It is not a sound GGUF file.
        ConversionError: It is no text encoder of a known architecture.
    """
    header = read_header(path)
    return published_config(header), GgufTensors(header)


def open_gguf_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in the file; raises as `tokenizer_json` does."""
    return Tokenizer.from_str(tokenizer_json(read_header(path)))
