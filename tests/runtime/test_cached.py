from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.core.artifact import Artifact
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, EngineError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.runtime.cache import VectorCache
from embedwell.runtime.cached import ComputedOnce
from embedwell.testing import FAKE_BUILD

SPACE = Space("model", "1", "mean", True, "", "", 8, 2)
ARTIFACT = Artifact(SPACE, "q8", "onnx", Path(), "key", "", "", 0)


class Model:
    """Gives each text its length; fails texts that say so; may be held up."""

    def __init__(self, name="model@q8", native="one"):
        self.build = replace(FAKE_BUILD, artifact=name, native=native)
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)
        self.error = None

    def __call__(self, texts, kind, watch):
        self.asked.append(list(texts))
        self.started.release()
        assert self.gate.wait(10)
        watch.check("embed")
        if self.error:
            raise self.error
        lengths = [len(text) if isinstance(text, str) else 2 for text in texts]
        vectors = np.repeat(np.array(lengths, np.float32)[:, None], 2, axis=1)
        failures = {i: "bad" for i, text in enumerate(texts) if text in ("bad", "worse", None)}
        vectors[list(failures)] = np.nan
        n_truncated = sum(length > 8 for length in lengths)
        embedded = Embedded(vectors, np.array(lengths, np.int64), n_truncated, self.build)
        if failures:
            raise BadTextsError(failures, embedded)
        return embedded


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def embed(once, model, texts, watch=None, kind="document"):
    return once.embed(ARTIFACT, model, texts, kind, watch or Watch())


def once(**options):
    return ComputedOnce(VectorCache(**options))


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def follows(shared, *texts):
    """Until another call waits for these texts."""
    found = {key[1]: flight for key, flight in shared._flights.items()}
    until(lambda: all(found[text].followed for text in texts))


def test_texts_are_computed_once_in_a_call_and_kept():
    model, shared = Model(), once()
    first = embed(shared, model, ["a", "bcd", "a", "a fairly long one"])
    again = embed(shared, model, ["bcd", "a fairly long one", "a"])
    assert model.asked == [["a", "bcd", "a fairly long one"]]
    assert first.vectors[:, 0].tolist() == [1, 3, 1, 17]
    assert again.vectors[:, 0].tolist() == [3, 17, 1]
    assert again.n_tokens.tolist() == [3, 17, 1]
    assert first.n_truncated == again.n_truncated == 1
    assert again.build == first.build == model.build


def test_queries_and_documents_are_different_texts():
    model, shared = Model(), once()
    embed(shared, model, ["a"], kind="query")
    embed(shared, model, ["a"], kind="document")
    assert model.asked == [["a"], ["a"]]


def test_without_a_cache_texts_are_still_computed_once_in_a_call():
    model, shared = Model(), once(entries=0)
    embed(shared, model, ["a", "a"])
    embed(shared, model, ["a", "a"])
    assert model.asked == [["a"], ["a"]]


def test_no_texts_give_no_vectors():
    assert embed(once(), Model(), []).vectors.shape == (0, 2)


def test_bulk_is_looked_up_and_not_kept():
    model, shared = Model(), once(entries=16 * 3)
    embed(shared, model, ["a", "b"])
    embed(shared, model, ["a", "b", "c", "d", "e", "f"])
    embed(shared, model, ["c"])
    assert model.asked == [["a", "b"], ["c", "d", "e", "f"], ["c"]]


def test_what_another_quantization_computed_instead_is_not_kept():
    model, shared = Model("model@q4"), once()
    assert embed(shared, model, ["a", "a"]).artifact == "model@q4"
    embed(shared, model, ["a"])
    assert model.asked == [["a"], ["a"]]


@pytest.mark.parametrize("other", [Model("model@q4"), Model(native="two")])
def test_where_another_build_computes_the_rest_it_computes_all(other):
    model, shared = Model(), once()
    embed(shared, model, ["a", "b"])
    found = embed(shared, other, ["a", "new", "a"])
    assert found.build == other.build
    assert found.vectors[:, 0].tolist() == [1, 3, 1]
    assert other.asked == [["new"], ["a", "new", "a"]]


def test_the_same_build_seen_at_another_time_is_no_other():
    model, later, shared = Model(), Model(), once()
    later.build = replace(later.build, made_at="later")
    embed(shared, model, ["a"])
    assert embed(shared, later, ["a", "b"]).build.key == model.build.key
    assert later.asked == [["b"]]


def test_nothing_computes_no_texts():
    assert embed(once(), Model(), []).build.native == ""


def test_bad_texts_are_named_at_every_position_and_not_kept():
    model, shared = Model(), once()
    embed(shared, model, ["good"])
    with pytest.raises(BadTextsError) as caught:
        embed(shared, model, ["bad", "a", None, "bad", "good", "a", 7, "worse"])
    assert sorted(caught.value.failures) == [0, 2, 3, 7]
    assert np.isfinite(caught.value.vectors[:, 0]).tolist() == [
        False, True, False, False, True, True, True, False,
    ]  # fmt: skip
    with pytest.raises(BadTextsError, match="1 of 1"):
        embed(shared, model, ["bad"])
    assert model.asked[1:] == [["bad", "a", "worse", None, 7], ["bad"]]


def test_unhashable_things_are_no_texts():
    with pytest.raises(BadTextsError) as caught:
        embed(once(), Model(), ["a", None])
    assert list(caught.value.failures) == [1]
    assert embed(once(), Model(), [["a list"]]).vectors.tolist() == [[2, 2]]


def test_a_text_in_flight_is_waited_for(threads):
    model, shared = Model(), once(entries=0)
    model.gate.clear()
    first = threads.submit(embed, shared, model, ["a", "bc"])
    model.started.acquire()
    second = threads.submit(embed, shared, model, ["bc", "def", "bc"])
    model.started.acquire()
    model.gate.set()
    first.result().vectors[:] = 0  # whoever changes their own changes nobody else's
    assert second.result().vectors[:, 0].tolist() == [2, 3, 2]
    assert model.asked == [["a", "bc"], ["def"]]


@pytest.mark.parametrize("error", [EngineError("It broke.", "Mend it."), RuntimeError("a bug")])
def test_a_text_whose_computation_failed_is_computed_by_who_waited(threads, error):
    model, shared = Model(), once()
    model.gate.clear()
    model.error = error
    first = threads.submit(embed, shared, model, ["a"])
    model.started.acquire()
    other = Model()
    second = threads.submit(embed, shared, other, ["a"])
    follows(shared, "a")
    model.gate.set()
    with pytest.raises(type(error)):
        first.result()
    assert second.result().vectors[0, 0] == 1
    assert other.asked == [["a"]]


def test_a_bad_text_in_flight_is_bad_for_who_waited_too(threads):
    model, shared = Model(), once()
    model.gate.clear()
    calls = [threads.submit(embed, shared, model, ["a", "bad"])]
    model.started.acquire()
    calls.append(threads.submit(embed, shared, model, ["bad", "a"]))
    follows(shared, "a")
    model.gate.set()
    positions = []
    for call in calls:
        with pytest.raises(BadTextsError) as caught:
            call.result()
        positions += caught.value.failures
    assert positions == [1, 0]
    assert model.asked == [["a", "bad"], ["bad"]]


def test_cancelling_the_first_does_not_cancel_who_waited(threads):
    model, shared, watch = Model(), once(), Watch()
    model.gate.clear()
    first = threads.submit(embed, shared, model, ["a"], watch)
    model.started.acquire()
    second = threads.submit(embed, shared, model, ["a"])
    follows(shared, "a")
    watch.cancelled.set()
    model.gate.set()
    with pytest.raises(TaskCancelledError):
        first.result()
    assert second.result().vectors[0, 0] == 1


def test_who_waits_can_be_cancelled(threads):
    model, shared, watch = Model(), once(), Watch()
    model.gate.clear()
    first = threads.submit(embed, shared, model, ["a"])
    model.started.acquire()
    second = threads.submit(embed, shared, model, ["a"], watch)
    follows(shared, "a")
    watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        second.result()
    model.gate.set()
    assert first.result().vectors[0, 0] == 1


def test_a_short_call_does_not_wait_for_bulk(threads):
    model, shared = Model(), once(entries=16)
    model.gate.clear()
    bulk = threads.submit(embed, shared, model, ["a", "b", "c"])
    model.started.acquire()
    assert embed(shared, Model(), ["a"]).vectors[0, 0] == 1
    model.gate.set()
    assert bulk.result().vectors[:, 0].tolist() == [1, 1, 1]
    assert not shared._flights


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a", "bb", "ccc", "bad", None]), max_size=6), max_size=8),
    st.sampled_from([0, 2, 16, 1000]),
)
def test_everyone_gets_the_vectors_of_their_texts_in_order(calls, entries):
    model, shared = Model(), once(entries=entries)

    def ask(texts):
        try:
            return embed(shared, model, texts), {}
        except BadTextsError as error:
            return error.embedded, error.failures

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, calls))
    for texts, (embedded, failures) in zip(calls, answers, strict=True):
        assert sorted(failures) == [i for i, t in enumerate(texts) if t in ("bad", None)]
        for text, row, n_tokens in zip(texts, embedded.vectors, embedded.n_tokens, strict=True):
            assert n_tokens == (2 if text is None else len(text))
            assert np.isnan(row).all() if text in ("bad", None) else (row == len(text)).all()
    assert not shared._flights
