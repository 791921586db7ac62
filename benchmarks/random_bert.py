"""A BERT with random weights in the sizes of a published one, converted as published ones are.

Its vectors mean nothing; its memory and its speed are those of the real thing. As a program it
writes one: `python -m benchmarks.random_bert FOLDER --seed 1`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from itertools import chain, islice, product
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from embedwell.core.artifact import Artifact, Quantization
from embedwell.core.events import Watch
from embedwell.models.blobs import sha256_of
from embedwell.models.catalogue import PinnedFile, card
from embedwell.models.convert import convert
from embedwell.models.networks.registry import read_network
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import published_name

N_WORDS = 30522
MAX_TOKENS = 512
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def random_bert(
    folder: Path,
    width: int = 768,
    n_layers: int = 12,
    seed: int = 0,
    quantization: Quantization = "q8",
) -> Artifact:
    """An artifact of a network of random weights, made in `folder` unless it is there already.

    With 768 and 12 it has the 109 million weights of BERT-base (a vocabulary of 30,522, 64 numbers
    a head, a feed-forward part four times as wide). Making it takes some seconds and, for a while,
    a disk's room of four bytes a weight.

    Args:
        folder: Where it lies; made where it is missing.
        width: Length of its vectors, a multiple of 64.
        n_layers: Number of layers.
        seed: Other seeds give other weights, and another name.
        quantization: `q4` to `q32`.
    """
    name = f"random-bert-{width}-{n_layers}-{seed}"
    place = folder / f"{name}@{quantization}"
    if not (place / "model.onnx").is_file():
        with TemporaryDirectory(dir=_made(folder)) as scratch:
            source = _source(Path(scratch), name, width, n_layers, seed)
            written = _made(Path(scratch) / "artifact")
            convert(source, quantization, "onnx", written, Watch())
            random_tokenizer().save(str(written / "tokenizer.json"))
            written.rename(place)
    space = replace(
        card("all-MiniLM-L6-v2").space, model=name, dimensions=width, max_tokens=MAX_TOKENS
    )
    size = sum(file.stat().st_size for file in place.iterdir())
    return Artifact(space, quantization, "onnx", place, f"{name}-{quantization}", "", "", size)


def _source(folder: Path, name: str, width: int, n_layers: int, seed: int) -> SourceFiles:
    names = ("config.json", "tokenizer.json", "model.safetensors")
    paths = {file: folder / file for file in names}
    config = _config(width, n_layers)
    paths["config.json"].write_text(json.dumps(config))
    rng = np.random.default_rng(seed)
    network = read_network(config)
    weights = {
        published_name(network.layout, tensor): _random(rng, tensor, shape)
        for tensor, shape in network.config.shapes().items()
    }
    save_file(weights, paths["model.safetensors"])
    random_tokenizer().save(str(paths["tokenizer.json"]))
    row = replace(
        card("all-MiniLM-L6-v2"),
        name=name,
        dimensions=width,
        max_tokens=MAX_TOKENS,
        files={
            file: PinnedFile(sha256_of(path, Watch()), path.stat().st_size)
            for file, path in paths.items()
        },
    )
    return SourceFiles(row, paths, "local")


def _config(width: int, n_layers: int) -> dict[str, str | float]:
    return {
        "model_type": "bert",
        "hidden_act": "gelu",
        "vocab_size": N_WORDS,
        "max_position_embeddings": MAX_TOKENS,
        "type_vocab_size": 2,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": width // 64,
        "layer_norm_eps": 1e-12,
    }


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]):
    if name.endswith("norm.weight"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    values = rng.standard_normal(shape, np.float32)
    values *= shape[-1] ** -0.5
    return values


def random_tokenizer() -> Tokenizer:
    """Pieces of one to three letters: English words become two or three of them."""
    letters = ascii_lowercase + digits
    pieces = ("".join(piece) for length in (1, 2, 3) for piece in product(letters, repeat=length))
    starts_and_ends = chain.from_iterable((piece, f"##{piece}") for piece in pieces)
    words = islice(chain(_SPECIAL, punctuation, starts_and_ends), N_WORDS)
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--n-layers", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made = random_bert(options.folder, options.width, options.n_layers, options.seed)
    print(made.folder)


if __name__ == "__main__":
    main()
