"""Quantize an export to dynamic int8 with onnxruntime's own tool.

    python -m benchmarks.prepare.quantize_onnx MODEL.onnx INT8.onnx [tuned]

`tuned`: a scale for each column of the weights, which is much closer to fp32, and the weights in
a file beside the graph, which onnxruntime maps into memory. Without it: the tool's defaults.
"""

from __future__ import annotations

import sys

from onnxruntime.quantization import quantize_dynamic


def main(source: str, target: str, how: str = "") -> None:
    tuned = how == "tuned"
    quantize_dynamic(source, target, per_channel=tuned, use_external_data_format=tuned)


if __name__ == "__main__":
    main(*sys.argv[1:])
