"""OpenVINO on a plain export; the variant is the precision hint, `f32` or `bf16`."""

from __future__ import annotations

from benchmarks.peers.batches import embedder
from benchmarks.peers.serve import serve


def load(options):
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(options.model),
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": options.threads,
            "INFERENCE_PRECISION_HINT": options.variant,
        },
    )
    request = compiled.create_infer_request()

    def run(ids, mask, types):
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return request.infer(feeds)[0]

    return embedder(options.model.parent / "tokenizer.json", run)


if __name__ == "__main__":
    serve(load)
