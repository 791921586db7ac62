from __future__ import annotations

import threading

import numpy as np
import pytest
from fake_machine import MB, FakeMachine, artifact_of

from embedwell.core.errors import BadTextsError, EngineMemoryError, OverBudgetError
from embedwell.core.events import Watch
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.managed import embed
from embedwell.runtime.states import Limits

NO_MEMORY = EngineMemoryError("No memory.", "Free some.")


@pytest.fixture
def fake():
    return FakeMachine()


@pytest.fixture
def artifact(tmp_path):
    return artifact_of(tmp_path, "a")


def models_of(fake, n_models=5, events=None, **given):
    listener = events.append if events is not None else lambda event: None
    limits = Limits(900 * MB, n_models, 0.0, 1)
    return LoadedModels(limits, listener, machine=fake.machine(), **given)


def test_a_long_call_is_one_answer_and_one_progress(fake, artifact):
    steps = []
    texts = ["word"] * 2500
    found = embed(models_of(fake), artifact, texts, "document", Watch(steps.append))
    assert found.vectors.shape == (2500, 4)
    assert found.n_tokens.tolist() == [2] * 2500
    assert found.artifact == "a@q8"
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 2500)
    assert all(step.total == 2500 for step in steps)


def test_no_texts_and_few_texts_are_one_window(fake, artifact):
    models = models_of(fake)
    assert embed(models, artifact, [], "query", Watch()).vectors.shape == (0, 4)
    assert embed(models, artifact, ["x" * 500_000], "query", Watch()).vectors.shape == (1, 4)


def test_texts_that_fail_keep_their_positions(fake, artifact):
    texts = ["word"] * 1500
    texts[3] = texts[1400] = None
    with pytest.raises(BadTextsError, match="2 of 1500") as caught:
        embed(models_of(fake), artifact, texts, "document", Watch())
    assert list(caught.value.failures) == [3, 1400]
    assert np.isnan(caught.value.vectors).any(axis=1).nonzero()[0].tolist() == [3, 1400]


def test_another_model_gets_its_turn_in_the_middle_of_a_long_call(fake, artifact, tmp_path):
    events, other = [], artifact_of(tmp_path, "b")
    models = models_of(fake, n_models=1, events=events)
    started = threading.Event()
    bulk = threading.Thread(
        target=embed,
        args=(models, artifact, ["word"] * 200_000, "document", Watch(lambda _: started.set())),
    )
    bulk.start()
    assert started.wait(10)
    embed(models, other, ["word"], "query", Watch())
    assert bulk.is_alive()
    bulk.join()
    loaded = [event.artifact for event in events if event.kind == "loaded"]
    assert loaded == ["a@q8", "b@q8", "a@q8"]


def test_without_memory_to_run_the_idle_models_go_and_it_is_tried_again(fake, artifact, tmp_path):
    events, other = [], artifact_of(tmp_path, "b")
    models = models_of(fake, events=events)
    embed(models, other, ["word"], "query", Watch())
    embed(models, artifact, ["word"], "query", Watch())
    fake.run_faults[artifact.key] = [NO_MEMORY]
    assert embed(models, artifact, ["word"], "query", Watch()).artifact == "a@q8"
    gone = [(e.artifact, e.detail["reason"]) for e in events if e.kind == "unloaded"]
    assert gone == [("b@q8", "memory")]


def test_then_a_lower_quantization_answers_and_says_so(fake, artifact, tmp_path):
    lower = artifact_of(tmp_path, "a", 10, "q4")
    models = models_of(fake, lower=lambda found: lower if found is artifact else None)
    embed(models, artifact, ["word"], "query", Watch())
    fake.run_faults[artifact.key] = [NO_MEMORY, MemoryError()]
    assert embed(models, artifact, ["word"], "query", Watch()).artifact == "a@q4"
    assert [state.artifact for state in models.states()] == [lower]


def test_what_was_computed_before_is_computed_again_by_the_lower_one(fake, artifact, tmp_path):
    lower = artifact_of(tmp_path, "a", 10, "q4")
    models = models_of(fake, lower=lambda found: lower if found is artifact else None)

    def fail_in_the_middle(step):
        if step.done == 1024 and not fake.n_loads[lower.key]:
            fake.run_faults[artifact.key] = [NO_MEMORY] * 100

    texts = ["word"] * 2500
    texts[3] = None
    with pytest.raises(BadTextsError, match="1 of 2500") as caught:
        embed(models, artifact, texts, "document", Watch(fail_in_the_middle))
    assert caught.value.embedded.build.artifact == "a@q4"
    assert list(caught.value.failures) == [3]
    assert np.isfinite(caught.value.vectors).all(axis=1).sum() == 2499


def test_and_without_one_it_is_refused_clearly(fake, artifact):
    models = models_of(fake)
    embed(models, artifact, ["word"], "query", Watch())
    fake.run_faults[artifact.key] = [NO_MEMORY, NO_MEMORY]
    with pytest.raises(OverBudgetError, match="no memory to run a@q8"):
        embed(models, artifact, ["word"], "query", Watch())
    assert models.states() == []
    assert embed(models, artifact, ["word"], "query", Watch()).artifact == "a@q8"
