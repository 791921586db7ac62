from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import ExitStack

import pytest
from fake_machine import BASE, MB, RUN, FakeMachine, artifact_of

from embedwell.core.errors import (
    EngineError,
    EngineMemoryError,
    OverBudgetError,
    PressureError,
    TaskCancelledError,
)
from embedwell.core.events import EVENTS, Watch
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.remembered import Remembered
from embedwell.runtime.states import Limits

ROOM = 24 * MB + RUN  # what is expected beside an artifact's size, until it was measured


class Watched:
    """Models on a fake machine, with what they told."""

    def __init__(self, tmp_path, budget_mb=400, n_models=5, idle_s=0.0, **given):
        self.fake = FakeMachine()
        self.events = []
        self.known = Remembered(tmp_path / "memory.json")
        limits = Limits(budget_mb * MB, n_models, idle_s, 1)
        given = {"remembered": self.known, "machine": self.fake.machine()} | given
        self.models = LoadedModels(limits, self.events.append, **given)

    def use(self, *artifacts):
        for artifact in artifacts:
            self.fake.now += 1
            with self.models.using(artifact, Watch()) as embedder:
                embedder.embed(["text"], "document", Watch())

    def names(self):
        return [state.artifact.space.model for state in self.models.states()]

    def told(self, kind, detail="reason"):
        return [(e.artifact, e.detail.get(detail)) for e in self.events if e.kind == kind]


@pytest.fixture
def make(tmp_path):
    return lambda name, *given: artifact_of(tmp_path, name, *given)


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def in_thread(do):
    thread = threading.Thread(target=do)
    thread.start()
    return thread


def eventually(condition):
    for _ in range(400):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_a_model_is_loaded_once_for_any_number_of_threads(watched, make):
    a = make("a")
    watched.fake.hold.clear()
    threads = [in_thread(lambda: watched.use(a)) for _ in range(8)]
    assert watched.fake.begun.wait(10)
    assert [state.state for state in watched.models.states()] == ["loading"]
    assert watched.models.states()[0].stage == "load"
    watched.fake.hold.set()
    for thread in threads:
        thread.join()
    assert watched.fake.n_loads == {a.key: 1}
    assert watched.models.states()[0].n_texts == 8
    assert watched.models.states()[0].in_use == 0


def test_loading_holds_up_nobody_who_uses_another_model(watched, make):
    a, b = make("a"), make("b")
    watched.use(a)
    watched.fake.hold.clear()
    watched.fake.begun.clear()
    loading = in_thread(lambda: watched.use(b))
    assert watched.fake.begun.wait(10)
    watched.use(a)
    assert loading.is_alive()
    watched.fake.hold.set()
    loading.join()
    assert watched.names() == ["a", "b"]


def test_what_happens_is_told_as_the_table_of_events_says(watched, make):
    a = make("a")
    watched.use(a)
    watched.models.unload(a)
    assert [event.kind for event in watched.events] == ["loading", "loading", "loaded", "unloaded"]
    assert watched.told("loading", "stage") == [("a@q8", "load"), ("a@q8", "warm")]
    assert watched.told("unloaded") == [("a@q8", "asked")]
    for event in watched.events:
        assert all(f"`{name}`" in EVENTS[event.kind] for name in event.detail)


def test_what_loading_took_replaces_the_estimate_and_is_remembered(watched, tmp_path, make):
    a = make("a", 30)
    watched.use(a)
    assert watched.models.states()[0].size_bytes == 30 * MB + RUN
    assert Remembered(tmp_path / "memory.json").get(f"{a.key}-fake") == 30 * MB


def test_the_least_recently_used_goes_when_something_must_fit(tmp_path, make):
    watched = Watched(tmp_path, budget_mb=50 + 2 * 64)
    a, b, c = make("a"), make("b"), make("c")
    watched.use(a, b, a, c)
    assert watched.names() == ["a", "c"]
    assert watched.told("unloaded") == [("b@q8", "room")]
    assert watched.fake.peak <= watched.models.limits.budget_bytes


def test_pins_and_priorities_are_kept_to(tmp_path, make):
    watched = Watched(tmp_path, n_models=2)
    a, b, c = make("a"), make("b"), make("c")
    watched.models.set(a, pinned=True)
    watched.models.set(b, pinned=False, priority=5)
    watched.use(a, b, c)
    assert watched.names() == ["a", "c"]
    assert watched.models.is_pinned(a)
    watched.models.set(c, pinned=True)
    with pytest.raises(OverBudgetError, match="all 2 places are taken by pinned models"):
        watched.use(b)


def test_what_can_never_fit_is_refused_at_once_and_nothing_is_unloaded(tmp_path, make):
    watched = Watched(tmp_path, budget_mb=150)
    a, huge = make("a"), make("huge", 500)
    watched.use(a)
    with pytest.raises(OverBudgetError, match=r"huge@q8 needs about .* budget is 157 MB") as caught:
        watched.use(huge)
    assert "memory_budget" in caught.value.remedy
    assert watched.names() == ["a"]
    assert watched.told("refused") == [("huge@q8", "budget")]
    assert watched.fake.n_loads[huge.key] == 0


def test_a_caller_waits_for_a_model_in_use_and_newcomers_wait_behind_it(tmp_path, make):
    watched = Watched(tmp_path, n_models=1)
    a, b = make("a"), make("b")
    order = []

    def use(artifact, name):
        with watched.models.using(artifact, Watch()):
            order.append(name)

    with watched.models.using(a, Watch()):
        waiting = in_thread(lambda: use(b, "b"))
        assert eventually(lambda: watched.models._queue.claimed(a.key))
        late = in_thread(lambda: use(a, "late a"))
        assert eventually(lambda: len(watched.models._queue.tickets) == 2)
        assert order == []
    waiting.join()
    late.join()
    assert order == ["b", "late a"]


def test_patience_ends(tmp_path, make):
    watched = Watched(tmp_path, n_models=1, patience_s=0.0)
    a, b = make("a"), make("b")
    with watched.models.using(a, Watch()), pytest.raises(OverBudgetError, match="in use"):
        watched.use(b)
    watched.use(b)
    assert watched.names() == ["b"]


def test_a_caller_that_waits_can_be_cancelled_and_blocks_nobody(tmp_path, make):
    watched = Watched(tmp_path, n_models=1)
    a, b = make("a"), make("b")
    watch = Watch()
    caught = []

    def wait():
        try:
            with watched.models.using(b, watch):
                pass
        except TaskCancelledError as error:
            caught.append(error)

    with watched.models.using(a, Watch()):
        thread = in_thread(wait)
        assert eventually(lambda: watched.models._queue.claimed(a.key))
        watch.cancelled.set()
        thread.join()
        watched.use(a)
    assert len(caught) == 1
    assert watched.fake.n_loads == {a.key: 1}


def test_a_load_that_is_cancelled_leaves_nothing_and_another_caller_takes_over(watched, make):
    a, watch, caught = make("a"), Watch(), []

    def cancelled():
        try:
            with watched.models.using(a, watch):
                pass
        except TaskCancelledError as error:
            caught.append(error)

    watched.fake.hold.clear()
    first = in_thread(cancelled)
    assert watched.fake.begun.wait(10)
    second = in_thread(lambda: watched.use(a))
    watch.cancelled.set()
    watched.fake.hold.set()
    first.join()
    second.join()
    assert len(caught) == 1
    assert watched.fake.n_loads == {a.key: 2}
    assert watched.fake.taken == BASE + a.size_bytes


def test_a_model_that_does_not_load_is_told_of(watched, make):
    a = make("a")
    watched.fake.faults[a.key] = [EngineError("It broke.", "Mend it.")]
    with pytest.raises(EngineError, match="It broke"):
        watched.use(a)
    assert watched.told("refused") == [("a@q8", "failed")]
    watched.use(a)


def test_idle_models_are_unloaded_after_their_time(tmp_path, make):
    watched = Watched(tmp_path, idle_s=60.0)
    a, b, c = make("a"), make("b"), make("c")
    watched.models.keep(b, 0)
    watched.models.keep(c, 10)
    watched.use(a, b, c)
    assert [state.unloads_in_s for state in watched.models.states()] == [58.0, None, 10.0]
    watched.fake.now += 11
    assert watched.models.check_idle()
    assert watched.names() == ["a", "b"]
    watched.fake.now += 60
    assert watched.models.check_idle()
    assert not watched.models.check_idle()
    assert watched.names() == ["b"]
    assert watched.told("unloaded") == [("c@q8", "idle"), ("a@q8", "idle")]


def test_what_is_in_use_is_unloaded_when_it_is_let_go(watched, make):
    a = make("a")
    assert not watched.models.unload(a)
    with watched.models.using(a, Watch()):
        assert watched.models.unload(a)
        assert watched.names() == ["a"]
    assert watched.names() == []
    assert watched.fake.taken == BASE


def test_unloading_gives_freed_memory_back(watched, make):
    watched.use(make("a"), make("b"))
    watched.models.close()
    assert watched.fake.taken + watched.fake.kept_back == BASE
    assert watched.told("unloaded") == [("a@q8", "closed"), ("b@q8", "closed")]


def test_a_model_that_takes_more_than_expected_is_placed_by_what_it_took(tmp_path, make):
    watched = Watched(tmp_path, budget_mb=200)
    a = make("a")
    watched.fake.swells = 150 * MB
    with pytest.raises(OverBudgetError, match="would not fit"):
        watched.use(a)
    assert watched.fake.taken == BASE
    assert watched.known.get(f"{a.key}-fake") == 180 * MB


def test_under_critical_pressure_idle_models_go_and_then_loads_are_refused(watched, make):
    a, b = make("a"), make("b")
    watched.use(a)
    watched.fake.fraction = 0.95
    watched.fake.now += 1
    with pytest.raises(PressureError, match="95% of its limit"):
        watched.use(b)
    assert watched.told("unloaded") == [("a@q8", "pressure")]
    assert watched.told("refused") == [("b@q8", "pressure")]
    assert watched.told("pressure", "level") == [("", "critical")]
    watched.fake.fraction = 0.3
    watched.fake.now += 1
    watched.use(b)


def test_pressure_shortens_the_time_of_idle_models(watched, make):
    a, b = make("a"), make("b")
    watched.models.set(b, pinned=True)
    watched.use(a, b)
    watched.fake.fraction = 0.8
    watched.fake.now += 31
    assert watched.models.check_idle()
    assert watched.names() == ["b"]
    assert watched.told("unloaded") == [("a@q8", "pressure")]


def test_above_85_percent_there_is_a_warning_once_a_minute(watched, make, caplog):
    a = make("a")
    watched.fake.fraction = 0.86
    with caplog.at_level(logging.WARNING):
        watched.use(a, a)
        assert caplog.messages == ["Memory is at 86 % of its limit."]
        watched.fake.now += 61
        watched.use(a)
    assert watched.told("warning", "fraction") == [("", 0.86)] * 2


def test_out_of_memory_while_loading_costs_the_idle_models(watched, make):
    a, b = make("a"), make("b")
    watched.use(a)
    watched.fake.faults[b.key] = [EngineMemoryError("No memory.", "Free some.")]
    watched.use(b)
    assert watched.names() == ["b"]
    assert watched.told("unloaded") == [("a@q8", "memory")]


def test_then_a_lower_quantization_is_used_and_else_refused(tmp_path, make, caplog):
    a, lower = make("a"), make("a", 10, "q4")
    below = {a.key: lower}
    watched = Watched(tmp_path, lower=lambda artifact: below.get(artifact.key))
    watched.fake.faults[a.key] = [MemoryError(), EngineMemoryError("No memory.", "Free some.")]
    with caplog.at_level(logging.WARNING), watched.models.using(a, Watch()) as embedder:
        assert embedder.artifact is lower
    assert "a@q4 is used instead" in caplog.text
    watched.fake.faults[lower.key] = [MemoryError(), MemoryError()]
    watched.models.close()
    watched.fake.faults[a.key] = [MemoryError(), MemoryError()]
    with pytest.raises(OverBudgetError, match="gave no memory for a@q4"):
        watched.use(a)


def test_that_a_lower_quantization_stands_in_is_said_once_a_minute(tmp_path, make, caplog):
    a, lower = make("a", 900), make("a", 10, "q4")
    watched = Watched(tmp_path, lower=lambda artifact: lower if artifact is a else None)
    for seconds in (0, 30, 31):
        watched.fake.now += seconds
        with watched.models.using(a, Watch()) as embedder:
            assert embedder.artifact is lower
    assert caplog.text.count("a@q4 is used instead.") == 2


def test_too_large_a_quantization_gives_way_to_a_lower_one(tmp_path, make):
    a, lower = make("a", 900), make("a", 10, "q4")
    watched = Watched(tmp_path, lower=lambda found: lower if found is a else None)
    with watched.models.using(a, Watch()) as embedder:
        assert embedder.artifact is lower


def test_eight_threads_and_four_models_in_room_for_two_end_without_an_error(tmp_path, make):
    watched = Watched(tmp_path, budget_mb=50 + 2 * 70)
    artifacts = [make(name) for name in "abcd"]
    work = [random.Random(3).choice(artifacts) for _ in range(200)]
    errors = []

    def go():
        while work:
            try:
                artifact = work.pop()
                with watched.models.using(artifact, Watch()) as embedder:
                    assert embedder.artifact is artifact
                    embedder.embed(["text"], "document", Watch())
            except IndexError:
                return
            except Exception as error:  # noqa: BLE001 - counted
                errors.append(error)

    threads = [in_thread(go) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert errors == []
    assert watched.fake.peak <= watched.models.limits.budget_bytes
    assert all(state.in_use == 0 for state in watched.models.states())
    watched.models.close()
    assert watched.fake.taken == BASE


def test_every_model_that_waits_gets_in_at_last(tmp_path, make):
    watched = Watched(tmp_path, n_models=2)
    artifacts = [make(name) for name in "abcde"]
    with ExitStack() as stack:
        for artifact in artifacts[:2]:
            stack.enter_context(watched.models.using(artifact, Watch()))
        threads = [in_thread(lambda a=a: watched.use(a)) for a in artifacts[2:]]
        assert eventually(lambda: len(watched.models._queue.tickets) == 3)
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
