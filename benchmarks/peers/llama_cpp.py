"""llama.cpp through its Python binding, on a GGUF file of the same weights."""

from __future__ import annotations

from benchmarks.peers.serve import serve


def load(options):
    import numpy as np
    from llama_cpp import LLAMA_POOLING_TYPE_MEAN, Llama

    model = Llama(
        str(options.model),
        embedding=True,
        n_ctx=512,
        n_batch=512,
        n_ubatch=512,
        n_threads=options.threads,
        n_threads_batch=options.threads,
        pooling_type=LLAMA_POOLING_TYPE_MEAN,
        verbose=False,
    )
    return lambda texts, _kind: np.asarray(model.embed(texts, normalize=True), np.float32)


if __name__ == "__main__":
    serve(load)
