"""Write the published weights as GGUF, matrices in Q8_0 or as told, in llama.cpp's environment.

python -m benchmarks.prepare.convert_gguf PUBLISHED_FOLDER MODEL.gguf [F32 | Q8_0 | Q4_0]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

WORD_START = "\u2581"
KEPT_IN_FP32 = ("position_embd", "token_types")


def main(folder: str, target: str, kind: str = "Q8_0") -> None:
    config = json.loads((Path(folder) / "config.json").read_text("utf-8"))
    writer = gguf.GGUFWriter(target, "bert")
    _hyperparameters(writer, config)
    _vocabulary(writer, Path(folder) / "vocab.txt")
    _tensors(writer, Path(folder) / "model.safetensors", config["num_hidden_layers"], kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _hyperparameters(writer: gguf.GGUFWriter, config: dict) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)  # noqa: FBT003 (the package's interface)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _vocabulary(writer: gguf.GGUFWriter, vocab: Path) -> None:
    words = vocab.read_text("utf-8").splitlines()
    special = {word for word in words if word.startswith("[") and word.endswith("]")}
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("bert")
    writer.add_token_list([word if word in special else gguf_token(word) for word in words])
    writer.add_token_types([control if word in special else normal for word in words])
    writer.add_token_type_count(2)
    for name, add in (
        ("[CLS]", writer.add_bos_token_id),
        ("[SEP]", writer.add_sep_token_id),
        ("[UNK]", writer.add_unk_token_id),
        ("[PAD]", writer.add_pad_token_id),
        ("[MASK]", writer.add_mask_token_id),
    ):
        add(words.index(name))


def gguf_token(word: str) -> str:
    """GGUF marks where words start; WordPiece marks where they go on."""
    return word[2:] if word.startswith("##") else WORD_START + word


def _tensors(writer: gguf.GGUFWriter, weights: Path, n_layers: int, kind: str) -> None:
    matrix = gguf.GGMLQuantizationType[kind]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, n_layers)
    for name, tensor in load_file(weights).items():
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None or name.startswith("pooler"):
            continue  # the pooler and the position ids take no part in mean pooling
        values = np.ascontiguousarray(tensor, np.float32)
        if values.ndim == 2 and not mapped.startswith(KEPT_IN_FP32) and kind != "F32":
            writer.add_tensor(mapped, gguf.quants.quantize(values, matrix), raw_dtype=matrix)
        else:
            writer.add_tensor(mapped, values)


if __name__ == "__main__":
    main(*sys.argv[1:])
