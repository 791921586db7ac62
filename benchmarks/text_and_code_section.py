"""The section of the page about two models in one index."""

from __future__ import annotations

from benchmarks.tables import Column, Row, number, table, value

TEXT_AND_CODE = """\
## Text and code together

The service's resident memory with the default pair at q8 (768 dimensions, random weights of the
published shapes, one thread, 32 texts embedded), beside BERT-base networks in sentence-transformers
at fp32, which lacks one of the two architectures:

{memory}

One query of seven words through `DualEmbeddingService`, the same networks, one thread.{note}

{latency}

Real models that can be had, in one index of CoSQA functions and SciFact abstracts, at q8. Each
set's questions search all of it; nDCG@10 and MRR in hundredths:

{quality}
"""


def text_and_code(part: Row) -> str:
    """Memory, latency and quality of a pair."""
    memory: list[Column] = [
        ("loaded", value("loaded")),
        ("embedwell MB", number("embedwell", 0)),
        ("sentence-transformers MB", number("peer", 0)),
    ]
    latency: list[Column] = [
        ("domain", value("domain")),
        ("p50 ms", number("p50_ms", 1)),
        ("p95 ms", number("p95_ms", 1)),
        ("processor time, p50 ms", number("processor_ms", 1)),
    ]
    names = [name for name in part["quality"][0] if name != "models"] if part["quality"] else []
    quality: list[Column] = [("models", value("models"))]
    quality += [(name, number(name, 1)) for name in names]
    note = f" {part['note']}" if "note" in part else ""
    return TEXT_AND_CODE.format(
        note=note,
        memory=table(memory, part["memory"]),
        latency=table(latency, part["latency"]),
        quality=table(quality, part["quality"]),
    )
