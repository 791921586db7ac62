"""Export the published model as plain fp32 ONNX, in the torch environment.

python -m benchmarks.prepare.export_onnx PUBLISHED_FOLDER MODEL.onnx
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoModel

NAMES = ["input_ids", "attention_mask", "token_type_ids"]


class HiddenStates(torch.nn.Module):
    """The network without its pooler, with its inputs in a fixed order."""

    def __init__(self, folder: str):
        super().__init__()
        self.network = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask, token_type_ids):
        outputs = self.network(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return outputs.last_hidden_state


def main(folder: str, target: str) -> None:
    ids = torch.ones((2, 8), dtype=torch.long)
    axes = {0: "batch", 1: "sequence"}
    torch.onnx.export(
        HiddenStates(folder),
        (ids, ids, torch.zeros_like(ids)),
        target,
        input_names=NAMES,
        output_names=["last_hidden_state"],
        dynamic_axes=dict.fromkeys([*NAMES, "last_hidden_state"], axes),
        opset_version=17,
        dynamo=False,  # the exporter that the published ONNX files come from
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
