"""NomicBERT (Nussbaum et al. 2024, https://arxiv.org/abs/2402.01613): rotary positions and SwiGLU.

`config.json` calls its sizes as GPT-2 does, or, written by newer programs, as BERT does.
"""

from __future__ import annotations

from typing import Any

from embedwell.core.errors import ConversionError
from embedwell.models.networks.bert import EMBEDDINGS
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.family import Family, Fields, Network, expect, fused, layout

_ROOT = "encoder.layers.{n}"
_LAYOUT = layout(
    {
        **EMBEDDINGS,
        "embedding_norm": "emb_ln",
        "attention_out": f"{_ROOT}.attn.out_proj",
        "attention_norm": f"{_ROOT}.norm1",
        "ffn_gate": f"{_ROOT}.mlp.fc12",
        "ffn_up": f"{_ROOT}.mlp.fc11",
        "ffn_down": f"{_ROOT}.mlp.fc2",
        "ffn_norm": f"{_ROOT}.norm2",
    }
) | fused(f"{_ROOT}.attn.Wqkv", "query", "key", "value")

# Our name of each size, GPT-2's name of it, BERT's.
_SIZES = (
    ("width", "n_embd", "hidden_size"),
    ("ffn_width", "n_inner", "intermediate_size"),
    ("n_layers", "n_layer", "num_hidden_layers"),
    ("n_heads", "n_head", "num_attention_heads"),
)


def read(fields: Fields) -> Network:
    """Read `config.json`."""
    expect(
        fields,
        activation_function="swiglu",
        hidden_act="silu",
        prenorm=False,
        parallel_block=False,
        causal=False,
        use_rms_norm=False,
        rotary_emb_fraction=1.0,
        rotary_emb_interleaved=False,
        moe_every_n_layers=0,
    )
    sizes: dict[str, Any] = {ours: int(_either(fields, gpt2, bert)) for ours, gpt2, bert in _SIZES}
    attention_bias = bool(fields.get("qkv_proj_bias", False))
    base, max_tokens = _rotary(fields)
    config = EncoderConfig(
        **sizes,
        n_words=int(fields["vocab_size"]),
        norm_epsilon=float(_either(fields, "layer_norm_epsilon", "layer_norm_eps")),
        max_tokens=max_tokens,
        n_types=int(fields["type_vocab_size"]),
        rotary_bases=(base,) * sizes["n_layers"],
        activation="silu",
        gated=True,
        attention_bias=attention_bias,
        ffn_in_bias=bool(fields.get("mlp_fc1_bias", False)),
        ffn_out_bias=bool(fields.get("mlp_fc2_bias", False)),
    )
    return Network(config, _LAYOUT)


def _rotary(fields: Fields) -> tuple[float, int]:
    """Base of the rotary positions, and how long a text may be with that base."""
    rope = fields.get("rope_parameters") or {}
    expect(rope, rope_type="default")
    base = rope.get("rope_theta") or fields.get("rotary_emb_base")
    if not base:
        raise ConversionError(
            "config.json does not say the base of the rotary positions (rotary_emb_base).",
            "Fetch config.json again, of the same revision as the weights.",
        )
    longest = int(fields.get("n_positions") or fields["max_position_embeddings"])
    # Beyond what it was trained with, a scaled network takes another base for each length.
    if fields.get("rotary_scaling_factor"):
        longest = min(longest, int(fields["max_trained_positions"]))
    return float(base), longest


def _either(fields: Fields, name: str, other: str) -> float | str:
    """The entry of the first name, or else of the other."""
    found: float | str = fields[name] if name in fields else fields[other]
    return found


FAMILY = Family("nomic_bert", lambda fields: fields["model_type"] == "nomic_bert", read)
