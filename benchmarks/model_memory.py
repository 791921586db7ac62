"""Memory and speed of every architecture and size at every level, with random weights.

A network of each is written in the shapes in which it is published, converted, run in a process of
its own with one thread, and removed. Its vectors mean nothing; its memory and its speed are those
of the real thing, and so is its tokenizer's: as many pieces, in the form of its family.
"""

from __future__ import annotations

import itertools
import json
import os
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing

from benchmarks.paths import ROOT, work
from benchmarks.random_bert import random_tokenizer
from embedwell.core.artifact import QUANTIZATIONS, Artifact
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.blobs import sha256_of
from embedwell.models.catalogue import ModelCard, PinnedFile, card, catalogue
from embedwell.models.networks.registry import read_network
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import published_name

# By name of `tests/models/random_weights.py`, and what differs: every size that the catalogue has.
NETWORKS: Mapping[str, tuple[str, dict[str, int]]] = {
    "bert 384 x 3": ("minilm-l6", {"num_hidden_layers": 3}),
    "bert 384 x 6": ("minilm-l6", {}),
    "bert 384 x 12": ("minilm-l12", {}),
    "bert 384 x 12, many words": ("minilm-l12", {"vocab_size": 250037}),
    "mpnet 768 x 12": ("mpnet-base", {}),
    "xlm_roberta 768 x 12": ("xlm-roberta-base", {}),
    "xlm_roberta 1024 x 24": (
        "xlm-roberta-base",
        {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "max_position_embeddings": 8194,
        },
    ),
    "nomic_bert 768 x 12": ("nomic-bert", {}),
    "jina_bert_v2 768 x 12": ("jina-bert-code", {}),
    "modernbert 768 x 22": ("modernbert-base", {}),
}
_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_MANY_WORDS = 100_000


def measure() -> dict[str, Any]:
    """All networks at all levels; `ONLY` names some of them, separated by semicolons."""
    only = [name.strip() for name in os.environ.get("ONLY", "").split(";") if name.strip()]
    rows = []
    for name in only or NETWORKS:
        with tempfile.TemporaryDirectory(dir=work("model_memory", "x").parent) as folder:
            for row in _levels(name, Path(folder)):
                print(row, flush=True)
                rows.append(row)
    return {"rows": rows}


def _levels(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    source = random_source(name, folder / "source")
    for level in reversed(QUANTIZATIONS):
        kept = ArtifactStore(folder / level)
        made = kept.make(source, level, Watch())
        found = _run(made)
        yield {
            "network": name,
            "architecture": source.card.architecture,
            "dimensions": source.card.dimensions,
            "n_parameters": source.card.n_parameters,
            "vocabulary": source.card.vocabulary,
            "quantization": level,
            "disk_mb": round(made.size_bytes / 1e6, 1),
            "models": models_of(source.card),
        } | found
        kept.remove(source.card, level)


def models_of(row: ModelCard) -> list[str]:
    """The catalogue's models of the same network, by architecture and number of parameters."""
    return [
        one.name
        for one in catalogue().values()
        if one.architecture == row.architecture
        and one.dimensions == row.dimensions
        and abs(one.n_parameters - row.n_parameters) < 0.03 * row.n_parameters
    ]


def random_source(name: str, folder: Path) -> SourceFiles:
    """The files of a network with random weights, and a tokenizer with as many pieces."""
    published = _published_networks()
    base, changes = NETWORKS[name]
    network = published.network(base)
    config = network.config | changes
    described = read_network(config)
    shapes = network.shapes
    if changes:
        shapes = {
            published_name(described.layout, tensor): shape
            for tensor, shape in described.config.shapes().items()
        }
    replace(network, name=name, config=config, shapes=shapes).write(folder)
    n_words = int(config["vocab_size"])
    (_many_pieces(n_words) if n_words > _MANY_WORDS else random_tokenizer()).save(
        str(folder / "tokenizer.json")
    )
    paths = {file: folder / file for file in _FILES}
    row = replace(
        card("all-MiniLM-L6-v2"),
        name="random",
        architecture=network.architecture,
        dimensions=described.config.width,
        max_tokens=512,
        n_parameters=sum(prod(shape) for shape in shapes.values()),
        vocabulary=n_words,
        first_values=None,
        files={
            file: PinnedFile(sha256_of(path, Watch()), path.stat().st_size)
            for file, path in paths.items()
        },
    )
    return SourceFiles(row, paths, "local")


def _many_pieces(n_words: int) -> Tokenizer:
    """A unigram tokenizer, as the families of many languages have it."""
    letters = string.ascii_lowercase
    pieces = (
        "".join(one) for length in (1, 2, 3, 4) for one in itertools.product(letters, repeat=length)
    )
    starts_and_parts = itertools.chain.from_iterable((f"▁{piece}", piece) for piece in pieces)
    words = itertools.islice(starts_and_parts, n_words - 5)
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    scored = [*special, *((word, -4.0 - n / 20_000) for n, word in enumerate(words))]
    tokenizer = Tokenizer(Unigram(scored, unk_id=3))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _published_networks() -> Any:
    folder = str(ROOT / "tests" / "models")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import random_weights

    return random_weights


def _run(made: Artifact) -> dict[str, Any]:
    """Load it in a new process, ask for single texts, then for many."""
    command = [sys.executable, "-m", "benchmarks.clients.one_model", str(made.folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])
