"""Every network that llama.cpp's converter writes is read back as the one that was published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf_models import give_tokenizer, tiny_bert
from gguf_writer import write_gguf
from random_weights import shallow

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.models.gguf.card import card_of_gguf
from embedwell.models.gguf.config import published_config
from embedwell.models.gguf.header import read_header
from embedwell.models.gguf.tensors import GgufTensors
from embedwell.models.networks.registry import read_network

NAMES = ("minilm-l6", "xlm-roberta-base", "nomic-bert", "jina-bert-code", "modernbert-base")
XLMR = "xlm-roberta-base"


@contextmanager
def tensors_of(path: Path) -> Iterator[GgufTensors]:
    tensors = GgufTensors(read_header(path))
    try:
        yield tensors
    finally:
        tensors.close()


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


def written(name: str, folder: Path, kind: str = "F32", pooling: str = "mean") -> Path:
    shallow(name).write(folder / "published")
    give_tokenizer(folder / "published")
    return write_gguf(folder / "published", folder / "x.gguf", kind, pooling)


def test_the_fields_describe_the_published_network(name: str, tmp_path: Path):
    path = written(name, tmp_path)
    found = asdict(read_network(published_config(read_header(path))).config)
    published = asdict(read_network(shallow(name).config).config)
    assert found.pop("norm_epsilon") == pytest.approx(published.pop("norm_epsilon"))
    if name == XLMR:  # the rows that no text uses are cut off
        cut = published.pop("first_position")
        assert published.pop("n_positions") == found.pop("n_positions") + cut
        assert found.pop("first_position") == 0
    assert found.pop("max_tokens") <= published.pop("max_tokens")
    assert found == published


def test_the_tensors_are_the_published_ones(name: str, tmp_path: Path):
    network = shallow(name)
    with tensors_of(written(name, tmp_path)) as tensors:
        names = {part for part in network.shapes if not part.startswith("pooler.")}
        assert tensors.names() >= names
        for part in names:
            expected = network.tensor(part)
            if name == XLMR and "position_embeddings" in part:
                expected = expected[2:]
            n_rows = len(expected)
            assert tensors.shape(part) == expected.shape
            assert np.array_equal(tensors.rows(part, 0, n_rows), expected)
            middle = slice(n_rows // 4, n_rows // 2 + 1)
            assert np.array_equal(tensors.rows(part, middle.start, middle.stop), expected[middle])


@pytest.mark.parametrize(
    ("kind", "furthest"),
    [
        ("F32", 0),
        ("F16", 1e-3),
        ("BF16", 8e-3),
        ("Q8_0", 0.005),
        ("Q5_1", 0.04),
        ("Q5_0", 0.07),
        ("Q4_1", 0.08),
        ("Q4_0", 0.15),
    ],
)
def test_types_are_read_to_their_precision(kind: str, furthest: float, tmp_path: Path):
    network = shallow("minilm-l6")
    with tensors_of(written("minilm-l6", tmp_path, kind)) as tensors:
        part = "encoder.layer.0.intermediate.dense.weight"
        expected = network.tensor(part)
        off = np.abs(tensors.rows(part, 0, len(expected)) - expected).max()
        assert off / np.abs(expected).max() <= furthest


def rewritten(path: Path, target: Path, change) -> Path:
    """The same file with other tensors: `change` takes and gives a dict of arrays by name."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, held in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            sub = held.types[-1] if held.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, held.contents(), held.types[0], sub)
    tensors = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    for tensor_name, data in change(tensors).items():
        writer.add_tensor(tensor_name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def test_a_fused_attention_input_is_taken_apart(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf")

    def fuse(tensors):
        for layer in range(2):
            for end in ("weight", "bias"):
                parts = [tensors.pop(f"blk.{layer}.attn_{part}.{end}") for part in "qkv"]
                tensors[f"blk.{layer}.attn_qkv.{end}"] = np.concatenate(parts)
        return tensors

    with tensors_of(path) as apart, tensors_of(rewritten(path, tmp_path / "y.gguf", fuse)) as fused:
        assert fused.names() == apart.names()
        for part in apart.names():
            n_rows = apart.shape(part)[0]
            assert fused.shape(part) == apart.shape(part)
            assert np.array_equal(fused.rows(part, 1, n_rows), apart.rows(part, 1, n_rows))


def test_halves_that_older_files_have_apart_are_put_together(tmp_path: Path):
    path = written("jina-bert-code", tmp_path)

    def part_them(tensors):
        for layer in range(shallow("jina-bert-code").config["num_hidden_layers"]):
            up, gate = np.split(tensors.pop(f"blk.{layer}.ffn_up.weight"), 2)
            tensors |= {f"blk.{layer}.ffn_up.weight": up, f"blk.{layer}.ffn_gate.weight": gate}
        return tensors

    part = "encoder.layer.0.mlp.up_gated_layer.weight"
    with (
        tensors_of(path) as joined,
        tensors_of(rewritten(path, tmp_path / "y.gguf", part_them)) as parted,
    ):
        n_rows = joined.shape(part)[0]
        assert parted.shape(part) == joined.shape(part)
        for rows in ((0, n_rows), (n_rows // 2 - 3, n_rows // 2 + 5), (n_rows - 7, n_rows)):
            assert np.array_equal(parted.rows(part, *rows), joined.rows(part, *rows))


def test_a_table_of_token_types_that_was_left_out_adds_nothing(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf")

    def without(tensors):
        del tensors["token_types.weight"]
        return tensors

    changed = rewritten(path, tmp_path / "y.gguf", without)
    assert published_config(read_header(changed))["type_vocab_size"] == 1
    with tensors_of(changed) as tensors:
        types = "embeddings.token_type_embeddings.weight"
        assert types in tensors.names()
        assert tensors.shape(types) == (1, 64)
        assert not tensors.rows(types, 0, 1).any()


def test_values_that_are_no_numbers_are_refused(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf")

    def spoil(tensors):
        tensors["blk.1.attn_q.weight"][3, 5] = np.inf
        return tensors

    with (
        tensors_of(rewritten(path, tmp_path / "y.gguf", spoil)) as tensors,
        pytest.raises(ConversionError, match="no numbers"),
    ):
        tensors.rows("encoder.layer.1.attention.self.query.weight", 0, 64)


def test_a_file_that_gets_shorter_meanwhile_is_an_error_of_ours(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf")
    header = read_header(path)
    with tensors_of(path) as tensors:
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(WrongBytesError, match="shorter"):
            tensors.rows("encoder.layer.1.attention.self.query.weight", 0, 64)
    path.unlink()
    with pytest.raises(WrongBytesError, match="cannot be read"):
        GgufTensors(header)


def test_a_type_that_nobody_can_read_is_refused(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf")

    def as_integers(tensors):
        return tensors | {"blk.0.attn_q.weight": np.zeros((64, 64), np.int8)}

    with (
        tensors_of(rewritten(path, tmp_path / "y.gguf", as_integers)) as tensors,
        pytest.raises(ConversionError, match="type I8"),
    ):
        tensors.rows("encoder.layer.0.attention.self.query.weight", 0, 64)


def test_a_card_tells_what_the_file_tells(tmp_path: Path):
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_source_repo_url("https://huggingface.co/someone/some-model")
        writer.add_license("mit")
        writer.add_languages(["fr"])

    folder = tiny_bert(tmp_path / "tiny")
    path = write_gguf(folder, tmp_path / "x.gguf", "Q8_0", "cls", change=add)
    card = card_of_gguf(path, "file:x")
    assert (card.name, card.hub_id, card.licence) == ("file:x", "someone/some-model", "mit")
    assert (card.architecture, card.pooling, card.head) == ("bert", "cls", "embedding")
    assert (card.dimensions, card.max_tokens, card.languages) == (64, 512, ("fr",))
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert card.vocabulary == len(vocabulary)


@pytest.mark.parametrize("address", ["", "https://example.org/a/b", "git://huggingface.co/a/b"])
def test_a_card_names_no_repository_that_the_file_does_not_name(address: str, tmp_path: Path):
    folder = tiny_bert(tmp_path / "tiny")
    path = write_gguf(folder, tmp_path / "x.gguf", change=lambda w: w.add_repo_url(address))
    assert card_of_gguf(path, "file:x").hub_id == ""


def test_a_modernbert_without_a_pattern_of_layers_is_refused(tmp_path: Path):
    header = read_header(written("modernbert-base", tmp_path))
    key = "modern-bert.attention.sliding_window_pattern"
    object.__setattr__(header, "fields", {**header.fields, key: 0})
    with pytest.raises(ConversionError, match="whole text"):
        published_config(header)


def test_a_rerankers_head_is_the_published_one(tmp_path: Path):
    network = shallow("xlm-roberta-rerank")
    path = written(network.name.removesuffix("-shallow"), tmp_path, pooling="rank")
    assert card_of_gguf(path, "file:x").head == "rerank"
    head = read_network(published_config(read_header(path)), "rerank").config.head
    assert head == read_network({**network.config, "num_labels": 1}, "rerank").config.head
    with tensors_of(path) as tensors:
        for ours, theirs in (
            ("pooler.dense", "classifier.dense"),
            ("classifier", "classifier.out_proj"),
        ):
            for end in ("weight", "bias"):
                expected = network.tensor(f"{theirs}.{end}")
                found = tensors.rows(f"{ours}.{end}", 0, len(expected))
                assert np.array_equal(found, expected)
