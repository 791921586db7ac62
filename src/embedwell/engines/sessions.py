"""Sessions of onnxruntime: what the engines `onnx` and `cuda` share, weights mapped from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from embedwell.core.artifact import Artifact
from embedwell.core.device import return_freed_memory
from embedwell.core.vectors import FloatArray
from embedwell.engines.faults import does_not_load, does_not_run, is_closed
from embedwell.engines.native import native_build
from embedwell.engines.protocol import EngineBuild, TokenBatch

MODEL_FILE = "model.onnx"
_PROBE_FILE = Path(__file__).parent / "product_probe.onnx"

PROCESSOR = ("CPUExecutionProvider",)
"""The provider that runs operators on the processor."""

_FATAL = 4  # errors are raised; onnxruntime need not print them as well
_SETTINGS = {
    # Fused with their neighbours, these take 2 to 3 times as long as the plain operators.
    "optimization.disable_specified_optimizers": (
        "SkipLayerNormFusion;BiasSkipLayerNormFusion;BiasGeluFusion"
    ),
    # Idle threads sleep: spinning would take the processor from everything else.
    "session.intra_op.allow_spinning": "0",
}


class Session:
    """A loaded artifact; see `engines.protocol.Engine`.

    Args:
        artifact: Made by `models.convert`.
        n_threads: Threads that one run may use.
        engine: The engine's name.
        providers: Of onnxruntime, with their options: what runs operators, the first choice first.

    Raises:
        EngineError: The artifact cannot be loaded.
    """

    def __init__(
        self,
        artifact: Artifact,
        n_threads: int,
        engine: str,
        providers: Sequence[str | tuple[str, Mapping[str, str]]] = PROCESSOR,
    ) -> None:
        self._name = artifact.name
        self._engine = engine
        try:
            self._session: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
                str(artifact.folder / MODEL_FILE),
                _options(n_threads, exact_products=_must_ask_for_exact_products(artifact)),
                providers=providers,
            )
        except Exception as error:  # onnxruntime has a class of its own for each status
            raise does_not_load(artifact, error) from error
        names = {taken.name for taken in self._session.get_inputs()}
        self._takes_types = "token_type_ids" in names

    @property
    def build(self) -> EngineBuild:
        """See `Engine.build`."""
        return build(self._engine)

    @property
    def providers(self) -> list[str]:
        """Which of the providers could be had."""
        return list(self._session.get_providers()) if self._session else []

    def run(self, batch: TokenBatch) -> FloatArray:
        """See `Engine.run`."""
        if self._session is None:
            raise is_closed(self._name)
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if batch.types is not None and self._takes_types:
            inputs["token_type_ids"] = batch.types
        try:
            (vectors,) = self._session.run(["embedding"], inputs)
        except Exception as error:  # as above
            raise does_not_run(self._name, batch, error) from error
        return vectors  # type: ignore[no-any-return]  # onnxruntime publishes no types

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None
        return_freed_memory()


def build(engine: str) -> EngineBuild:
    """The onnxruntime that is installed, as the build of an engine."""
    library = Path(onnxruntime_pybind11_state.__file__)
    return EngineBuild(engine, onnxruntime.__version__, native_build(library))


def _must_ask_for_exact_products(artifact: Artifact) -> bool:
    """Whether 8-bit products would overflow here unless asked not to.

    On x86 processors with AVX2 and without VNNI the fast product adds two of its terms in 16 bits
    and cuts what does not fit: vectors would be up to 0.01 of cosine away from everyone else's.
    Asked what 64 times 255 times 127 is, such a machine gives itself away, whatever its name.
    """
    return artifact.quantization == "q8" and _products_overflow()


@cache
def _products_overflow() -> bool:
    session = onnxruntime.InferenceSession(
        _PROBE_FILE.read_bytes(), _options(1), providers=PROCESSOR
    )
    (products,) = session.run(None, {"rows": np.full((4, 64), 255, np.uint8)})
    return bool((products != 64 * 255 * 127).any())


def _options(n_threads: int, *, exact_products: bool = False) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # It keeps a plan of memory for each shape of batch, and batches have many shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = _FATAL
    if exact_products:
        options.add_session_config_entry("session.x64quantprecision", "1")
    for key, value in _SETTINGS.items():
        options.add_session_config_entry(key, value)
    return options
