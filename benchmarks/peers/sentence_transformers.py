"""sentence-transformers on torch, fp32, with its defaults."""

from __future__ import annotations

from benchmarks.peers.serve import serve


def load(options):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options.threads)
    model = SentenceTransformer(str(options.model), device="cpu")
    return lambda texts, _kind: model.encode(texts, show_progress_bar=False)


if __name__ == "__main__":
    serve(load)
