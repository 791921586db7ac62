"""embedwell's own routes."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from msgspec import convert
from serving import MODEL

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError
from embedwell.core.events import Watch
from embedwell.engines.wire import BINARY, BinaryEmbedded, EmbedRequest
from embedwell.testing import FAKE_BUILD


def test_a_real_service_gives_the_librarys_vectors(service, real_cache):
    import embedwell

    texts = ["one", "two words", ""]
    with service.engine() as engine:
        found = engine.embed(EmbedRequest(MODEL, texts), Watch())
    vectors = np.frombuffer(found.vectors, "<f4").reshape(3, -1)
    with embedwell.Embedder() as embedder:
        assert np.abs(vectors - embedder.embed(texts)).max() < 1e-6
        here = embedder._inner.embed(texts, "document", Watch()).build
    assert BuildRecord.from_json(found.build).key == here.key


def test_json_and_msgpack_say_the_same(fake_service):
    body = {"model": MODEL, "texts": ["a b", "c"]}
    readable = fake_service.post("/v1/embed", json=body).json()
    binary = fake_service.post("/v1/embed", json=body, headers={"Accept": BINARY})
    found = msgspec.msgpack.decode(binary.content, type=BinaryEmbedded)
    assert np.frombuffer(found.vectors, "<f4").tolist() == [
        np.float32(x) for row in readable["vectors"] for x in row
    ]
    assert found.space == readable["space"]
    assert BuildRecord.from_json(found.build) == convert(readable["build"], BuildRecord)
    assert readable["n_tokens"] == [4, 3]


def test_texts_that_failed_are_named_and_the_others_are_there(fake_service, runtime):
    vectors = np.full((2, 384), np.nan, dtype=np.float32)
    vectors[0] = 0.5
    embedded = Embedded(vectors, np.array([3, 4]), 0, FAKE_BUILD)
    runtime.fault = BadTextsError({1: "it is odd"}, embedded)
    answer = fake_service.post("/v1/embed", json={"model": MODEL, "texts": ["a", "b"]}).json()
    assert answer["failures"] == {"1": "it is odd"}
    assert answer["vectors"] == [[0.5] * 384, None]


def test_another_space_than_expected_is_refused(fake_service):
    body = {"model": MODEL, "texts": ["a"], "space": "0" * 64}
    answer = fake_service.post("/v1/embed", json=body)
    assert answer.status_code == 409
    assert answer.json()["error"]["type"] == "SpaceMismatchError"


def test_tokens_begin_where_they_begin(fake_service):
    answer = fake_service.post("/v1/token-starts", json={"model": MODEL, "text": "a bc  d"})
    assert np.frombuffer(answer.content, "<i8").tolist() == [0, 2, 6]


def test_a_text_that_is_too_long_to_be_taken_apart_at_once_is_refused(fake_service):
    answer = fake_service.post("/v1/token-starts", json={"model": MODEL, "text": "a " * (1 << 20)})
    assert answer.status_code == 400
    assert "1048576" in answer.json()["error"]["problem"]


@pytest.mark.parametrize(
    ("path", "field"), [("/v1/embed", "texts"), ("/api/embed", "input")], ids=["ours", "ollama"]
)
def test_more_texts_than_memory_is_meant_for_are_refused(fake_service, path, field):
    answer = fake_service.post(path, json={"model": MODEL, field: [""] * 16_385})
    assert answer.status_code == 400
    assert "16384" in answer.text
