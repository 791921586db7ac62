from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from embedwell.runtime.cache import Origin, VectorCache, pack
from embedwell.testing import FAKE_BUILD

HERE = Origin("space", "build", "query")
OTHER = Origin("other space", "build", "query")
DIMENSIONS = 4


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


def keep(cache, *texts, origin=HERE, value=1.0, epoch=None):
    vectors = np.full((len(texts), DIMENSIONS), value, np.float32)
    epoch = cache.epoch if epoch is None else epoch
    cache.keep(origin, texts, vectors, np.arange(len(texts)), FAKE_BUILD, epoch=epoch)


def found(cache, *texts, origin=HERE):
    return [text for text, kept in zip(texts, cache.find(origin, texts), strict=True) if kept]


def test_what_was_kept_is_found_with_its_tokens():
    cache = VectorCache()
    vectors = np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)
    cache.keep(HERE, ["a", "b"], vectors, np.array([3, 5]), FAKE_BUILD, epoch=cache.epoch)
    kept = cache.find(HERE, ["b", "a", "c"])
    assert np.array_equal(kept[0].vector, vectors[1])
    assert kept[1].n_tokens == 3
    assert kept[2] is None


def test_a_kept_vector_is_nobodys_to_change():
    cache = VectorCache()
    vectors = np.ones((1, 4), np.float32)
    cache.keep(HERE, ["a"], vectors, np.array([3]), FAKE_BUILD, epoch=cache.epoch)
    vectors[:] = 2
    (kept,) = cache.find(HERE, ["a"])
    assert kept.vector.tolist() == [1] * 4
    with pytest.raises(ValueError, match="read-only"):
        kept.vector[0] = 7


@pytest.mark.parametrize(
    "origin", [Origin("x", "build", "query"), Origin("space", "x", "query"),
               Origin("space", "build", "document")]
)  # fmt: skip
def test_another_space_build_or_kind_has_vectors_of_its_own(origin):
    cache = VectorCache()
    keep(cache, "a")
    assert found(cache, "a", origin=origin) == []


def test_entries_are_bounded_and_the_often_used_stay():
    cache = VectorCache(entries=10)
    keep(cache, "often")
    for i in range(100):
        assert found(cache, "often") == ["often"]
        keep(cache, f"once {i}")
    assert cache.statistics().entries == 10
    assert cache.statistics().evictions == 91


def test_bytes_are_bounded():
    cache = VectorCache(n_bytes=20_000)
    for i in range(100):
        keep(cache, f"text {i}")
    statistics = cache.statistics()
    assert 10 < statistics.entries < 40
    assert statistics.bytes <= 20_000


def test_a_text_that_would_take_much_of_the_room_is_not_kept():
    cache = VectorCache(n_bytes=100_000)
    keep(cache, "x" * 10_000)
    assert cache.statistics().entries == 0


@pytest.mark.parametrize("options", [{"entries": 0}, {"n_bytes": 0}])
def test_a_cache_without_room_keeps_nothing(options):
    cache = VectorCache(**options)
    keep(cache, "a")
    assert found(cache, "a") == []
    assert cache.statistics().entries == 0


def test_vectors_expire_used_or_not():
    clock = Clock()
    cache = VectorCache(ttl_s=10, clock=clock)
    keep(cache, "a")
    clock.now = 5
    keep(cache, "b")
    clock.now = 9.9
    assert found(cache, "a", "b") == ["a", "b"]
    clock.now = 10
    assert found(cache, "a", "b") == ["b"]
    clock.now = 15
    assert cache.statistics().entries == cache.statistics().bytes == 0
    assert cache.statistics().expirations == 2


def test_a_count_is_remembered_when_a_text_comes_back():
    cache = VectorCache(entries=2)
    keep(cache, "a", "b")
    found(cache, *["a"] * 3, *["b"] * 9)
    keep(cache, "c")  # "a" gives way
    keep(cache, "a")  # "c" does, and "a" has four uses now
    keep(cache, "d")  # with the count forgotten, "a" would be as good as "d" and older
    found(cache, *["d"])
    keep(cache, "e")
    assert found(cache, "a", "b", "c") == ["b"]


def test_one_text_one_space_or_a_prefix_is_forgotten():
    cache = VectorCache()
    keep(cache, "a/1", "a/2", "b/1")
    keep(cache, "a/1", "b/1", origin=OTHER)
    assert cache.invalidate(text="a/1", space="space") == 1
    assert cache.invalidate(prefix="a/") == 2
    assert found(cache, "a/1", "a/2", "b/1") == ["b/1"]
    assert cache.invalidate(space="other space") == 1
    assert cache.invalidate() == 1
    assert cache.statistics().bytes == 0


def test_what_was_being_computed_during_an_invalidation_is_not_kept():
    cache = VectorCache()
    epoch = cache.epoch
    cache.invalidate(text="a")
    keep(cache, "a", epoch=epoch)
    assert found(cache, "a") == []


def test_a_smaller_share_gives_room_back_and_the_whole_takes_it_again():
    cache = VectorCache(entries=100)
    keep(cache, *(str(i) for i in range(100)))
    cache.set_share(0.25)
    assert cache.statistics().entries == 25
    keep(cache, "new")
    assert cache.statistics().entries == 25
    cache.set_share(0)
    assert cache.statistics().entries == 0
    cache.set_share(1)
    keep(cache, *(str(i) for i in range(200)))
    assert cache.statistics().entries == 100


def test_more_entries_than_are_compared_stay_within_bounds():
    cache = VectorCache(entries=5000, n_bytes=1 << 30)
    keep(cache, *(str(i) for i in range(6000)))
    assert cache.statistics().entries == 5000


def test_bulk_is_a_sixteenth_of_the_entries():
    assert not VectorCache().is_bulk(62)
    assert VectorCache().is_bulk(63)
    assert not VectorCache(entries=0).is_bulk(1)


finite = st.floats(-(2.0**100), 2.0**100, width=32)


@given(arrays(np.float32, 384, elements=finite))
def test_half_the_memory_keeps_direction_and_length(vector):
    packed, scale = pack(vector)
    assert packed.nbytes * 2 == vector.nbytes
    back, exact = packed.astype(np.float64) * scale, vector.astype(np.float64)
    length = np.linalg.norm(exact)
    if length:
        assert 1 - back @ exact / length / np.linalg.norm(back) < 0.001
        assert np.linalg.norm(back) == pytest.approx(length, rel=1e-6)
    else:
        assert not back.any()


def test_a_cache_of_halves_gives_float32():
    cache = VectorCache(half=True)
    vector = np.random.default_rng(0).normal(size=(1, 384)).astype(np.float32)
    cache.keep(HERE, ["a"], vector, np.array([3]), FAKE_BUILD, epoch=cache.epoch)
    (kept,) = cache.find(HERE, ["a"])
    assert kept.vector.dtype == np.float32
    assert np.allclose(kept.vector, vector[0], rtol=1e-3)


class Against(RuleBasedStateMachine):
    """A cache without evictions against a dictionary with times."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.cache = VectorCache(ttl_s=10, clock=self.clock)
        self.known = {}

    texts = st.sampled_from(["a", "ab", "b", "ba", ""])
    origins = st.sampled_from([HERE, OTHER])

    @rule(origin=origins, text=texts, value=st.integers(1, 1000))
    def keep(self, origin, text, value):
        keep(self.cache, text, origin=origin, value=value)
        self.known.setdefault((origin, text), (value, self.clock.now))

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds):
        self.clock.now += seconds
        self.forget(lambda key: self.known[key][1] <= self.clock.now - 10)

    @rule(text=st.none() | texts, prefix=st.none() | texts, origin=st.none() | origins)
    def invalidate(self, text, prefix, origin):
        n = self.cache.invalidate(text=text, prefix=prefix, space=origin and origin.space)
        before = len(self.known)
        self.forget(
            lambda key: (
                (origin is None or key[0] == origin)
                and (text is None or key[1] == text)
                and (prefix is None or key[1].startswith(prefix))
            )
        )
        assert n == before - len(self.known)

    def forget(self, is_gone):
        self.known = {key: value for key, value in self.known.items() if not is_gone(key)}

    @invariant()
    def holds_what_it_should(self):
        assert self.cache.statistics().entries == len(self.known)
        for origin in (HERE, OTHER):
            for text in ("a", "ab", "b", "ba", ""):
                (kept,) = self.cache.find(origin, [text])
                expected = self.known.get((origin, text))
                assert (kept and kept.vector[0]) == (expected and expected[0])


TestAgainstADictionary = Against.TestCase
TestAgainstADictionary.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.randoms(use_true_random=False))
def test_nothing_older_than_an_invalidation_or_its_time_is_found_by_any_thread(entries, n, drawn):
    """A vector says when it was computed and its count when it was kept: readers see its age."""
    ticks = iter(range(1, 10**9))
    lock = threading.Lock()
    now = [0]

    def tick():
        with lock:
            now[0] = next(ticks)
            return now[0]

    cache = VectorCache(entries=entries, ttl_s=50, clock=lambda: now[0])
    last_invalidation = dict.fromkeys("abcd", 0)

    def work(seed):
        drawn = np.random.default_rng(seed)
        for _ in range(150):
            text = "abcd"[drawn.integers(4)]
            gone, begin = last_invalidation[text], now[0]
            (kept,) = cache.find(HERE, [text])
            if kept is not None:
                assert kept.vector[0] >= gone
                assert kept.n_tokens > begin - 50
            if drawn.random() < 0.2:
                at = tick()
                cache.invalidate(text=text)
                with lock:
                    last_invalidation[text] = max(last_invalidation[text], at)
            else:
                epoch, at = cache.epoch, tick()
                vector = np.full((1, 4), at, np.float32)
                with lock:  # time stands still
                    cache.keep(HERE, [text], vector, np.array([now[0]]), FAKE_BUILD, epoch=epoch)

    with ThreadPoolExecutor(n) as pool:
        list(pool.map(work, [drawn.randrange(10**6) for _ in range(n)]))
    statistics = cache.statistics()
    assert statistics.entries <= entries
    assert (statistics.bytes == 0) == (statistics.entries == 0)
