"""fastembed with its defaults, on a local folder with the fp32 export."""

from __future__ import annotations

from benchmarks.peers.serve import serve


def load(options):
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="local/model",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="local/model"),
        dim=384,
        model_file=options.model.name,
    )
    model = TextEmbedding(
        "local/model", specific_model_path=str(options.model.parent), threads=options.threads
    )
    return lambda texts, _kind: np.stack(list(model.embed(texts)))


if __name__ == "__main__":
    serve(load)
