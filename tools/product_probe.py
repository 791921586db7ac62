"""Write the tiny graph that `engines/sessions.py` asks whether 8-bit products are exact here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PLACE = Path(__file__).resolve().parent.parent / "src/embedwell/engines/product_probe.onnx"
# As wide as a small model's layer, so that the same kernel runs.
WIDTH = 64


def probe() -> bytes:
    """u8 rows times a matrix of s8 that are all 127, by the operator that q8 artifacts use."""
    weights = numpy_helper.from_array(np.full((WIDTH, WIDTH), 127, np.int8), "weights")
    one = numpy_helper.from_array(np.float32(1), "one")
    scales = numpy_helper.from_array(np.ones(WIDTH, np.float32), "scales")
    node = helper.make_node(
        "MatMulIntegerToFloat",
        ["rows", "weights", "one", "scales"],
        ["products"],
        domain="com.microsoft",
    )
    rows = helper.make_tensor_value_info("rows", TensorProto.UINT8, ["n", WIDTH])
    products = helper.make_tensor_value_info("products", TensorProto.FLOAT, ["n", WIDTH])
    graph = helper.make_graph([node], "probe", [rows], [products], [weights, one, scales])
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10, producer_name="")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


if __name__ == "__main__":
    PLACE.write_bytes(probe())
    print(f"{PLACE.name}: {PLACE.stat().st_size} bytes")
    sys.exit(0)
