from __future__ import annotations

import logging

import numpy as np
import pytest

from embedwell.core.errors import OverBudgetError, ServiceGoneError, ServiceStoppingError
from embedwell.core.events import Watch
from embedwell.runtime.fallback import FallbackModel
from embedwell.testing import FAKE_SPACE, FakeEmbedder

GONE = ServiceGoneError("The service went away.", "Start it.")


class Remote(FakeEmbedder):
    """A service's embedder that may be gone."""

    fault: Exception | None = None

    def embed(self, texts, kind, watch):
        if self.fault:
            raise self.fault
        return super().embed(texts, kind, watch)


class Local(FakeEmbedder):
    """A model of this process."""

    is_closed = False

    def check_idle(self):
        return True

    def close(self):
        self.is_closed = True


class Way:
    """A way to the service that a test opens and closes."""

    def __init__(self):
        self.remote = Remote()
        self.is_open = True
        self.is_closed = False

    def model(self):
        return self.remote if self.is_open else None

    def failed(self):
        self.is_open = False

    def close(self):
        self.is_closed = True


class Place:
    """An embedder, the way, and the models that it loaded."""

    def __init__(self):
        self.way = Way()
        self.loaded: list[Local] = []
        self.embedder = FallbackModel(FAKE_SPACE, self.way, self.load)

    def load(self, watch):
        self.loaded.append(Local())
        return self.loaded[-1]

    def embed(self, *texts):
        return self.embedder.embed(texts, "document", Watch()).vectors


@pytest.fixture
def place():
    return Place()


def test_the_service_does_the_work_while_it_is_there(place):
    place.embedder.load(Watch())
    place.embed("text")
    assert place.way.remote.seen == ["text"]
    assert place.loaded == []
    assert not place.embedder.check_idle()


def test_without_a_service_the_model_is_loaded_here_once(place):
    place.way.is_open = False
    place.embedder.load(Watch())
    place.embed("one")
    place.embed("two")
    assert [model.seen for model in place.loaded] == [["one", "two"]]
    assert place.embedder.check_idle()


@pytest.mark.parametrize("fault", [GONE, ServiceStoppingError()])
def test_what_a_lost_service_was_asked_is_done_here_and_said_once(place, fault, caplog):
    place.way.remote.fault = fault
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            place.way.is_open = True
            assert np.array_equal(place.embed("text"), Local().embed(["text"], "", Watch()).vectors)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "goes on in this process" in caplog.text


def test_a_service_that_came_back_is_used_and_the_model_here_let_go(place):
    place.way.is_open = False
    place.embed("before")
    place.way.is_open = True
    place.embed("after")
    assert place.way.remote.seen == ["after"]
    assert place.loaded[0].is_closed
    assert list(place.embedder.token_starts("two words")) == [0, 4]


def test_what_the_service_refuses_is_not_tried_here(place):
    place.way.remote.fault = OverBudgetError("It does not fit.", "Raise the budget.")
    with pytest.raises(OverBudgetError):
        place.embed("text")
    assert place.loaded == []


def test_closing_closes_both(place):
    place.way.is_open = False
    place.embed("text")
    place.way.is_open = True
    place.embedder.close()
    assert place.loaded[0].is_closed
    assert place.way.is_closed
    place.embedder.close()


def test_a_forked_child_loads_its_own(place):
    place.way.is_open = False
    place.embed("parent")
    place.embedder._process = -1  # as after a fork
    place.embed("child")
    assert [model.seen for model in place.loaded] == [["parent"], ["child"]]
    assert not place.loaded[0].is_closed
