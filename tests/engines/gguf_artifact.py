"""Artifacts for llama.cpp, written from published files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from gguf_writer import write_gguf
from tiny_bert import N_WORDS, tiny_source
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace

from embedwell.core.artifact import Artifact


def artifact_of_gguf(artifact: Artifact, published: Path, folder: Path, kind: str) -> Artifact:
    """An artifact as llama.cpp runs it: the published weights in one GGUF type."""
    folder.mkdir(parents=True)
    write_gguf(published, folder / "model.gguf", kind)
    shutil.copy(artifact.tokenizer_file, folder / "tokenizer.json")
    return replace(artifact, engine="llamacpp", folder=folder, key=f"gguf-{kind}")


def random_artifact(folder: Path) -> Artifact:
    """One layer of random weights, 48 wide, for tokens below 60."""
    source = tiny_source(folder / "published", n_layers=1)
    words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "[MASK]": 4}
    words |= {f"w{n}": n for n in range(len(words), N_WORDS)}
    tokenizer = Tokenizer(WordPiece(words, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(words)[:5])
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "published" / "tokenizer.json"))
    tokenizer.save(str(folder / "tokenizer.json"))
    write_gguf(folder / "published", folder / "model.gguf")
    space = replace(source.card.space, model="random")
    return Artifact(space, "q32", "llamacpp", folder, "random", "", "", 0)
