"""The OpenVINO engine: the same artifacts, computed by code of other authors.

At q32 its vectors agree with onnxruntime's to rounding, and it is slower; at q16 it computes in
bfloat16 where the processor can, and was faster than any other there (docs/engines.md). It takes
more memory.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.device import return_freed_memory
from embedwell.core.errors import MissingExtraError
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.engines.faults import does_not_load, does_not_run, is_closed
from embedwell.engines.native import native_build
from embedwell.engines.protocol import Engine, EngineBuild, TokenBatch

try:
    import openvino
    from openvino import _pyopenvino, opset13
    from openvino.frontend import NodeContext
    from openvino.frontend.onnx import ConversionExtension
except ImportError as error:
    raise MissingExtraError("The engine 'openvino'", "openvino") from error

MODEL_FILE = "model.onnx"
_SETTINGS = {
    "NUM_STREAMS": 1,
    "ENABLE_HYPER_THREADING": True,  # threads are counted as the system counts processors
    "ENABLE_CPU_PINNING": False,  # processes that all pin the first core share it
}
# Lengths are rounded up to a multiple of the second number, up to the first.
_STEPS = ((32, 8), (64, 16), (128, 32))


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact.

    Args:
        artifact: Made by `models.convert`, q16 or q32.
        n_threads: Threads that one run may use.

    Raises:
        EngineError: The artifact cannot be loaded.
    """
    return OpenVinoEngine(artifact, n_threads)


class OpenVinoEngine:
    """A loaded artifact; see `engines.protocol.Engine`."""

    def __init__(self, artifact: Artifact, n_threads: int) -> None:
        self._name = artifact.name
        self._max_tokens = artifact.space.max_tokens
        self._precision = _precision(artifact)
        self._lock = threading.Lock()
        try:
            settings = _SETTINGS | {
                "INFERENCE_NUM_THREADS": n_threads,
                "INFERENCE_PRECISION_HINT": self._precision,
            }
            model = _read(artifact.folder / MODEL_FILE)
            compiled = openvino.Core().compile_model(model, "CPU", settings)
            self._request: openvino.InferRequest | None = compiled.create_infer_request()
        except Exception as error:  # it raises RuntimeError for whatever happens
            raise does_not_load(artifact, error) from error

    @property
    def build(self) -> EngineBuild:
        """See `Engine.build`."""
        build = engine_build()
        return replace(build, native=f"{build.native} {self._precision}")

    def run(self, batch: TokenBatch) -> FloatArray:
        """See `Engine.run`."""
        inputs = _rounded_up(batch, self._max_tokens)
        with self._lock:
            if self._request is None:
                raise is_closed(self._name)
            try:
                return np.array(self._request.infer(inputs)["embedding"], dtype=np.float32)
            except Exception as error:  # as above
                raise does_not_run(self._name, batch, error) from error

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            self._request = None
        return_freed_memory()


def _precision(artifact: Artifact) -> str:
    """In what q16 is computed: bfloat16 where the processor multiplies in it, else float32.

    The drift is 0.00004 and 0.00009 at worst, and it is 4 times as fast (docs/engines.md).
    """
    return "bf16" if artifact.quantization == "q16" and _multiplies_bf16() else "f32"


@cache
def _multiplies_bf16() -> bool:
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def engine_build() -> EngineBuild:
    """The code that is installed."""
    return EngineBuild("openvino", openvino.__version__, native_build(_library()))


def _library() -> Path:
    """What computes: the plugin for processors of this kind."""
    folder = Path(openvino.__file__).parent / "libs"
    return min(folder.glob("*cpu_plugin*"), default=Path(_pyopenvino.__file__))


def _rounded_up(batch: TokenBatch, max_tokens: int) -> dict[str, IntArray]:
    """Inputs with some more padding, up to what the model takes: there are few lengths then.

    Code is made for every new shape, and kept: 1,200 random shapes took 40 s and 500 MB.
    """
    length = batch.ids.shape[1]
    step = next((step for most, step in _STEPS if length <= most), 64)
    more = min(-length % step, max(0, max_tokens - length))
    padding = ((0, 0), (0, more))
    return {"input_ids": np.pad(batch.ids, padding), "attention_mask": np.pad(batch.mask, padding)}


def _read(file: Path) -> openvino.Model:
    core = openvino.Core()
    core.add_extension(ConversionExtension("FusedMatMul", "com.microsoft", _fused_matmul))
    core.add_extension(ConversionExtension("RotaryEmbedding", "com.microsoft", _rotary_embedding))
    read = core.read_model(str(file))
    _inline_branches(read)
    # What was read holds the extension, which is Python: let go of in a thread of OpenVINO's while
    # the interpreter ends, it would abort the process. The same graph without it:
    return openvino.Model(read.get_results(), read.get_parameters())


def _fused_matmul(node: NodeContext) -> list[openvino.Output]:
    """The operator FusedMatMul in plain ones: OpenVINO's own translation ignores `transBatch`.

    In operators.md of onnxruntime: `transBatch` takes the first dimension behind the batch ones,
    `trans` swaps the last two, then it is a product times `alpha`.
    """
    a, b = (_first_behind_batch(node, at) for at in (0, 1))
    product = opset13.matmul(
        a, b, bool(node.get_attribute("transA", 0)), bool(node.get_attribute("transB", 0))
    )
    alpha = opset13.constant(np.float32(node.get_attribute("alpha", 1.0)))
    return list(opset13.multiply(product, alpha).outputs())


def _rotary_embedding(node: NodeContext) -> list[openvino.Output]:
    """The operator RotaryEmbedding in plain ones: OpenVINO's own translation fails on ours.

    In operators.md of onnxruntime: from values of shape (n, heads, 1, width), places of shape
    (n, 1) and a table each of cosines and sines, the two halves of the width
    turned against each other.
    """
    value, places = node.get_input(0), node.get_input(1)
    first, second = opset13.split(value, opset13.constant(np.int64(3)), 2).outputs()
    cosines, sines = (
        opset13.unsqueeze(
            opset13.gather(node.get_input(at), places, opset13.constant(np.int64(0))),
            opset13.constant(np.int64(2)),
        )
        for at in (2, 3)
    )
    times = opset13.multiply
    turned_first = opset13.subtract(times(first, cosines), times(second, sines))
    turned_second = opset13.add(times(second, cosines), times(first, sines))
    return list(opset13.concat([turned_first, turned_second], 3).outputs())


def _first_behind_batch(node: NodeContext, at: int) -> openvino.Output:
    value = node.get_input(at)
    if not node.get_attribute(f"transBatch{'AB'[at]}", 0):
        return value
    rank = value.get_partial_shape().rank.get_length()
    return opset13.transpose(value, [*range(1, rank - 1), 0, rank - 1]).output(0)


def _inline_branches(model: openvino.Model) -> None:
    """Put the general branch of each `If` in its place.

    Our graphs leave out adding the mask where nothing is masked. OpenVINO 2026.4 computes wrong
    vectors when the first batch takes the other branch, and saves nothing by the choice.
    """
    for node in [node for node in model.get_ops() if node.get_type_name() == "If"]:
        general = node.get_function(1)
        inputs, parameters = node.input_values(), general.get_parameters()
        for given in node.get_input_descriptions(1):
            _replace(parameters[given.body_parameter_index].output(0), inputs[given.input_index])
        _replace(node.output(0), general.get_results()[0].input_value(0))
    model.validate_nodes_and_infer_types()


def _replace(old: openvino.Output, new: openvino.Output) -> None:
    for user in list(old.get_target_inputs()):
        user.replace_source_output(new)
