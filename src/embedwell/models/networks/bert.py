"""BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), as `transformers` publishes it."""

from __future__ import annotations

from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.family import Family, Fields, Network, bert_sizes, expect, layout

EMBEDDINGS = {
    "words": "embeddings.word_embeddings",
    "types": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
}
ATTENTION = {
    "query": "encoder.layer.{n}.attention.self.query",
    "key": "encoder.layer.{n}.attention.self.key",
    "value": "encoder.layer.{n}.attention.self.value",
    "attention_out": "encoder.layer.{n}.attention.output.dense",
    "attention_norm": "encoder.layer.{n}.attention.output.LayerNorm",
}
FFN = {
    "ffn_up": "encoder.layer.{n}.intermediate.dense",
    "ffn_down": "encoder.layer.{n}.output.dense",
    "ffn_norm": "encoder.layer.{n}.output.LayerNorm",
}
POSITIONS = {"positions": "embeddings.position_embeddings"}
HEADS = {"pooler": "pooler.dense", "classifier": "classifier"}


def read(fields: Fields) -> Network:
    """Read `config.json`."""
    expect(fields, position_embedding_type="absolute", is_decoder=False, add_cross_attention=False)
    n_positions = int(fields["max_position_embeddings"])
    config = EncoderConfig(
        **bert_sizes(fields),
        max_tokens=n_positions,
        n_positions=n_positions,
        n_types=int(fields["type_vocab_size"]),
    )
    return Network(config, layout(EMBEDDINGS | POSITIONS | ATTENTION | FFN))


def _claims(fields: Fields) -> bool:
    return fields["model_type"] == "bert" and fields.get("position_embedding_type") != "alibi"


FAMILY = Family("bert", _claims, read, HEADS)
