"""A stage works in a thread of its own, in order, and says when there is something to take."""

import threading

import pytest

from embedwell.jobs.work.stage import Stage


@pytest.fixture
def start():
    stages = []

    def make(function, wake=lambda: None):
        stages.append(Stage("test", function, wake))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


def take_all(stage, woken):
    found = []
    while stage.n_inside:
        woken.wait(10)
        woken.clear()
        while taken := stage.take():
            found.append(taken)
    return found


def test_what_comes_out_is_in_the_order_of_what_went_in(start):
    woken = threading.Event()
    stage = start(lambda number: number * number, woken.set)
    for number in range(100):
        stage.put(number)
    assert take_all(stage, woken) == [(number, number * number) for number in range(100)]


def test_a_fault_is_handed_over_and_the_next_is_done(start):
    woken = threading.Event()
    stage = start(lambda number: 1 // number, woken.set)
    stage.put(0)
    stage.put(1)
    (zero, fault), one = take_all(stage, woken)
    assert (zero, type(fault)) == (0, ZeroDivisionError)
    assert one == (1, 1)


def test_nothing_can_be_taken_before_it_is_done(start):
    may_go = threading.Event()
    stage = start(lambda _: may_go.wait(10))
    stage.put("slow")
    assert stage.take() is None
    assert stage.n_inside == 1
    may_go.set()


def test_quick_results_wake_their_owner_rarely(start):
    n_wakes = 0
    may_go, done = threading.Event(), threading.Event()

    def wake():
        nonlocal n_wakes
        n_wakes += 1

    def work(number):
        may_go.wait(10)
        if number == 319:
            done.set()

    stage = start(work, wake)
    for number in range(320):
        stage.put(number)
    may_go.set()
    assert done.wait(10)
    stage.close()
    assert 1 <= n_wakes <= 11


def test_what_was_not_begun_is_dropped_when_it_closes(start):
    may_go, begun = threading.Event(), threading.Event()
    seen = []

    def work(number):
        seen.append(number)
        begun.set()
        may_go.wait(10)

    stage = start(work)
    for number in range(5):
        stage.put(number)
    assert begun.wait(10)
    threading.Timer(0.05, may_go.set).start()
    stage.close()
    assert seen == [0]
