"""What is compared, as data: a row of the tables is one engine with one form of the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """A peer with its settings.

    Attributes:
        name: The row's name in every table.
        peer: Module below `benchmarks.peers`.
        environment: Its `requirements-*.txt`; empty for the interpreter that runs this.
        model: The form of the model, as `environments.model_file` names it; may be empty.
        variant: What the peer is told to do with it.
        repetitions: Most visits it gets; fewer for those that are slow and far behind.
    """

    name: str
    peer: str
    environment: str = ""
    model: str = ""
    variant: str = ""
    repetitions: int = 99


REFERENCE = "sentence-transformers"
DYNAMIC = "onnxruntime int8 dynamic"
OURS = "embedwell q8"

ENGINES = {
    engine.name: engine
    for engine in (
        Engine(REFERENCE, "sentence_transformers", "sentence-transformers", "published"),
        Engine("fastembed", "fastembed", "fastembed", "onnx"),
        Engine("onnxruntime fp32", "onnxruntime", "onnxruntime", "onnx"),
        Engine(DYNAMIC, "onnxruntime", "onnxruntime", "onnx-int8"),
        Engine(f"{DYNAMIC}, tuned", "onnxruntime", "onnxruntime", "onnx-int8-tuned", "tuned"),
        Engine("OpenVINO fp32", "openvino", "openvino", "onnx", "f32"),
        Engine("OpenVINO bf16", "openvino", "openvino", "onnx", "bf16"),
        Engine("llama.cpp Q8_0", "llama_cpp", "llama-cpp", "gguf", repetitions=2),
        Engine("embedwell q32", "embedwell", variant="q32"),
        Engine("embedwell q16", "embedwell", variant="q16", repetitions=3),
        Engine(OURS, "embedwell", variant="q8"),
        Engine("embedwell q4", "embedwell", variant="q4", repetitions=3),
    )
}
