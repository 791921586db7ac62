"""embedwell's own routes."""

from __future__ import annotations

import msgspec
import numpy as np
from serving import MODEL

from embedwell.engines.wire import BINARY, BinaryEmbedded, EmbedRequest


def test_a_real_service_gives_the_librarys_vectors(service, real_cache):
    import embedwell

    texts = ["one", "two words", ""]
    with service.engine() as engine:
        found = engine.embed(EmbedRequest(MODEL, texts))
    vectors = np.frombuffer(found.vectors, "<f4").reshape(3, -1)
    with embedwell.Embedder() as embedder:
        assert np.abs(vectors - embedder.embed(texts)).max() < 1e-6


def test_json_and_msgpack_say_the_same(fake_service):
    body = {"model": MODEL, "texts": ["a b", "c"]}
    readable = fake_service.post("/v1/embed", json=body).json()
    binary = fake_service.post("/v1/embed", json=body, headers={"Accept": BINARY})
    found = msgspec.msgpack.decode(binary.content, type=BinaryEmbedded)
    assert np.frombuffer(found.vectors, "<f4").tolist() == [
        np.float32(x) for row in readable["vectors"] for x in row
    ]
    assert found.space == readable["space"]
    assert readable["n_tokens"] == [4, 3]
