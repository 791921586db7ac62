"""Write what independent implementations make of random weights: `make references`.

Needs torch and transformers (`tools/requirements-references.txt`), which the tests do not. Each
network of `tests/models/random_weights.py` is computed in double precision, each text alone; what
is written is small, one file a network, and changes only where the weights or the texts do.
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "models" / "references"
sys.path += [str(ROOT / "tests" / "models"), str(ROOT / "tools")]

from random_weights import (  # noqa: E402
    EMBEDDING_NAMES,
    RERANK_NAMES,
    Network,
    network,
    numbers,
    shallow,
)

import jina_bert  # noqa: E402 - from the folders just named

_POOLINGS = ("mean", "cls", "last")
_OURS = {"architectures", "model_type", "auto_map", "_name_or_path"}
_NOMIC_NAMES = (
    ("encoder.layers", "layers"),
    ("emb_ln", "embeddings.LayerNorm"),
    ("attn.out_proj", "self_attn.o_proj"),
    ("fc11", "up_proj"),
    ("fc12", "gate_proj"),
    ("fc2", "down_proj"),
    ("norm1", "post_attention_layernorm"),
    ("norm2", "post_mlp_layernorm"),
)


def embedding_reference(wanted: Network, poolings: tuple[str, ...]) -> dict[str, Any]:
    """The numbers of every text by pooling."""
    vectors = _token_vectors(wanted)
    pooled = {
        "mean": [x.mean(axis=0) for x in vectors],
        "cls": [x[0] for x in vectors],
        "last": [x[-1] for x in vectors],
    }
    return {pooling: _rounded(numbers(np.stack(pooled[pooling]))) for pooling in poolings}


def rerank_reference(wanted: Network) -> list[float]:
    """The score of every text, before anything is made of it."""
    model = _model(wanted)
    scores = []
    for ids, types in zip(wanted.texts(), wanted.types(), strict=True):
        with torch.no_grad():
            found = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]))
        scores.append(round(float(found.logits[0, 0]), 7))
    return scores


def _token_vectors(wanted: Network) -> list[np.ndarray]:
    texts = wanted.texts()
    if wanted.name.startswith("jina"):
        read = cache(wanted.tensor)
        return [jina_bert.token_vectors(wanted.config, read, ids) for ids in texts]
    model = _model(wanted)
    with torch.no_grad():
        return [model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy() for ids in texts]


def _model(wanted: Network) -> Any:  # noqa: ANN401 - one of many classes
    """The network in `transformers`, with our weights under its names."""
    (name,) = wanted.config["architectures"]
    options = _config(wanted)
    config = transformers.AutoConfig.for_model(wanted.config["model_type"], **options)
    config._attn_implementation = "eager"  # noqa: SLF001 - the one that is written out
    pooler = {} if "Classification" in name or "NomicBert" in name or "Modern" in name else {
        "add_pooling_layer": False
    }  # fmt: skip
    model = getattr(transformers, name)(config, **pooler).double().eval()
    state = {ours: torch.from_numpy(wanted.tensor(ours)).double() for ours in wanted.shapes}
    missing, unexpected = model.load_state_dict(_renamed(wanted, state), strict=False)
    if missing or unexpected:
        raise SystemExit(f"{wanted.name}: {name} lacks {unexpected} and wants {missing}.")
    return model


def _config(wanted: Network) -> dict[str, Any]:
    """The entries that a class of `transformers` understands."""
    fields = {key: value for key, value in wanted.config.items() if key not in _OURS}
    if wanted.architecture != "nomic_bert":
        return fields
    return {
        "vocab_size": fields["vocab_size"],
        "type_vocab_size": fields["type_vocab_size"],
        "hidden_size": fields["n_embd"],
        "intermediate_size": fields["n_inner"],
        "num_hidden_layers": fields["n_layer"],
        "num_attention_heads": fields["n_head"],
        "layer_norm_eps": fields["layer_norm_epsilon"],
        "max_position_embeddings": fields["max_trained_positions"],
        "rope_parameters": {"rope_type": "default", "rope_theta": fields["rotary_emb_base"]},
    }


def _renamed(wanted: Network, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if wanted.architecture != "nomic_bert":
        return state
    renamed = {}
    for name, tensor in state.items():
        for published, theirs in _NOMIC_NAMES:
            name = name.replace(published, theirs)  # noqa: PLW2901 - one after the other
        if "attn.Wqkv" in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("attn.Wqkv", f"self_attn.{part}_proj")] = rows
        else:
            renamed[name] = tensor
    return renamed


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[round(value, 7) for value in row] for row in values.tolist()]


def _write(name: str, reference: dict[str, Any]) -> None:
    """One line a text, so that a change can be seen in a diff."""
    lines = []
    for key, value in reference.items():
        rows = value if isinstance(value, list) else None
        if rows is not None and not isinstance(rows[0], list):
            lines.append(f'"{key}": {json.dumps(rows)}')
            continue
        inner = ",\n".join(f"{json.dumps(row)}" for row in value)
        lines.append(f'"{key}": [\n{inner}\n]')
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{name}: written", flush=True)


def main(names: list[str]) -> None:
    """Write all references, or those that are named."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    for name in [name for name in EMBEDDING_NAMES if name in names or not names]:
        full = network(name)
        _write(name, embedding_reference(full, (str(full.pooling),)))
        _write(f"{name}-shallow", embedding_reference(shallow(name), _POOLINGS))
    for name in [name for name in RERANK_NAMES if name in names or not names]:
        _write(name, {"logits": rerank_reference(shallow(name))})


if __name__ == "__main__":
    main(sys.argv[1:])
