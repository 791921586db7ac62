"""embedwell, as its users call it from Python; the variant is the quantization."""

from __future__ import annotations

from benchmarks.peers.serve import serve


def load(options):
    from embedwell import Embedder

    embedder = Embedder(
        model=f"file:{options.model}" if options.model else "all-MiniLM-L6-v2",
        quantization=options.variant,
        threads=options.threads,
    )
    return lambda texts, kind: embedder.embed(texts, kind=kind)


if __name__ == "__main__":
    serve(load)
