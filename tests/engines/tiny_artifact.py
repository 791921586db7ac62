"""The smallest artifact there is: it adds up the token ids of each text."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, helper, save

from embedwell.core.artifact import Artifact
from embedwell.core.space import Space


def artifact_of_sums(folder: Path) -> Artifact:
    """Write it into a folder; vectors have one dimension."""
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axes"], ["sums"], keepdims=1),
        helper.make_node("Cast", ["sums"], ["embedding"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    opset = helper.make_opsetid("", 20)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=10), folder / "model.onnx")
    space = Space("sums", "1", "mean", False, "", "", 8, 1)
    return Artifact(space, "q32", "onnx", folder, "key", "", "", 0)
