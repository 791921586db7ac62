"""The unmodified `openai` client against the service."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import numpy as np
import openai
import pytest
from listening import PullingRuntime, listening
from serving import MODEL

from embedwell.app.config.settings import Settings
from embedwell.core.embedded import Embedded
from embedwell.core.errors import (
    BadTextsError,
    OverBudgetError,
    PressureError,
    ServiceBusyError,
)
from embedwell.models.catalogue import card
from embedwell.server.compatible.texts import check_dimensions
from embedwell.testing import FAKE_BUILD

TEXTS = ["a short text", "", "bonjour à tous", "word " * 400]


@pytest.fixture
def runtime():
    return PullingRuntime()


@pytest.fixture
def url(runtime):
    with listening(runtime) as base:
        yield base


def client_of(base: str, key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)


@pytest.fixture
def client(url):
    with client_of(url) as made:
        yield made


@pytest.fixture
def ours(real_cache):
    import embedwell

    with embedwell.Embedder() as embedder, pytest.warns(embedwell.TruncationWarning):
        return embedder.embed(TEXTS)


def rows(answer) -> np.ndarray:
    assert [one.index for one in answer.data] == list(range(len(answer.data)))
    return np.array([one.embedding for one in answer.data], dtype=np.float32)


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_the_client_gets_the_librarys_vectors(service, ours, encoding):
    with client_of(service.base_url) as client:
        answer = client.embeddings.create(model=MODEL, input=TEXTS, **encoding)
    assert np.abs(rows(answer) - ours).max() < 1e-6
    assert answer.model == MODEL
    assert answer.usage.prompt_tokens == answer.usage.total_tokens
    assert 256 < answer.usage.prompt_tokens < 300


def test_base64_that_was_asked_for_is_little_endian_float32(service, ours):
    import base64

    with client_of(service.base_url) as client:
        answer = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="base64")
    found = np.frombuffer(base64.b64decode(answer.data[0].embedding), "<f4")
    assert np.abs(found - ours[0]).max() < 1e-6


def test_the_async_client_gets_the_same(service, ours):
    async def ask():
        base = f"{service.base_url}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="unused") as client:
            asked = [client.embeddings.create(model="all-minilm@q8", input=text) for text in TEXTS]
            return await asyncio.gather(*asked)

    found = [answer.data[0].embedding for answer in asyncio.run(ask())]
    assert np.abs(np.array(found) - ours).max() < 1e-6


def test_models_are_listed_and_found_by_any_name(service):
    with client_of(service.base_url) as client:
        listed = {model.id for model in client.models.list()}
        by_alias = client.models.retrieve("sentence-transformers/all-MiniLM-L6-v2")
    assert {MODEL, f"{MODEL}@q8"} <= listed
    assert by_alias.id == "sentence-transformers/all-MiniLM-L6-v2"
    assert by_alias.owned_by == "sentence-transformers"
    assert by_alias.created > 1_600_000_000


def test_a_real_service_says_which_models_there_are(service):
    with client_of(service.base_url) as client, pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert MODEL in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-model", f"{MODEL}@q7"])
def test_an_unknown_model_is_not_found(client, name):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=name, input="a")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve(name)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"input": [1, 2, 3]}, "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "tokens"),
        ({"input": ["a", 1]}, "tokens"),
        ({"input": []}, "empty list"),
        ({"input": ["a"] * 2049}, "2,048"),
        ({"input": "a", "dimensions": 128}, f"{MODEL} does not give vectors of 128"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "int8"),
        ({"input": "a", "extra_body": {"input": None}}, "input"),
        ({"input": "a", "extra_body": {"kind": "query", "input_type": "document"}}, "one of them"),
        ({"input": "w " * 300, "extra_body": {"truncate": False}}, "positions 0"),
    ],
)
def test_what_cannot_be_done_is_a_bad_request(client, asked, words):
    with pytest.raises(openai.BadRequestError, match="Error code: 400") as caught:
        client.embeddings.create(model=MODEL, **asked)
    assert words in caught.value.body["message"]
    assert caught.value.type == "invalid_request_error"


def test_what_openai_takes_is_taken(client):
    answer = client.embeddings.create(model=MODEL, input=["a"] * 2048, user="u", dimensions=384)
    assert rows(answer).shape == (2048, 384)


def test_queries_get_the_prompt_of_queries(runtime, url):
    kinds = []
    inner = runtime.embed

    def embed(model, texts, kind, watch):
        kinds.append(kind)
        return inner(model, texts, kind, watch)

    runtime.embed = embed
    with client_of(url) as client:
        for extra in ({}, {"kind": "query"}, {"input_type": "query"}, {"input_type": "passage"}):
            client.embeddings.create(model=MODEL, input="a", extra_body=extra)
    assert kinds == ["document", "query", "query", "document"]


def test_a_cut_text_is_told_in_a_header(client):
    raw = client.embeddings.with_raw_response.create(model=MODEL, input=["a", "w " * 300])
    assert raw.headers["x-embedwell-truncated"] == "1"
    assert (
        "x-embedwell-truncated"
        not in client.embeddings.with_raw_response.create(model=MODEL, input="a").headers
    )


def test_texts_that_fail_are_named(runtime, client):
    vectors = np.ones((3, 384), dtype=np.float32)
    embedded = Embedded(vectors, np.ones(3, dtype=np.int64), 0, FAKE_BUILD)
    runtime.fault = BadTextsError({1: "it is bad"}, embedded)
    with pytest.raises(openai.BadRequestError, match="input 1: it is bad"):
        client.embeddings.create(model=MODEL, input=["a", "b", "c"])


@pytest.mark.parametrize(
    ("fault", "kind", "retry_after"),
    [
        (ServiceBusyError("Full.", "Wait.", 3.0), openai.RateLimitError, "3"),
        (PressureError("Full.", "Wait."), openai.InternalServerError, "5"),
        (OverBudgetError("Large.", "Shrink."), openai.InternalServerError, "30"),
    ],
)
def test_a_service_that_cannot_now_says_when(runtime, client, fault, kind, retry_after):
    runtime.fault = fault
    with pytest.raises(kind) as caught:
        client.embeddings.create(model=MODEL, input="a")
    assert caught.value.response.headers["retry-after"] == retry_after
    assert set(caught.value.body) == {"message", "type", "param", "code"}


def test_a_key_is_asked_for_in_the_clients_own_way():
    with listening(PullingRuntime(Settings(api_key="right"))) as base:
        with client_of(base, "wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.embeddings.create(model=MODEL, input="a")
            with pytest.raises(openai.AuthenticationError):
                client.models.list()
        assert caught.value.code == "invalid_api_key"
        with client_of(base, "right") as client:
            assert client.embeddings.create(model=MODEL, input="a").data


@pytest.mark.parametrize(("size", "status"), [(1, 400), (9 << 20, 413)])
def test_a_body_that_is_no_json_or_too_large_comes_in_the_envelope(url, size, status):
    request = urllib.request.Request(f"{url}/v1/embeddings", data=b"{" * size)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert answer.status == status
        assert set(json.load(answer)["error"]) == {"message", "type", "param", "code"}


def test_a_model_that_was_trained_for_it_gives_shorter_vectors(monkeypatch, client):
    from dataclasses import replace

    row = replace(card(MODEL), matryoshka=(128, 64))
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {MODEL: row})
    whole = rows(client.embeddings.create(model=MODEL, input=TEXTS))
    short = rows(client.embeddings.create(model=MODEL, input=TEXTS, dimensions=64))
    expected = whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True)
    assert np.abs(short - expected).max() < 1e-6
    with pytest.raises(openai.BadRequestError, match="384, 128, 64"):
        client.embeddings.create(model=MODEL, input="a", dimensions=100)
    check_dimensions(row, 384)
