"""JinaBERT v2 (Günther et al. 2023, https://arxiv.org/abs/2310.19923): ALiBi and a gated MLP.

The network of the code model also normalizes queries and keys, and adds the input of a layer a
second time after attention.
"""

from __future__ import annotations

from dataclasses import replace

from embedwell.models.networks.bert import ATTENTION, EMBEDDINGS, HEADS
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.family import (
    Family,
    Fields,
    Network,
    bert_sizes,
    expect,
    fused,
    layout,
)

_WITH_NORMS = "jina-bert-v2-qk-post-norm"  # where the code of that network is published
_ROOT = "encoder.layer.{n}"

_LAYOUT = layout(
    {
        **EMBEDDINGS,
        **ATTENTION,
        "ffn_down": f"{_ROOT}.mlp.wo",
        "ffn_norm": f"{_ROOT}.mlp.layernorm",
    }
) | fused(f"{_ROOT}.mlp.gated_layers", "ffn_gate", "ffn_up")

_LAYOUT_WITH_NORMS = layout(
    {
        **EMBEDDINGS,
        **ATTENTION,
        "query_norm": f"{_ROOT}.attention.self.layer_norm_q",
        "key_norm": f"{_ROOT}.attention.self.layer_norm_k",
        "attention_norm_2": f"{_ROOT}.layer_norm_1",
        "ffn_down": f"{_ROOT}.mlp.down_layer",
        "ffn_norm": f"{_ROOT}.layer_norm_2",
    }
) | fused(f"{_ROOT}.mlp.up_gated_layer", "ffn_up", "ffn_gate")


def read(fields: Fields) -> Network:
    """Read `config.json`."""
    expect(fields, feed_forward_type="geglu", is_decoder=False, add_cross_attention=False)
    config = EncoderConfig(
        **bert_sizes(fields),
        max_tokens=int(fields["max_position_embeddings"]),
        n_types=int(fields["type_vocab_size"]),
        alibi=True,
        gated=True,
        ffn_in_bias=False,
    )
    published = f"{fields.get('_name_or_path')} {fields.get('auto_map')}"
    if _WITH_NORMS not in published:
        return Network(config, _LAYOUT)
    return Network(replace(config, query_key_norm=True, input_again=True), _LAYOUT_WITH_NORMS)


def _claims(fields: Fields) -> bool:
    return fields["model_type"] == "bert" and fields.get("position_embedding_type") == "alibi"


FAMILY = Family("jina_bert_v2", _claims, read, HEADS)
