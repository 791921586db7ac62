"""A BERT with random weights, small enough to make in a test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from embedwell.core.artifact import Artifact, Quantization
from embedwell.core.events import Watch
from embedwell.engines.protocol import TokenBatch
from embedwell.models.catalogue import PinnedFile, card
from embedwell.models.convert import convert
from embedwell.models.networks.registry import read_network
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import published_name

N_WORDS = 60
MAX_TOKENS = 32


def tiny_source(folder: Path, width: int = 48, n_layers: int = 2, **changes) -> SourceFiles:
    """Write a model's files; `changes` go into config.json after the weights were made."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "vocab_size": N_WORDS,
        "max_position_embeddings": MAX_TOKENS,
        "type_vocab_size": 2,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 4,
        "layer_norm_eps": 1e-12,
    }
    place = folder / "config.json"
    place.write_text(json.dumps(config))
    rng = np.random.default_rng(width)
    network = read_network(config)
    weights = {
        published_name(network.layout, name): _random(rng, name, shape)
        for name, shape in network.config.shapes().items()
    }
    save_file(weights, folder / "model.safetensors")
    place.write_text(json.dumps(config | changes))
    tokenizer().save(str(folder / "tokenizer.json"))
    return source_of(folder)


def source_of(folder: Path) -> SourceFiles:
    """The files of a folder as a source, whatever they are now."""
    names = ("config.json", "tokenizer.json", "model.safetensors")
    paths = {name: folder / name for name in names}
    config = json.loads(paths["config.json"].read_text())
    row = replace(
        card("all-MiniLM-L6-v2"),
        name="tiny",
        dimensions=config.get("hidden_size", 0),
        max_tokens=MAX_TOKENS,
        files={
            name: PinnedFile(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
            for name, path in paths.items()
        },
    )
    return SourceFiles(row, paths, "local")


def make(source: SourceFiles, quantization: Quantization, folder: Path) -> Artifact:
    """Convert into a new folder."""
    folder.mkdir(parents=True)
    convert(source, quantization, "onnx", folder, Watch())
    return Artifact(source.card.space, quantization, "onnx", folder, "key", "", "", 0)


def random_texts(seed: int, n_texts: int) -> list[list[int]]:
    """Token ids of texts of 1 to 20 tokens."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, N_WORDS, rng.integers(1, 20)).tolist() for _ in range(n_texts)]


def batch_of(texts: list[list[int]]) -> TokenBatch:
    """Pad on the right."""
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return TokenBatch(ids, mask)


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]):
    if name.endswith("norm.weight"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def tokenizer() -> Tokenizer:
    """The token id 17 is the word w17."""
    words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2} | {f"w{n}": n for n in range(3, N_WORDS)}
    made = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return made
