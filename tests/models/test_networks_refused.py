"""Published files that do not fit together, and networks that the builder does not know."""

from __future__ import annotations

import json
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_bert import batch_of, make
from tiny_networks import CONFIGS, MAX_TOKENS, WIDTH, tiny_network

from embedwell.core.errors import ConversionError, EmbedwellError, WrongBytesError
from embedwell.engines.registry import open_engine
from embedwell.models.networks.registry import FAMILIES, architecture_of, read_network

TEXTS = [[3, 4, 5], [6, 7]]


def vectors(source, folder):
    return open_engine(make(source, "q32", folder), 1).run(batch_of(TEXTS))


@pytest.mark.parametrize("name", CONFIGS)
def test_config_json_names_the_family(name):
    assert architecture_of(CONFIGS[name]) == name.partition(" ")[0]


def test_every_family_is_tried_here():
    assert {name.partition(" ")[0] for name in CONFIGS} == set(FAMILIES)


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("bert", {"model_type": "gpt2"}, "gpt2"),
        ("bert", {"hidden_act": "mish"}, "mish"),
        ("bert", {"is_decoder": True}, "is_decoder"),
        ("bert", {"add_cross_attention": True}, "add_cross_attention"),
        ("bert", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("bert", {"num_attention_heads": 5}, "5 attention heads"),
        ("xlm_roberta", {"position_embedding_type": "relative_key_query"}, "relative_key_query"),
        ("mpnet", {"pad_token_id": 0}, "pad_token_id"),
        ("nomic_bert", {"activation_function": "geglu"}, "geglu"),
        ("nomic_bert", {"rotary_emb_interleaved": True}, "rotary_emb_interleaved"),
        ("nomic_bert", {"rotary_emb_fraction": 0.5}, "rotary_emb_fraction"),
        ("nomic_bert", {"prenorm": True}, "prenorm"),
        ("nomic_bert", {"moe_every_n_layers": 2}, "moe_every_n_layers"),
        ("nomic_bert", {"rotary_emb_base": None}, "rotary_emb_base"),
        ("nomic_bert", {"rope_parameters": {"rope_type": "yarn"}}, "yarn"),
        ("jina_bert_v2", {"feed_forward_type": "reglu"}, "reglu"),
        ("modernbert", {"hidden_activation": "relu"}, "relu"),
        ("modernbert", {"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        (
            "modernbert",
            {"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1.0}}},
            "yarn",
        ),
    ],
)
def test_a_network_that_is_not_known_is_refused_by_name(name, changes, named):
    with pytest.raises(ConversionError, match=named) as refused:
        read_network(CONFIGS[name] | changes)
    assert refused.value.remedy


@pytest.mark.parametrize("name", CONFIGS)
def test_a_missing_entry_is_named(name):
    """All that is in these small configurations is needed, but for what has a usual value."""
    usual = {"id2label", "position_embedding_type", "_name_or_path", "feed_forward_type",
             "activation_function", "rotary_emb_base"}  # fmt: skip
    usual |= {"type_vocab_size", "pad_token_id"} if name == "mpnet" else set()
    for entry in CONFIGS[name].keys() - usual:
        fields = {key: value for key, value in CONFIGS[name].items() if key != entry}
        with pytest.raises(WrongBytesError, match=r"config\.json has no entry"):
            read_network(fields)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bert", {"num_attention_heads": 0}),
        ("bert", {"hidden_size": -32}),
        ("nomic_bert", {"n_layer": 10**9}),
        ("nomic_bert", {"n_head": 32}),
        ("modernbert", {"global_attn_every_n_layers": 0}),
        ("modernbert", {"norm_eps": 0}),
    ],
)
def test_senseless_sizes_are_refused(name, changes):
    with pytest.raises((ConversionError, WrongBytesError)):
        read_network(CONFIGS[name] | changes)


@pytest.mark.parametrize("value", ["many", None, []])
def test_an_entry_of_another_type_is_refused(value):
    with pytest.raises(WrongBytesError, match=r"config\.json cannot be read"):
        read_network(CONFIGS["bert"] | {"hidden_size": value})


def test_a_family_without_a_scorer_is_refused_as_one():
    with pytest.raises(ConversionError, match="nomic_bert"):
        read_network(CONFIGS["nomic_bert"], "rerank")


def test_newer_programs_write_other_names():
    old = read_network(CONFIGS["nomic_bert"]).config
    renamed = {"n_embd": "hidden_size", "n_inner": "intermediate_size",
               "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
               "layer_norm_epsilon": "layer_norm_eps",
               "n_positions": "max_position_embeddings"}  # fmt: skip
    fields = {renamed.get(key, key): value for key, value in CONFIGS["nomic_bert"].items()}
    del fields["rotary_emb_base"], fields["activation_function"]
    fields |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1000},
               "hidden_act": "silu"}  # fmt: skip
    assert read_network(fields).config == old
    old = read_network(CONFIGS["modernbert"]).config
    fields = CONFIGS["modernbert"] | {
        "layer_types": ["full_attention", *["sliding_attention"] * 2, "full_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 160000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    }
    for entry in ("global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"):
        del fields[entry]
    assert read_network(fields).config == old


def test_a_scaled_network_takes_no_longer_texts_than_it_was_trained_with():
    scaled = {"rotary_scaling_factor": 2.0, "max_trained_positions": 16}
    assert read_network(CONFIGS["nomic_bert"] | scaled).config.max_tokens == 16
    assert read_network(CONFIGS["nomic_bert"]).config.max_tokens == MAX_TOKENS


@pytest.mark.parametrize("name", CONFIGS)
def test_a_missing_or_misshapen_tensor_is_named(tmp_path, name):
    source = tiny_network(tmp_path / "source", name)
    path = source.paths["model.safetensors"]
    weights = load_file(path)
    for number, (tensor, values) in enumerate(list(weights.items())[-6:]):
        for change in ({}, {tensor: values[:-1]}):
            save_file({key: kept for key, kept in weights.items() if key != tensor} | change, path)
            with pytest.raises(ConversionError, match=tensor.replace(".", r"\.")):
                make(source, "q32", tmp_path / f"{number}-{len(change)}")


def test_texts_longer_than_the_network_takes_are_refused(tmp_path):
    source = tiny_network(tmp_path / "source", "xlm_roberta")
    longer = replace(source, card=replace(source.card, max_tokens=MAX_TOKENS + 1))
    with pytest.raises(ConversionError, match=f"takes {MAX_TOKENS} tokens"):
        make(longer, "q32", tmp_path / "artifact")


def test_files_of_another_family_than_the_catalogue_says_are_refused(tmp_path):
    source = tiny_network(tmp_path / "source", "mpnet")
    other = replace(source, card=replace(source.card, architecture="bert"))
    with pytest.raises(ConversionError, match="'mpnet', expected 'bert'"):
        make(other, "q32", tmp_path / "artifact")


def test_weights_may_lie_in_several_files(tmp_path):
    source = tiny_network(tmp_path / "source", "modernbert")
    whole = vectors(source, tmp_path / "whole")
    path = source.paths["model.safetensors"]
    weights = sorted(load_file(path).items())
    paths = {name: kept for name, kept in source.paths.items() if kept != path}
    for number in range(3):
        name = f"model-0000{number + 1}-of-00003.safetensors"
        paths[name] = path.with_name(name)
        save_file(dict(weights[number::3]), paths[name])
    path.unlink()
    np.testing.assert_array_equal(vectors(replace(source, paths=paths), tmp_path / "shards"), whole)


def test_weights_may_be_bfloat16_and_under_a_prefix(tmp_path):
    source = tiny_network(tmp_path / "source", "nomic_bert")
    path = source.paths["model.safetensors"]
    halved = {name: array.astype(ml_dtypes.bfloat16) for name, array in load_file(path).items()}
    save_file({f"model.{name}": array for name, array in halved.items()}, path)
    found = vectors(source, tmp_path / "bfloat16")
    save_file({name: array.astype(np.float32) for name, array in halved.items()}, path)
    np.testing.assert_array_equal(found, vectors(source, tmp_path / "float32"))


def test_weights_that_were_quantized_already_are_refused(tmp_path):
    source = tiny_network(tmp_path / "source", "bert")
    path = source.paths["model.safetensors"]
    tensors = load_file(path) | {
        "encoder.layer.0.output.dense.weight": np.zeros((WIDTH, 2 * WIDTH), np.int8)
    }
    save_file(tensors, path)
    with pytest.raises(ConversionError, match="type I8"):
        make(source, "q32", tmp_path / "artifact")


def test_two_scores_are_read_from_the_labels_or_are_the_default(tmp_path):
    for labels in ({"id2label": {"0": "no", "1": "yes"}}, {"id2label": None}):
        folder = tmp_path / str(len(labels["id2label"] or {}))
        source = tiny_network(folder, "xlm_roberta", head="rerank", **labels)
        assert vectors(source, folder / "artifact").shape == (2, 2)


def test_whatever_config_json_says_no_other_error_is_raised(tmp_path):
    rng = np.random.default_rng(0)
    odd = [None, -1, 0, 3.5, "x", [], {}, True]
    for name, fields in CONFIGS.items():
        for entry in fields:
            value = odd[rng.integers(len(odd))]
            changed = json.loads(json.dumps(fields | {entry: value}))
            try:
                config = read_network(changed).config
            except EmbedwellError:
                continue
            assert config.width > 0 or name
