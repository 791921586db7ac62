"""Servers of other programs: each dialect, right and wrong."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from remote_servers import (
    DIALECTS,
    FakeServer,
    Served,
    cut,
    refuse,
    rows,
    say,
    served_space,
    serving,
    wait,
)

from embedwell.core.errors import (
    BadTextsError,
    DriftError,
    RemoteAnswerError,
    RemoteBusyError,
    RemoteChangedError,
    RemoteGoneError,
    RemoteRefusedError,
    RemoteSlowError,
    SpaceMismatchError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.core.vectors import shortened
from embedwell.engines.remote import faults
from embedwell.engines.remote.client import Client, place_of
from embedwell.engines.remote.registry import spoken
from embedwell.engines.remote.server import Server
from embedwell.handshake.admit import admitted
from embedwell.runtime import remote_model
from embedwell.runtime.remote_identity import SENTINEL
from embedwell.runtime.remote_model import Cut, HttpEmbedder
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings
from embedwell.testing import word_starts

TEXTS = [f"text number {n} about the harbour" for n in range(7)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(faults, "_FIRST_AGAIN_S", 0.01)
    monkeypatch.setattr(faults, "_FIRST_BUSY_S", 0.01)


@pytest.fixture(params=DIALECTS)
def server(request):
    with serving(FakeServer(request.param)) as made:
        yield made


@contextmanager
def asking(server, *, space=None, timeout_s=5.0, key="", dialect=None, name="fake", **options):
    client = Client(place_of(server.url, key, timeout_s))
    embedder = HttpEmbedder(
        Server(client, dialect or server.dialect, [name]), space or served_space(), **options
    )
    try:
        yield embedder
    finally:
        embedder.close()


def embed(embedder, texts=TEXTS, kind="document"):
    return embedder.embed(texts, kind, Watch())


def stands(server):
    """How often the sentinel came first."""
    return sum(texts[0] == SENTINEL for texts in server.texts)


# Right


def test_vectors_are_those_of_the_model_behind(server):
    with asking(server) as embedder:
        found = embed(embedder)
    np.testing.assert_allclose(found.vectors, server.model.rows(TEXTS), atol=1e-6)
    assert found.vectors.dtype == np.float32
    assert found.n_truncated == 0
    assert found.build.engine == "http"
    assert found.build.engine_version.startswith(server.dialect)
    assert stands(server) == len(server.texts) == 2


def test_a_server_is_asked_what_it_speaks(server):
    with asking(server, dialect="auto") as embedder:
        assert embed(embedder).build.engine_version.startswith(server.dialect)


def test_prompts_arrive_by_kind(server):
    space = served_space(query_prompt="ask: ", document_prompt="keep: ")
    with asking(server, space=space) as embedder:
        embed(embedder, ["one"], "query")
        embed(embedder, ["two"], "document")
    assert [texts[1:] for texts in server.texts[1:]] == [["ask: one"], ["keep: two"]]


def test_what_only_the_server_knows_of_a_space_is_taken_from_it(server):
    server.max_tokens = 700
    space = served_space(model="remote:fake", dimensions=0, max_tokens=0)
    with asking(server, space=space) as embedder:
        embedder.greet(Watch())
        assert embedder.space.dimensions == 32
        told = server.dialect in {"ollama", "tei"}
        assert embedder.space.max_tokens == (700 if told else 512)


def test_no_texts_ask_for_nothing(server):
    with asking(server) as embedder:
        assert embed(embedder, []).vectors.shape == (0, 32)
    assert server.seen == []


def test_empty_texts_and_broken_characters_are_sent_as_something(server):
    with asking(server) as embedder:
        embed(embedder, ["", "half \ud83d of a pair"])
    assert server.texts[-1][1:] == [" ", "half \ufffd of a pair"]


def test_longer_vectors_are_cut_as_the_model_was_trained_for(server):
    with asking(server, space=served_space(dimensions=8), cut=Cut(32, centred=True)) as embedder:
        found = embed(embedder).vectors
    expected = shortened(server.model.rows(TEXTS), 8, centred=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# Within the server's limits


@pytest.mark.parametrize("most", [1, 2, 5])
def test_requests_keep_to_the_largest_batch_that_is_told(most):
    with serving(FakeServer("tei", max_texts=most)) as server, asking(server) as embedder:
        found = embed(embedder)
    np.testing.assert_allclose(found.vectors, server.model.rows(TEXTS), atol=1e-6)
    assert max(map(len, server.texts)) <= most
    assert stands(server) >= len(TEXTS) / most


@pytest.mark.parametrize("dialect", ["ollama", "openai", "koboldcpp"])
def test_batches_that_are_refused_are_halved_and_stay_small(dialect):
    with serving(FakeServer(dialect, max_texts=4)) as server, asking(server) as embedder:
        found = embed(embedder, TEXTS * 3)
        again = len(server.texts)
        embed(embedder, TEXTS)
    np.testing.assert_allclose(found.vectors, server.model.rows(TEXTS * 3), atol=1e-6)
    assert max(map(len, server.texts[again:])) <= 4


def test_a_text_that_is_too_long_is_cut_and_counted(server):
    server.max_tokens = 50
    long = "word " * 80
    with asking(server) as embedder:
        found = embed(embedder, [*TEXTS, long])
    assert found.n_truncated == 1
    np.testing.assert_allclose(found.vectors[:-1], server.model.rows(TEXTS), atol=1e-6)
    similar = found.vectors[-1] @ server.model.rows(["word " * 40])[0]
    assert similar > 0.999


def test_a_tokenizer_that_is_here_cuts_exactly(server):
    space = served_space(max_tokens=12)
    with asking(server, space=space, tokenizer=lambda: word_starts) as embedder:
        found = embed(embedder, ["one two three " * 8])
    assert found.n_truncated == 1
    assert found.n_tokens.tolist() == [26]
    assert server.texts[-1][1] == "one two three one two three one two three one "


def test_a_text_that_is_refused_is_named_and_the_others_are_kept(server):
    server.bad_word = "evil"
    with asking(server) as embedder, pytest.raises(BadTextsError, match="not wanted") as caught:
        embed(embedder, [*TEXTS, "an evil text", 7])
    assert sorted(caught.value.failures) == [7, 8]
    assert np.isnan(caught.value.vectors[7:]).all()
    np.testing.assert_allclose(caught.value.vectors[:7], server.model.rows(TEXTS), atol=1e-6)


def test_a_vector_that_is_no_vector_fails_its_text_alone():
    zeros = rows(lambda found: [*found[:-1], [0.0] * 32])
    with (
        serving(FakeServer("openai", faults=[lambda *_: None, zeros])) as server,
        asking(server) as embedder,
        pytest.raises(BadTextsError) as caught,
    ):
        embed(embedder)
    assert "only zeros" in caught.value.failures[6]
    assert len(caught.value.failures) == 1


def test_tokens_are_estimated_rather_too_many_without_a_tokenizer():
    with serving(FakeServer("openai")) as server, asking(server) as embedder:
        starts = embedder.token_starts("embedded  10 日本 🙂 naïve")
    assert starts.tolist() == [0, 3, 6, 10, 11, 13, 14, 16, 16, 18, 20, 21]


# Away, busy, slow


def test_a_server_that_is_away_is_named(server):
    with asking(server) as embedder:
        server.url = "http://127.0.0.1:9"
        with asking(server) as nobody, pytest.raises(RemoteGoneError) as caught:
            embed(nobody)
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "Start it" in caught.value.remedy
    assert embedder is not nobody


@pytest.mark.parametrize("fault", [cut, refuse(500, "oops"), refuse(429), refuse(503), refuse(502)])
def test_one_fault_that_passes_is_not_seen(server, fault):
    server.faults = [lambda *_: None, fault]
    with asking(server) as embedder:
        found = embed(embedder)
    np.testing.assert_allclose(found.vectors, server.model.rows(TEXTS), atol=1e-6)


def test_a_rate_limit_is_heeded():
    slower = refuse(429, {"error": "slow down"}, Retry_After="1")
    with serving(FakeServer("tei", faults=[lambda *_: None, slower])) as server:
        begun = time.monotonic()
        with asking(server) as embedder:
            embed(embedder)
    assert time.monotonic() - begun >= 1


def test_a_rate_limit_for_longer_is_told_with_its_end(server):
    server.faults = [refuse(429, {"error": "slow down"}, Retry_After="3600")]
    with asking(server) as embedder, pytest.raises(RemoteBusyError, match="slow down") as caught:
        embed(embedder)
    assert caught.value.retry_after_s == 3600


def test_connections_that_always_break_are_an_error(server):
    server.faults, server.keeps = [cut], True
    with asking(server) as embedder, pytest.raises(RemoteGoneError, match="went away"):
        embed(embedder)


def test_a_slow_server_is_told_with_the_limit():
    with serving(FakeServer("ollama", faults=[wait(60)])) as server:
        with (
            asking(server, timeout_s=0.3) as embedder,
            pytest.raises(RemoteSlowError, match=r"within 0\.3 s") as caught,
        ):
            embed(embedder)
        assert "remote_timeout_s" in caught.value.remedy


def test_a_batch_that_is_too_slow_goes_in_halves(server):
    def slow_for_many(served, texts):
        served.left.wait(60 if len(texts) > 4 else 0)

    server.faults, server.keeps = [slow_for_many], True
    with asking(server, timeout_s=0.5) as embedder:
        found = embed(embedder, TEXTS[:6])
    np.testing.assert_allclose(found.vectors, server.model.rows(TEXTS[:6]), atol=1e-6)


def test_a_stop_is_heard_while_a_server_is_silent():
    with serving(FakeServer("ollama", faults=[wait(60)])) as server, asking(server) as embedder:
        watch = Watch()
        threading.Timer(0.2, watch.cancelled.set).start()
        with pytest.raises(TaskCancelledError):
            embedder.embed(TEXTS, "document", watch)


# Refused


def test_the_key_goes_into_a_header_and_into_no_message(server):
    server.key = "s3cret-key"
    with asking(server, key="s3cret-key") as embedder:
        embed(embedder)
    assert set(server.keys) == {"Bearer s3cret-key"}
    server.key = "another"
    with (
        asking(server, key="s3cret-key") as embedder,
        pytest.raises(RemoteRefusedError, match="401") as caught,
    ):
        embed(embedder)
    assert "s3cret" not in f"{caught.value!r}{caught.value.said}{caught.value.__cause__}"
    assert "remote_api_key" in caught.value.remedy


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_a_model_that_is_not_there_is_told_in_the_servers_words(dialect):
    with (
        serving(FakeServer(dialect)) as server,
        asking(server, name="other") as embedder,
        pytest.raises(RemoteRefusedError, match="model 'other' not found") as caught,
    ):
        embed(embedder)
    assert "remote_model" in caught.value.remedy


def test_what_speaks_no_dialect_is_told_so():
    with (
        serving(FakeServer("none")) as server,
        asking(server, dialect="auto") as embedder,
        pytest.raises(RemoteRefusedError, match="none of the dialects") as caught,
    ):
        embed(embedder)
    assert server.url in caught.value.problem


def test_what_all_dialects_meet_is_said_once():
    def ask(method: str, path: str, body: bytes) -> bytes:
        return b"<html>Welcome</html>"

    with pytest.raises(RemoteRefusedError) as caught:
        spoken(ask, "http://here")
    assert caught.value.problem.startswith("The server at http://here speaks none")
    assert "tei, koboldcpp, ollama, openai: " in caught.value.problem
    assert caught.value.problem.count("Welcome") == 1


def test_a_redirect_is_not_followed(server):
    server.faults = [refuse(307, b"", Location="http://elsewhere.example/")]
    with (
        asking(server) as embedder,
        pytest.raises(RemoteRefusedError, match=r"on to http://elsewhere\.example/"),
    ):
        embed(embedder)


def test_a_refusal_of_everything_is_no_fault_of_the_texts(server):
    server.faults = [lambda *_: None, refuse(400, {"error": "gone mad"})]
    with asking(server) as embedder:
        embedder.greet(Watch())
        server.faults, server.keeps = [refuse(400, {"error": "gone mad"})], True
        with pytest.raises(RemoteAnswerError, match="refuses every text now: gone mad"):
            embed(embedder)


def test_a_model_of_another_length_is_refused(server):
    with (
        asking(server, space=served_space(dimensions=48)) as embedder,
        pytest.raises(SpaceMismatchError, match="vectors of 32 numbers as 'fake"),
    ):
        embed(embedder)


# Nonsense

NONSENSE = {
    "a page": (say(b"<!doctype html><title>Sign in</title>"), "cannot be read"),
    "half": (lambda s, t: s.written(s.model.rows(t).tolist())[:-40], "cannot be read"),
    "not text": (say(b"\xff\xfe\x00"), "cannot be read"),
    "nothing": (say(b""), "cannot be read"),
    "another object": (say(b'{"ok": true}'), "cannot be read"),
    "too few": (rows(lambda found: found[:-1]), r"vectors for|numbers"),
    "too many": (rows(lambda found: [*found, found[0]]), r"vectors for|numbers"),
    "words": (rows(lambda found: [["NaN"] * 32, *found[1:]]), "cannot be read"),
    "lengths": (rows(lambda found: [found[0], *(row[:5] for row in found[1:])]), "lengths"),
    "all nothing": (rows(lambda found: [[] for _ in found]), "lengths"),
    "NaN": (rows(lambda found: [[None] * 32 for _ in found]), "NaN, infinite or all zero"),
    "zeros": (rows(lambda found: [[0.0] * 32 for _ in found]), "NaN, infinite or all zero"),
    "infinite": (rows(lambda found: [[1e300] * 32 for _ in found]), "NaN, infinite or all zero"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_called_that(server, name):
    fault, said = NONSENSE[name]
    server.faults, server.keeps = [fault], True
    with asking(server) as embedder, pytest.raises(RemoteAnswerError, match=said):
        embed(embedder)


def test_an_answer_that_is_too_large_is_not_read(server, monkeypatch):
    with asking(server) as embedder:
        place = place_of(server.url)
        small = replace(place, address=replace(place.address, most_bytes=1000))
        embedder._server._client = Client(small)
        with pytest.raises(RemoteAnswerError, match="more than 1,000 bytes"):
            embed(embedder)
        embedder._server.close()


def test_numbers_that_come_twice_are_refused():
    twice = b'{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}'
    with (
        serving(FakeServer("openai", faults=[say(twice)], keeps=True)) as server,
        asking(server) as embedder,
        pytest.raises(RemoteAnswerError, match=r"numbers 2 vec"),
    ):
        embed(embedder)


def test_base64_is_read_as_float32_and_refused_otherwise():
    def in_base64(raw):
        import base64

        def fault(server, texts):
            import json

            data = [
                {"index": n, "embedding": base64.b64encode(raw(row)).decode()}
                for n, row in enumerate(server.model.rows(texts))
            ]
            return json.dumps({"data": data, "model": server.name}).encode()

        return fault

    with serving(FakeServer("openai", keeps=True)) as server, asking(server) as embedder:
        server.faults = [in_base64(lambda row: row.astype("<f4").tobytes())]
        np.testing.assert_allclose(embed(embedder).vectors, server.model.rows(TEXTS), atol=1e-6)
        server.faults = [in_base64(lambda row: b"123")]
        with pytest.raises(RemoteAnswerError, match="3 bytes, which are no float32"):
            embed(embedder)
        server.faults = [say(b'{"data":[{"index":0,"embedding":"?"}]}')]
        with pytest.raises(RemoteAnswerError, match="numbers"):
            embed(embedder, ["a"])


# Another model under the same name


def store_of(space=None):
    return closing(MemoryStore(CollectionSettings(space or served_space(), 40, "a test")))


def test_a_server_that_changes_its_model_is_refused_in_the_middle_of_a_run(server):
    with asking(server) as embedder, store_of() as store:
        proven = admitted(store, 1, embedder, (), "notes.db")
        embed(proven)
        server.model = Served(salt="x")
        with pytest.raises(DriftError, match=r"written by fake by http.*drift on the probe"):
            embed(proven)
        with pytest.raises(DriftError):
            embed(proven)
        server.model = Served()
        embed(proven)


def test_a_model_that_changes_within_a_call_gives_none_of_its_vectors(server):
    def change(served, texts):
        if len(served.texts) == 3:
            served.model = Served(salt="x")

    server.faults, server.keeps = [change], True
    with asking(server) as embedder:
        embedder._pace.limit(3)
        with pytest.raises(RemoteChangedError, match="serves another model than before as 'fake"):
            embed(embedder)
        found = embed(embedder)
    np.testing.assert_allclose(found.vectors, server.model.rows(TEXTS), atol=1e-6)


def test_a_server_that_another_model_was_put_behind_meanwhile_is_measured_anew(server):
    with store_of() as store:
        with asking(server) as embedder:
            embed(admitted(store, 1, embedder, (), "notes.db"))
        n_asked = len(server.texts)
        with asking(server) as embedder:
            embed(admitted(store, 1, embedder, (), "notes.db"))
        assert len(server.texts) == n_asked + 2  # who it is, and the texts: no probe
        server.model = Served(salt="x")
        with asking(server) as embedder, pytest.raises(DriftError):
            embed(admitted(store, 1, embedder, (), "notes.db"))


def test_a_server_whose_model_moved_a_little_is_measured_and_let_in(server):
    with asking(server) as embedder, store_of() as store:
        proven = admitted(store, 1, embedder, (), "notes.db")
        before = embed(proven).build
        server.model = Served(noise=0.04)
        after = embed(proven).build
        assert before.key != after.key
        assert len(store.spaces.admissions(1)) == 2


def test_a_dead_tie_between_two_models_is_an_error(server):
    def flip(served, texts):
        served.model = Served(salt="" if served.model.salt else "x")

    server.faults, server.keeps = [flip], True
    with asking(server) as embedder, store_of() as store, pytest.raises(RemoteChangedError):
        embed(admitted(store, 1, embedder, (), "notes.db"))


@pytest.mark.parametrize("dialect", ["ollama", "tei"])
def test_another_digest_is_another_build(dialect, monkeypatch):
    monkeypatch.setattr(remote_model, "_LOOK_EVERY_S", 0.0)
    with serving(FakeServer(dialect)) as server, asking(server) as embedder:
        first = embed(embedder).build
        assert embed(embedder).build == first
        server.digest = "b" * 40
        second = embed(embedder).build
    assert second.native.startswith("b" * 40)
    assert second.key != first.key


def test_the_same_model_at_another_address_is_another_build(server):
    with (
        serving(FakeServer(server.dialect)) as other,
        asking(server) as left,
        asking(other) as right,
    ):
        assert embed(left).build.key != embed(right).build.key


def test_a_forked_child_has_a_lock_and_connections_of_its_own(server):
    with asking(server) as embedder:
        embedder.greet(Watch())
        assert embedder._lock.acquire()
        embedder._process = -1  # as after a fork
        embed(embedder)
        assert embedder._process == os.getpid()
        assert not embedder.check_idle()
