"""ModernBERT (Warner et al. 2024, https://arxiv.org/abs/2412.13663).

Rotary positions, GEGLU, layers normalized at their input; most layers look only at the tokens
nearby, with another base of the rotary positions.
"""

from __future__ import annotations

from typing import Any

from embedwell.models.networks.config import EncoderConfig, Head
from embedwell.models.networks.family import (
    Family,
    Fields,
    Network,
    activation,
    expect,
    fused,
    layout,
)

_LAYOUT = (
    layout(
        {
            "words": "embeddings.tok_embeddings",
            "embedding_norm": "embeddings.norm",
            "attention_norm": "layers.{n}.attn_norm",
            "attention_out": "layers.{n}.attn.Wo",
            "ffn_norm": "layers.{n}.mlp_norm",
            "ffn_down": "layers.{n}.mlp.Wo",
            "final_norm": "final_norm",
        }
    )
    | fused("layers.{n}.attn.Wqkv", "query", "key", "value")
    | fused("layers.{n}.mlp.Wi", "ffn_gate", "ffn_up")
)
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"


def read(fields: Fields) -> Network:
    """Read `config.json`."""
    expect(fields, position_embedding_type="absolute")  # an unused leftover of BERT's
    kinds = _kinds(fields)
    bases = {kind: _base(fields, kind) for kind in set(kinds)}
    looks = int(fields["local_attention"]) // 2
    mlp_bias = bool(fields.get("mlp_bias", False))
    config = EncoderConfig(
        n_words=int(fields["vocab_size"]),
        width=int(fields["hidden_size"]),
        ffn_width=int(fields["intermediate_size"]),
        n_layers=len(kinds),
        n_heads=int(fields["num_attention_heads"]),
        norm_epsilon=float(fields["norm_eps"]),
        max_tokens=int(fields["max_position_embeddings"]),
        rotary_bases=tuple(bases[kind] for kind in kinds),
        windows=tuple(looks if kind == _LOCAL else 0 for kind in kinds),
        activation=activation(fields["hidden_activation"]),
        gated=True,
        prenorm=True,
        norm_bias=bool(fields.get("norm_bias", False)),
        attention_bias=bool(fields.get("attention_bias", False)),
        ffn_in_bias=mlp_bias,
        ffn_out_bias=mlp_bias,
    )
    return Network(config, _LAYOUT)


def _kinds(fields: Fields) -> list[str]:
    """What each layer is: every so many look at the whole text, beginning with the first."""
    if fields.get("layer_types"):
        return list(fields["layer_types"])
    every = int(fields["global_attn_every_n_layers"])
    return [_LOCAL if n % every else _GLOBAL for n in range(int(fields["num_hidden_layers"]))]


def _base(fields: Fields, kind: str) -> float:
    """Base of the rotary positions of one kind of layers."""
    expect(fields, rope_scaling=())
    rope: dict[str, Any] = (fields.get("rope_parameters") or {}).get(kind) or {}
    expect(rope, rope_type="default")
    old = "local_rope_theta" if kind == _LOCAL else "global_rope_theta"
    return float(rope["rope_theta"] if rope else fields[old])


def _head(fields: Fields, n_labels: int) -> Head:
    return Head(
        n_labels,
        activation=activation(fields.get("classifier_activation", "gelu")),
        bias=bool(fields.get("classifier_bias", False)),
        norm=True,
        mean=fields.get("classifier_pooling", "cls") == "mean",
    )


FAMILY = Family(
    name="modernbert",
    claims=lambda fields: fields["model_type"] == "modernbert",
    read=read,
    heads={"pooler": "head.dense", "pooler_norm": "head.norm", "classifier": "classifier"},
    head=_head,
)
