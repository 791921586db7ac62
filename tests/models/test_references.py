"""Our networks beside independent ones, on random weights: `make references` wrote the numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_weights import (
    EMBEDDING_NAMES,
    LENGTHS,
    RERANK_NAMES,
    Network,
    network,
    numbers,
    shallow,
)
from tiny_bert import batch_of
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from embedwell.core.artifact import Artifact
from embedwell.core.errors import ConversionError
from embedwell.core.events import Watch
from embedwell.engines.registry import open_engine
from embedwell.models.catalogue import ModelCard, PinnedFile, card
from embedwell.models.convert import convert
from embedwell.models.source import SourceFiles
from embedwell.runtime.embedder import LocalEmbedder

REFERENCES = Path(__file__).parent / "references"
FILES = ("config.json", "tokenizer.json", "model.safetensors")
POOLINGS = ("mean", "cls", "last")
CLOSE = 1e-4
FAR = 1e-3


def built(wanted: Network, folder: Path, **changes: Any) -> Artifact:
    """Our q32 artifact of a network; the published files are gone again afterwards."""
    source = folder / "source"
    wanted.write(source)
    _tokenizer(wanted).save(str(source / "tokenizer.json"))
    paths = {name: source / name for name in FILES}
    row = _card(wanted, **changes)
    place = folder / "artifact"
    place.mkdir()
    try:
        convert(SourceFiles(row, paths, "local"), "q32", "onnx", place, Watch())
    finally:
        paths["model.safetensors"].unlink()
    return Artifact(row.space, "q32", "onnx", place, "key", "", "", 0)


def _card(wanted: Network, **changes: Any) -> ModelCard:
    row = replace(
        card("all-MiniLM-L6-v2"),
        name=wanted.name,
        architecture=wanted.architecture,
        dimensions=wanted.width,
        max_tokens=max(LENGTHS),
        pooling=wanted.pooling,
        normalized=False,
        n_parameters=0,
        first_values=None,
        agreement={},
        files=dict.fromkeys(FILES, PinnedFile("", 0)),
    )
    return replace(row, **changes)


def _tokenizer(wanted: Network) -> Tokenizer:
    """The token id 17 is the word w17; nothing stands before or after a text."""
    words = {f"w{number}": number for number in range(min(wanted.n_words, 1000))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w3"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def found(artifact: Artifact, *batches: Sequence[int], texts: list[list[int]]) -> np.ndarray:
    """The numbers of some texts in the order of the batches in which they are run."""
    engine = open_engine(artifact, 1)
    try:
        vectors = [engine.run(batch_of([texts[text] for text in batch])) for batch in batches]
    finally:
        engine.close()
    return numbers(np.concatenate(vectors))


def reference(wanted: Network, pooling: str) -> np.ndarray:
    """What an independent implementation gives, shape (texts, numbers)."""
    path = REFERENCES / f"{wanted.name}.json"
    return np.array(json.loads(path.read_text("utf-8"))[pooling])


def farthest(left: np.ndarray, right: np.ndarray) -> float:
    """Largest difference of any number."""
    return float(np.abs(left - right).max())


@pytest.mark.parametrize("name", EMBEDDING_NAMES)
def test_a_network_in_its_full_size_is_the_independent_one(tmp_path, name):
    wanted = network(name)
    artifact = built(wanted, tmp_path)
    # Short texts padded together, long ones alone.
    ours = found(artifact, [0, 1, 2, 3], [4], [5], texts=wanted.texts())
    (artifact.folder / "weights.bin").unlink()
    assert farthest(ours, reference(wanted, wanted.pooling)) < CLOSE


@pytest.mark.parametrize("name", EMBEDDING_NAMES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_is_the_independent_one_and_no_other(tmp_path, name, pooling):
    wanted = shallow(name)
    artifact = built(wanted, tmp_path, pooling=pooling)
    # Padded together, so that a pooling which counts padding would show, and a local layer which
    # looks at it.
    ours = found(artifact, [2, 5], [4], [3], texts=wanted.texts())
    order = [2, 5, 4, 3]
    assert farthest(ours, reference(wanted, pooling)[order]) < CLOSE
    for other in set(POOLINGS) - {pooling}:
        differences = np.abs(ours - reference(wanted, other)[order]).max(axis=1)
        assert differences.min() > FAR


@pytest.mark.parametrize("name", RERANK_NAMES)
def test_scores_of_pairs_are_the_independent_ones(tmp_path, name):
    wanted = shallow(name)
    artifact = built(wanted, tmp_path, head="rerank", pooling="cls")
    batch, types = batch_of(wanted.texts()), batch_of(wanted.types())
    engine = open_engine(artifact, 1)
    logits = engine.run(replace(batch, types=types.ids))
    path = REFERENCES / f"{name}.json"
    expected = np.array(json.loads(path.read_text("utf-8"))["logits"])
    assert logits.shape == (len(expected), 1)
    assert farthest(logits[:, 0], expected) < CLOSE
    if wanted.config["type_vocab_size"] > 1:  # the same tokens as if of one text
        alike = engine.run(replace(batch, types=types.ids * 0))
        assert np.abs(alike[:, 0] - expected).min() > FAR
    engine.close()


@dataclass(frozen=True)
class Wrong:
    """A network that somebody understood wrongly.

    Attributes:
        name: Which network.
        what: What is wrong, for the test's name.
        config: Entries that differ.
        architecture: The builder that was taken for it.
        silent: Parts of tensors' names whose values were left out.
    """

    name: str
    what: str
    config: dict[str, Any] = field(default_factory=dict)
    architecture: str = ""
    silent: str = ""


WRONG = [
    Wrong("bert-base", "positions from 2", {"model_type": "xlm-roberta", "pad_token_id": 1},
          "xlm_roberta"),
    Wrong("xlm-roberta-base", "positions from 0", {"model_type": "bert"}, "bert"),
    Wrong("xlm-roberta-base", "positions from 1", {"pad_token_id": 0}),
    Wrong("xlm-roberta-base", "no token type", silent="token_type"),
    Wrong("mpnet-base", "no relative bias", silent="relative_attention_bias"),
    Wrong("mpnet-base", "positions from 1", {"pad_token_id": 0}),
    Wrong("mpnet-base", "no positions", silent="position_embeddings"),
    Wrong("nomic-bert", "the usual rotary base", {"rotary_emb_base": 10_000}),
    Wrong("nomic-bert", "interleaved rotary", {"rotary_emb_interleaved": True}),
    Wrong("nomic-bert", "half rotary", {"rotary_emb_fraction": 0.5}),
    Wrong("nomic-bert", "a plain gate", {"activation_function": "geglu"}),
    Wrong("jina-bert-code", "no linear biases", {"position_embedding_type": "absolute"}),
    Wrong("jina-bert-code", "the variant for prose",
          {"_name_or_path": "jinaai/jina-bert-implementation", "auto_map": {}}),
    Wrong("modernbert-base", "all layers global", {"global_attn_every_n_layers": 1}),
    Wrong("modernbert-base", "every second layer local", {"global_attn_every_n_layers": 2}),
    Wrong("modernbert-base", "half the window", {"local_attention": 64}),
    Wrong("modernbert-base", "one rotary base", {"global_rope_theta": 10_000.0}),
    Wrong("modernbert-base", "the local base of the global layers",
          {"local_rope_theta": 160_000.0}),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.name}: {wrong.what}")
def test_a_wrong_scheme_fails_the_reference_or_is_refused(tmp_path, wrong):
    right = shallow(wrong.name)
    misread = replace(right, config=right.config | wrong.config, silent=wrong.silent)
    try:
        artifact = built(
            misread, tmp_path, architecture=wrong.architecture or right.architecture, pooling="mean"
        )
    except ConversionError:
        return  # a network that is not known is not guessed at
    ours = found(artifact, [4], texts=right.texts())
    assert farthest(ours, reference(right, "mean")[[4]]) > FAR


@pytest.mark.parametrize("what", ["no biases", "one sequence of slopes", "biases to the left"])
def test_wrong_linear_biases_are_far_from_the_reference(monkeypatch, what):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    import jina_bert

    wanted = shallow("jina-bert-code")
    right, ids = jina_bert.linear_biases, wanted.texts()[3]

    def vector():
        tokens = jina_bert.token_vectors(wanted.config, cache(wanted.tensor), ids)
        return numbers(tokens.mean(axis=0)[None])

    expected = reference(wanted, "mean")[[3]]
    assert farthest(vector(), expected) < CLOSE

    def wrong(n_heads, length):
        biases = right(n_heads, length)
        if what == "no biases":
            return biases * 0
        if what == "biases to the left":
            return np.tril(biases)
        own = 2.0 ** (-8 * np.arange(1, n_heads + 1) / n_heads)
        return biases * (own / np.array(jina_bert.slopes(n_heads)))[:, None, None]

    monkeypatch.setattr(jina_bert, "linear_biases", wrong)
    assert farthest(vector(), expected) > FAR


def test_a_wrong_or_forgotten_prompt_fails_the_reference(tmp_path):
    wanted = shallow("minilm-l6")
    ids = wanted.texts()[2]
    words = [f"w{number}" for number in ids]
    prompt, text = " ".join(words[:2]) + " ", " ".join(words[2:])
    artifact = built(wanted, tmp_path, query_prompt=prompt, document_prompt="w11 w12 ")
    embedder = LocalEmbedder(artifact, open_engine(artifact, 1))
    expected = reference(wanted, "mean")[[2]]
    as_query = embedder.embed([text], "query", Watch()).vectors
    as_document = embedder.embed([text], "document", Watch()).vectors
    no_prompt = replace(artifact, space=replace(artifact.space, query_prompt=""))
    forgotten = LocalEmbedder(no_prompt, open_engine(artifact, 1)).embed([text], "query", Watch())
    assert farthest(numbers(as_query), expected) < CLOSE
    assert farthest(numbers(as_document), expected) > FAR
    assert farthest(numbers(forgotten.vectors), expected) > FAR
