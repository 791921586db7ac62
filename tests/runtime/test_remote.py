"""The embedder whose model another process runs, against answers given by the test."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scripted import Scripted, answer, saying, scripted

from embedwell.core.errors import (
    BadRequestError,
    BadTextsError,
    ServiceBusyError,
    ServiceGoneError,
    ServiceStoppingError,
    SpaceMismatchError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.engines.http import Address, HttpEngine
from embedwell.engines.wire import BinaryEmbedded, EmbedRequest, ErrorAnswer, ErrorBody
from embedwell.runtime.remote import RemoteEmbedder
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder, word_starts

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


def embed(request: EmbedRequest, **changed) -> bytes:
    """What a sound service says."""
    found = FakeEmbedder().embed(request.texts, request.kind, Watch())
    said = BinaryEmbedded(
        FAKE_BUILD.to_json(),
        FAKE_SPACE.id,
        FAKE_SPACE.dimensions,
        found.vectors.astype("<f4").tobytes(),
        found.n_tokens.astype("<i8").tobytes(),
        found.n_truncated,
        {},
    )
    return msgspec.msgpack.encode(msgspec.structs.replace(said, **changed))


def sound(**changed):
    def script(connection, number):
        connection.sendall(answer(embed(service.seen()[-1], **changed)))

    service = _Seen()
    script.service = service
    return script


class _Seen:
    scripted: Scripted

    def seen(self) -> list[EmbedRequest]:
        bodies = [request.partition(b"\r\n\r\n")[2] for request in self.scripted.requests]
        return [msgspec.msgpack.decode(body, type=EmbedRequest) for body in bodies]


def refusal(kind: str, retry_after_s: float = 0.0) -> bytes:
    said = ErrorAnswer(ErrorBody(kind, "It is so.", "Do that.", retry_after_s))
    return answer(msgspec.msgpack.encode(said), 429)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ew") as folder:
        yield Path(folder) / "s"


@contextmanager
def asking(path: Path, script, **given) -> Iterator[tuple[RemoteEmbedder, Scripted]]:
    with scripted(path, script) as service:
        if hasattr(script, "service"):
            script.service.scripted = service
        with closing(
            RemoteEmbedder(HttpEngine(service.address), "fake", FAKE_SPACE, **given)
        ) as embedder:
            yield embedder, service


TEXTS = ["one", "two words", "", "é" * 3, "\ud800 alone"]


def test_vectors_come_back_in_order(path):
    with asking(path, sound()) as (embedder, _):
        found = embedder.embed(TEXTS, "document", Watch())
    expected = FakeEmbedder().embed([*TEXTS[:-1], "\ufffd alone"], "document", Watch())
    assert np.array_equal(found.vectors, expected.vectors)
    assert np.array_equal(found.n_tokens, expected.n_tokens)
    assert found.build == FAKE_BUILD


def test_many_texts_go_in_several_requests(path):
    script = sound()
    texts = [f"text {number}" for number in range(600)]
    steps = []
    with asking(path, script) as (embedder, _):
        found = embedder.embed(texts, "query", Watch(steps.append))
        sizes = [len(request.texts) for request in script.service.seen()]
    assert sizes == [256, 256, 88]
    assert np.array_equal(found.vectors, FakeEmbedder().embed(texts, "query", Watch()).vectors)
    assert [step.done for step in steps] == [0, 256, 512, 600]


def test_one_answer_is_of_one_build(path):
    other = replace(FAKE_BUILD, native="another")
    texts = [f"text {number}" for number in range(600)]

    def script(connection, number):
        request = service.seen()[-1]
        connection.sendall(
            answer(embed(request, build=(other if number else FAKE_BUILD).to_json()))
        )

    service = script.service = _Seen()
    with asking(path, script) as (embedder, _):
        found = embedder.embed(texts, "document", Watch())
        assert [len(request.texts) for request in service.seen()] == [256, 256, 256, 256, 88]
    assert found.build == other
    assert np.array_equal(found.vectors, FakeEmbedder().embed(texts, "document", Watch()).vectors)


def test_a_service_that_changes_all_the_time_is_refused(path):
    def script(connection, number):
        build = replace(FAKE_BUILD, native=str(number))
        connection.sendall(answer(embed(service.seen()[-1], build=build.to_json())))

    service = script.service = _Seen()
    with asking(path, script) as (embedder, _), pytest.raises(ServiceBusyError, match="5 times"):
        embedder.embed(["text"] * 300, "document", Watch())


@pytest.mark.parametrize("build", ["", "[]", "{}", '{"cpu": []}'])
def test_a_build_that_is_not_understood_is_refused(path, build):
    with (
        asking(path, sound(build=build)) as (embedder, _),
        pytest.raises(BadRequestError, match="build record"),
    ):
        embedder.embed(["text"], "document", Watch())


def test_long_texts_go_alone_and_what_no_model_reads_is_not_sent(path):
    script = sound()
    with asking(path, script) as (embedder, _):
        embedder.embed(["a" * 3_000_000, "b" * 600_000, "c" * 600_000], "document", Watch())
        sizes = [[len(text) for text in request.texts] for request in script.service.seen()]
    assert sizes == [[1 << 20], [600_000], [600_000]]


def test_no_texts_ask_nothing(path):
    with asking(path, sound()) as (embedder, service):
        assert embedder.embed([], "document", Watch()).vectors.shape == (0, 32)
        assert service.requests == []


def test_texts_that_failed_are_named_by_their_position(path):
    texts = ["good", 5, *["more"] * 300]
    with (
        asking(path, sound(failures={2: "it is odd"})) as (embedder, _),
        pytest.raises(BadTextsError) as caught,
    ):
        embedder.embed(texts, "document", Watch())
    assert caught.value.failures == {1: "it is int, not str", 2: "it is odd", 258: "it is odd"}
    bad = np.isnan(caught.value.vectors).any(axis=1)
    assert list(np.flatnonzero(bad)) == [1, 2, 258]


def test_another_space_is_refused(path):
    with (
        asking(path, sound(space="f" * 64)) as (embedder, _),
        pytest.raises(SpaceMismatchError, match="gave vectors of space ffffffffffff"),
    ):
        embedder.embed(["text"], "document", Watch())


@pytest.mark.parametrize("changed", [{"vectors": b"1234"}, {"n_tokens": b""}])
def test_an_answer_of_another_size_is_refused(path, changed):
    with (
        asking(path, sound(**changed)) as (embedder, _),
        pytest.raises(BadRequestError, match="for 1 rows"),
    ):
        embedder.embed(["text"], "document", Watch())


def test_a_busy_service_is_asked_again_when_it_said(path):
    good = answer(embed(EmbedRequest("fake", ["text"])))
    script = saying(refusal("ServiceBusyError", 0.01), refusal("ServiceBusyError", 0.01), good)
    with asking(path, script) as (embedder, service):
        assert embedder.embed(["text"], "document", Watch()).vectors.shape == (1, 32)
        assert len(service.requests) == 3


def test_patience_ends(path):
    with (
        asking(path, saying(refusal("ServiceBusyError", 31.0))) as (embedder, _),
        pytest.raises(ServiceBusyError),
    ):
        embedder.embed(["text"], "document", Watch())


def test_waiting_for_a_busy_service_can_be_cancelled(path):
    watch = Watch()

    def script(connection, number):
        watch.cancelled.set()
        connection.sendall(refusal("ServiceBusyError", 20.0))

    with asking(path, script) as (embedder, _), pytest.raises(TaskCancelledError):
        embedder.embed(["text"], "document", watch)


def test_a_stopping_service_is_not_waited_for(path):
    with asking(path, saying(refusal("ServiceStoppingError", 1.0))) as (embedder, service):
        with pytest.raises(ServiceStoppingError):
            embedder.embed(["text"], "document", Watch())
        assert len(service.requests) == 1


def test_a_service_that_went_away_is_revived_once_where_that_is_allowed(path):
    revived = []
    engine = HttpEngine(Address(path))
    embedder = RemoteEmbedder(engine, "fake", FAKE_SPACE, revive=revived.append)
    with pytest.raises(ServiceGoneError, match="No service answers"):
        embedder.embed(["text"], "document", Watch())
    assert len(revived) == 1


def test_tokens_are_found_here_where_the_tokenizer_is_here(path):
    with asking(path, sound(), tokenizer=lambda: word_starts) as (embedder, service):
        assert list(embedder.token_starts("two words")) == [0, 4]
        assert service.requests == []


def test_tokens_are_asked_for_where_it_is_not(path):
    said = np.array([0, 4], "<i8").tobytes()
    with asking(path, saying(answer(said))) as (embedder, _):
        assert list(embedder.token_starts("two words")) == [0, 4]


def test_there_is_nothing_idle_here(path):
    with asking(path, sound()) as (embedder, _):
        assert not embedder.check_idle()
