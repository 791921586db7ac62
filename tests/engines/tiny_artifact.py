"""The smallest artifacts there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, save

from embedwell.core.artifact import Artifact
from embedwell.core.space import Space


def artifact_of_sums(folder: Path) -> Artifact:
    """One that adds up the token ids of each text; vectors have one dimension."""
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axes"], ["sums"], keepdims=1),
        helper.make_node("Cast", ["sums"], ["embedding"], to=TensorProto.FLOAT),
    ]
    return artifact_of(folder, "sums", nodes, {"axes": [1]}, 1)


def random_table(folder: Path) -> Artifact:
    """A table of random rows for 60 tokens."""
    table = np.random.default_rng(0).standard_normal((61, 48)).astype(np.float32)
    np.save(folder / "table.npy", table)
    np.save(folder / "scales.npy", np.ones(61, np.float32))
    space = Space("random", "1", "mean", False, "", "", 8, 48)
    return Artifact(space, "q32", "static", folder, "key", "", "", 0)


def artifact_of(
    folder: Path,
    name: str,
    nodes: Sequence[NodeProto],
    constants: dict[str, list[int]],
    dimensions: int,
) -> Artifact:
    """Write one into a folder: operators from `input_ids`, `attention_mask` to `embedding`."""
    graph = helper.make_graph(
        nodes,
        name,
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", dimensions])],
        [
            helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
            for name, values in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "model.onnx")
    space = Space(name, "1", "mean", False, "", "", 8, dimensions)
    return Artifact(space, "q32", "onnx", folder, "key", "", "", 0)
