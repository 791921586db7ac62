"""MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297).

Beside learned positions, counted from 2, it adds to every score a bias that depends on the
distance of the two tokens: in buckets as in T5, the same ones in every layer.
"""

from __future__ import annotations

from embedwell.models.networks.bert import EMBEDDINGS, FFN, POSITIONS
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.family import Family, Fields, Network, bert_sizes, expect, layout

_FIRST_POSITION = 2  # one more than the number of the padding token, which is 1
_N_BUCKETS = 32

_ATTENTION = {
    "query": "encoder.layer.{n}.attention.attn.q",
    "key": "encoder.layer.{n}.attention.attn.k",
    "value": "encoder.layer.{n}.attention.attn.v",
    "attention_out": "encoder.layer.{n}.attention.attn.o",
    "attention_norm": "encoder.layer.{n}.attention.LayerNorm",
    "relative_bias": "encoder.relative_attention_bias",
}


def read(fields: Fields) -> Network:
    """Read `config.json`."""
    expect(fields, pad_token_id=_FIRST_POSITION - 1)
    n_positions = int(fields["max_position_embeddings"])
    config = EncoderConfig(
        **bert_sizes(fields),
        max_tokens=n_positions - _FIRST_POSITION,
        n_positions=n_positions,
        first_position=_FIRST_POSITION,
        n_buckets=int(fields.get("relative_attention_num_buckets", _N_BUCKETS)),
    )
    return Network(config, layout(EMBEDDINGS | POSITIONS | _ATTENTION | FFN))


FAMILY = Family(
    name="mpnet",
    claims=lambda fields: fields["model_type"] == "mpnet",
    read=read,
    heads={"pooler": "classifier.dense", "classifier": "classifier.out_proj"},
)
