"""A model that scores pairs, with random weights, small enough to make in a test."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tiny_bert import make, source_of, tiny_source
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from embedwell.core.artifact import Artifact
from embedwell.models.source import SourceFiles

WIDTH = 48


def tiny_reranker_source(folder: Path) -> SourceFiles:
    """Write its files: a BERT of two layers, a pooler, and one score."""
    tiny_source(folder, WIDTH, id2label={"0": "LABEL_0"})
    weights = load_file(folder / "model.safetensors")
    rng = np.random.default_rng(7)
    for name, n_out in (("bert.pooler.dense", WIDTH), ("classifier", 1)):
        values = rng.standard_normal((n_out, WIDTH)) / np.sqrt(WIDTH)
        weights[f"{name}.weight"] = (values * (1 if n_out > 1 else 4)).astype(np.float32)
        weights[f"{name}.bias"] = rng.standard_normal(n_out).astype(np.float32) / 4
    named = {
        name if name.startswith(("bert.", "classifier")) else f"bert.{name}": values
        for name, values in weights.items()
    }
    save_file(named, folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    source = source_of(folder)
    return replace(source, card=replace(source.card, head="rerank", pooling="cls"))


def tiny_reranker(folder: Path) -> Artifact:
    """Its artifact at q32."""
    made = make(tiny_reranker_source(folder / "source"), "q32", folder / "artifact")
    return replace(made, head="rerank")


def logit(source: SourceFiles, ids: list[int], types: list[int]) -> float:
    """The whole network in plain numpy, from its published names."""
    weights = {
        name.removeprefix("bert."): values.astype(np.float64)
        for name, values in load_file(source.paths["model.safetensors"]).items()
    }
    config = json.loads(source.paths["config.json"].read_text())

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        normed = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-12)
        return normed * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    tables = [weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type")]
    positions = weights["embeddings.position_embeddings.weight"]
    x = norm(tables[0][ids] + tables[1][types] + positions[: len(ids)], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        root = f"encoder.layer.{layer}"
        query, key, value = (
            dense(x, f"{root}.attention.self.{part}")
            .reshape(len(ids), config["num_attention_heads"], -1)
            .swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        shares = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[2]))
        shares /= shares.sum(axis=2, keepdims=True)
        mixed = (shares @ value).swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(
            dense(mixed, f"{root}.attention.output.dense") + x, f"{root}.attention.output.LayerNorm"
        )
        inner = dense(x, f"{root}.intermediate.dense")
        erf = np.vectorize(math.erf)(inner / np.sqrt(2))
        outer = dense(inner * 0.5 * (1 + erf), f"{root}.output.dense")
        x = norm(outer + x, f"{root}.output.LayerNorm")
    return float(dense(np.tanh(dense(x[:1], "pooler.dense")), "classifier")[0, 0])
