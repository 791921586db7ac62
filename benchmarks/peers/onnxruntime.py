"""onnxruntime on a plain export; the variant `tuned` switches three fusions off.

The fused kernels are slower than the parts that they replace where the products are int8.
"""

from __future__ import annotations

from benchmarks.peers.batches import embedder
from benchmarks.peers.serve import serve

SLOW_FUSIONS = "SkipLayerNormFusion;BiasSkipLayerNormFusion;BiasGeluFusion"


def load(options):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    if options.variant == "tuned":
        key = "optimization.disable_specified_optimizers"
        settings.add_session_config_entry(key, SLOW_FUSIONS)
    session = onnxruntime.InferenceSession(
        str(options.model), settings, providers=["CPUExecutionProvider"]
    )

    def run(ids, mask, types):
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return session.run(None, feeds)[0]

    return embedder(options.model.parent / "tokenizer.json", run)


if __name__ == "__main__":
    serve(load)
