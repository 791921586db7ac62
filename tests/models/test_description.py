"""What a model's own files say, in the forms in which they are published."""

import json

import pytest

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.models.description import describe, tells

BERT = {
    "model_type": "bert",
    "hidden_size": 384,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}
ROBERTA = BERT | {
    "model_type": "xlm-roberta",
    "max_position_embeddings": 514,
    "pad_token_id": 1,
}
OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules.pooling."


def module(kind, path="", prefix=OLD):
    return {"type": prefix + kind, "path": path}


MODULES = [
    module("Transformer"),
    module("Pooling", "1_Pooling"),
    module("Normalize", "2_Normalize"),
]


def card(config=BERT, **files):
    content = {"config.json": config} | {
        name.replace("__", "/").replace("_json", ".json"): value for name, value in files.items()
    }
    encoded = {
        name: value if isinstance(value, bytes) else json.dumps(value).encode()
        for name, value in content.items()
    }
    return describe("hf:a/b", encoded, 4_000_000)


def pooled(config, modules=MODULES):
    return card(modules_json=modules, **{"1_Pooling__config_json": config})


def test_a_plain_network_is_averaged_as_long_as_its_positions_reach():
    found = card()
    assert (found.architecture, found.dimensions, found.vocabulary) == ("bert", 384, 30522)
    assert (found.pooling, found.max_tokens, found.normalized) == ("mean", 512, True)
    assert (found.query_prompt, found.document_prompt, found.matryoshka) == ("", "", ())
    assert (found.n_parameters, found.verified, found.head) == (1_000_000, False, "embedding")
    assert card(BERT | {"torch_dtype": "float16"}).n_parameters == 2_000_000


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True, "word_embedding_dimension": 384}, "last"),
        ({"pooling_mode": "cls", "embedding_dimension": 384, "include_prompt": True}, "cls"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
    ],
)
def test_the_pooling_is_that_of_its_module_in_old_and_new_words(config, expected):
    assert pooled(config).pooling == expected
    renamed = [module("Transformer"), module("Pooling", "1_Pooling", NEW)]
    assert pooled(config, renamed).pooling == expected


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        ({"pooling_mode": ["mean", "cls"]}, "mean and cls"),
        ({"pooling_mode": []}, "not named"),
        ({"pooling_mode": "mean", "include_prompt": False}, "prompt"),
    ],
)
def test_a_pooling_that_is_not_known_is_refused(config, said):
    with pytest.raises(ConversionError, match=said):
        pooled(config)


@pytest.mark.parametrize(
    "modules",
    [
        [module("Transformer"), module("Dense", "2_Dense")],
        [module("Transformer", "0_Transformer")],
        [module("LSTM", "1_LSTM")],
        [module("Transformer", prefix="its_own_program.")],
        [module("CLIPModel"), module("LayerNorm", "1_LayerNorm")],
        [module("Transformer"), module("WordWeights", "1_WordWeights")],
    ],
)
def test_a_module_that_is_not_known_is_refused_by_name(modules):
    with pytest.raises(ConversionError, match="that is not known here") as refusal:
        card(modules_json=modules)
    assert "engine = http" in refusal.value.remedy


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("", "")),
        ({"prompts": {}}, ("", "")),
        ({"prompts": {"query": "query: ", "passage": "passage: "}}, ("query: ", "passage: ")),
        ({"prompts": {"query": "q", "document": "d", "passage": "p"}}, ("q", "d")),
        ({"prompts": {"search_query": "sq", "search_document": "sd"}}, ("sq", "sd")),
        ({"prompts": {"query": "q", "document": None}}, ("q", "")),
        ({"prompts": {"sts": "s", "query": "q"}, "default_prompt_name": "sts"}, ("q", "s")),
        ({"prompts": {"sts": "s"}, "default_prompt_name": None}, ("", "")),
        ({"prompts": {"query": "q", "document": ""}, "default_prompt_name": "query"}, ("q", "")),
        ({"prompts": {"query": "", "search_query": "sq"}}, ("sq", "")),
    ],
)
def test_prompts_are_those_for_queries_and_documents(config, expected):
    found = card(config_sentence_transformers_json=config)
    assert (found.query_prompt, found.document_prompt) == expected


@pytest.mark.parametrize(
    ("config", "files", "expected"),
    [
        (BERT, {"sentence_bert_config_json": {"max_seq_length": 256}}, 256),
        (BERT, {"sentence_bert_config_json": {"max_seq_length": None}}, 512),
        (BERT, {"sentence_bert_config_json": {"max_seq_length": 9999}}, 512),
        (BERT, {"tokenizer_config_json": {"model_max_length": 128}}, 128),
        (BERT, {"tokenizer_config_json": {"model_max_length": 1e30}}, 512),
        (ROBERTA, {}, 512),
        (ROBERTA, {"sentence_bert_config_json": {"max_seq_length": 514}}, 512),
        (BERT | {"max_position_embeddings": 1 << 20}, {}, 8192),
        (ROBERTA | {"pad_token_id": 3}, {}, 510),
        (BERT, {"tokenizer_config_json": b'{"model_max_length": Infinity}'}, 512),
    ],
)
def test_the_longest_input_is_the_least_of_what_the_files_say(config, files, expected):
    assert card(config, **files).max_tokens == expected


def test_lengths_that_it_may_be_cut_to_are_listed_longest_first():
    lengths = [32, 128, 384, 512]
    assert card(BERT | {"matryoshka_dimensions": lengths}).matryoshka == (128, 32)
    settings = {"matryoshka_dimensions": [64]}
    assert card(config_sentence_transformers_json=settings).matryoshka == (64,)


def test_licence_and_languages_are_read_from_the_head_of_the_readme():
    readme = b"---\nlicense: mit\nlanguage:\n- fr\n- en\ntags:\n- x\n---\n# Title\nlicense: no\n"
    found = card(**{"README.md": readme})
    assert (found.licence, found.languages) == ("mit", ("fr", "en"))
    found = card(**{"README.md": b"---\nlanguage: [de, en]\nlicense: apache-2.0\n---\n"})
    assert (found.licence, found.languages) == ("apache-2.0", ("de", "en"))
    quoted = b"---\nlanguage:\n- 'no'\n- \"EN\"\n- pt-BR\n- zh_CN\n- fra\n- code\n---\n"
    assert card(**{"README.md": quoted}).languages == ("no", "en", "pt", "zh")
    assert card(**{"README.md": b"# \xff no head"}).languages == ()


def test_texts_that_would_have_to_be_lowered_are_refused():
    lowered = {"do_lower_case": True}
    assert card(sentence_bert_config_json=lowered, tokenizer_config_json=lowered).max_tokens == 512
    with pytest.raises(ConversionError, match="lowered"):
        card(sentence_bert_config_json=lowered)


def test_a_pooling_whose_file_was_left_behind_is_named():
    with pytest.raises(WrongBytesError, match=r"1_Pooling/config\.json, which is not there"):
        card(modules_json=MODULES)
    with_slash = [module("Transformer"), module("Pooling", "1_Pooling/")]
    assert pooled({"pooling_mode": "cls"}, with_slash).pooling == "cls"


def test_what_the_network_cannot_be_is_refused_before_its_weights_are_fetched():
    with pytest.raises(ConversionError, match="activation 'relu'"):
        card(BERT | {"hidden_act": "relu"})
    with pytest.raises(WrongBytesError, match="layer_norm_eps"):
        card({key: value for key, value in BERT.items() if key != "layer_norm_eps"})


def test_one_score_makes_a_reranker_and_several_classes_nothing_of_use():
    one = BERT | {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}
    assert card(one).head == "rerank"
    with pytest.raises(ConversionError, match="3 classes"):
        card(one | {"id2label": {"0": "a", "1": "b", "2": "c"}})
    assert card(one, modules_json=[module("Transformer")]).head == "embedding"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"config_json": b"{"}, WrongBytesError),
        ({"config_json": b"[]"}, WrongBytesError),
        ({"config_json": BERT | {"hidden_size": None}}, WrongBytesError),
        ({"config_json": {"model_type": "t5"}}, ConversionError),
        ({"config_json": BERT, "modules_json": {"a": 1}}, WrongBytesError),
        ({"config_json": BERT, "modules_json": [1]}, WrongBytesError),
        ({"config_json": BERT | {"max_position_embeddings": "many"}}, WrongBytesError),
        ({"config_json": BERT | {"max_position_embeddings": 4}}, ConversionError),
        ({"config_json": BERT | {"matryoshka_dimensions": 64}}, WrongBytesError),
        ({"config_sentence_transformers_json": {"prompts": ["a"]}}, WrongBytesError),
        ({"config_sentence_transformers_json": {"prompts": {"query": ["a"]}}}, WrongBytesError),
    ],
)
def test_files_that_make_no_sense_are_refused(content, error):
    with pytest.raises(error):
        card(**content)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("config.json", True),
        ("modules.json", True),
        ("1_Pooling/config.json", True),
        ("2_Dense/model.safetensors", False),
        ("onnx/config.json", False),
        ("model.safetensors", False),
        ("tokenizer.json", False),
    ],
)
def test_which_files_tell_of_a_model(name, expected):
    assert tells(name) == expected
