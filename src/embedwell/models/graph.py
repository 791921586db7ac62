"""Writes an ONNX graph, its weights streamed to a file beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

WEIGHTS_FILE = "weights.bin"
FLOAT = 1  # ONNX's number for float32
INT64 = 7  # for int64
BOOL = 9  # and for booleans
CONTRIB = "com.microsoft"  # domain of onnxruntime's own operators

_OPSET = 20
_IR_VERSION = 10
_EXTERNAL_FROM_BYTES = 1024
Branch = Callable[[], str]

# Enough for every vector instruction; engines map the file at page boundaries themselves.
_ALIGNMENT = 64


class GraphWriter:
    """Collects nodes and small constants; big constants go to the weights file at once.

    Args:
        weights: Open binary file for the external data.
    """

    def __init__(self, weights: BinaryIO) -> None:
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._n_nodes = 0  # of all branches, for names that occur once
        self._constants: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[str | int]) -> str:
        """Declare an int64 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        return name

    def output(self, name: str, source: str, shape: Sequence[str | int]) -> None:
        """Declare a float32 output that has the value of `source`."""
        self._nodes.append(helper.make_node("Identity", [source], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def op(self, kind: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node and return the name of its output. An empty input name means absent."""
        output = f"{kind.lower()}_{self._n_nodes}"
        self._n_nodes += 1
        self._nodes.append(
            helper.make_node(kind, inputs, [output], output, domain=domain, **attributes)
        )
        return output

    def either(self, condition: str, then: Branch, otherwise: Branch) -> str:
        """Add a choice made at every run: only the branch that is taken is computed.

        Args:
            condition: A boolean of one element.
            then: Writes what to compute where it is true and returns the name of the value.
            otherwise: The same where it is false.
        """
        branches = {"then_branch": self._branch(then), "else_branch": self._branch(otherwise)}
        return self.op("If", [condition], **branches)

    def _branch(self, write: Branch) -> GraphProto:
        outside, self._nodes = self._nodes, []
        value = write()
        inside, self._nodes = self._nodes, outside
        return helper.make_graph(inside, "branch", [], [ValueInfoProto(name=value)])

    def contrib(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of onnxruntime's own operator set."""
        return self.op(kind, inputs, CONTRIB, **attributes)

    def constant(self, array: npt.NDArray[Any]) -> str:
        """Add a constant; its bytes go to the weights file if there are many."""
        if array.nbytes > _EXTERNAL_FROM_BYTES:
            return self.stream(array.dtype, array.shape, [array])
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def floats(self, *values: float) -> str:
        """A float32 constant: a scalar for one value, else a vector."""
        return self.constant(np.array(values if len(values) > 1 else values[0], np.float32))

    def ints(self, *values: int) -> str:
        """An int64 vector constant, as operators take axes and shapes."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """An int64 constant without dimensions."""
        return self.constant(np.array(value, np.int64))

    def stream(
        self, dtype: npt.DTypeLike, shape: Sequence[int], blocks: Iterable[npt.NDArray[Any]]
    ) -> str:
        """Add a constant that is too big to be in memory at once.

        Args:
            dtype: Element type.
            shape: Of the whole.
            blocks: Consecutive parts along the first axis.
        """
        self._weights.write(bytes(-self._weights.tell() % _ALIGNMENT))
        offset = self._weights.tell()
        for block in blocks:
            self._weights.write(np.ascontiguousarray(block, dtype).data)
        tensor = TensorProto(name=f"constant_{len(self._constants)}", dims=shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        tensor.data_location = TensorProto.EXTERNAL
        place = {
            "location": WEIGHTS_FILE,
            "offset": offset,
            "length": self._weights.tell() - offset,
        }
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._constants.append(tensor)
        return tensor.name

    def to_bytes(self) -> bytes:
        """The finished model, without what lies in the weights file."""
        graph = helper.make_graph(
            self._nodes, "embedding", self._inputs, self._outputs, self._constants
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, 1)]
        model: ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="embedwell"
        )
        return bytes(model.SerializeToString(deterministic=True))
