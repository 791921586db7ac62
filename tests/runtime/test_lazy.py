"""A model that is had when it is first used."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from embedwell.core.errors import EngineError, OverBudgetError, SpaceMismatchError
from embedwell.core.events import Watch
from embedwell.runtime.lazy import LazyEmbedder
from embedwell.testing import FAKE_SPACE, FakeEmbedder


class Closing(FakeEmbedder):
    closed = False

    def close(self):
        self.closed = True


def test_it_is_made_once_however_many_ask():
    made = []
    lazy = LazyEmbedder(FAKE_SPACE, lambda: made.append(Closing()) or made[-1])
    assert (lazy.space, lazy.is_loaded, made) == (FAKE_SPACE, False, [])
    threads = [threading.Thread(target=lazy.token_starts, args=("a b",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lazy.embed(["one"], "query", Watch()).vectors.shape == (1, 32)
    assert len(made) == 1
    assert lazy.is_loaded
    lazy.close()
    assert made[0].closed
    with pytest.raises(EngineError, match="closed"):
        lazy.embed(["one"], "query", Watch())


def test_what_did_not_fit_is_tried_again():
    answers = [OverBudgetError("It is too large.", "Raise the budget."), FakeEmbedder()]

    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lazy = LazyEmbedder(FAKE_SPACE, make)
    with pytest.raises(OverBudgetError):
        lazy.token_starts("one")
    assert len(lazy.token_starts("one two")) == 2
    lazy.close()


def test_an_embedder_of_another_space_is_let_go():
    other = Closing(replace(FAKE_SPACE, dimensions=48))
    lazy = LazyEmbedder(FAKE_SPACE, lambda: other)
    with pytest.raises(SpaceMismatchError, match="48 dimensions"):
        lazy.load()
    assert other.closed
    lazy.close()
