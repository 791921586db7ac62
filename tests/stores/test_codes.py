"""Compact codes against all vectors compared one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedwell.stores.scan.bits import bit_scores, encode, encode_query
from embedwell.stores.scan.blocks import FAR
from embedwell.stores.scan.codes import NOTHING, Codes, nearest, widths
from embedwell.stores.scan.exact import ExactIndex
from embedwell.stores.scan.kernels import NumpyKernel, Widths, fewest

DIMENSIONS = (16, 64, 100, 384, 768)
SMALL_BLOCK = 8
NO_IDS = np.empty(0, np.int64)


@pytest.fixture
def small_blocks(monkeypatch):
    for name in ("blocks", "codes"):
        monkeypatch.setattr(f"embedwell.stores.scan.{name}.LARGE", SMALL_BLOCK)
    for name in ("codes", "kernels"):
        monkeypatch.setattr(f"embedwell.stores.scan.{name}.BLOCK", SMALL_BLOCK // 2)


def halves_of(seed: int, n: int, dimensions: int):
    rows = np.random.default_rng(seed).standard_normal((n, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def unit(seed: int, dimensions: int):
    return halves_of(seed, 1, dimensions)[0].astype(np.float32)


class Held:
    """Vectors by id, as a database would hold them."""

    def __init__(self, dimensions: int) -> None:
        self.rows: dict[int, np.ndarray] = {}
        self.dimensions = dimensions

    @property
    def ids(self):
        return np.array(sorted(self.rows), np.int64)

    def fetch(self, ids):
        rows = [self.rows[int(number)] for number in ids]
        return np.array(rows, np.float16).reshape(len(ids), self.dimensions)

    def exact(self) -> ExactIndex:
        index = ExactIndex(self.dimensions)
        index.append(self.ids, self.fetch(self.ids))
        return index


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_distances_count_the_signs_that_differ(dimensions):
    halves, query = halves_of(1, 50, dimensions), unit(2, dimensions)
    out = np.empty(50, np.uint16)
    NumpyKernel().distances(encode(halves), encode_query(query), out)
    assert out.tolist() == ((halves > 0) != (query > 0)).sum(axis=1).tolist()


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_bit_scores_are_products_with_the_signs(dimensions):
    halves, query = halves_of(3, 50, dimensions), unit(4, dimensions)
    scores = bit_scores(encode(halves), query)
    np.testing.assert_allclose(scores, (halves > 0).astype(np.float32) @ query, atol=1e-5)


def test_zeros_of_either_sign_are_not_positive():
    halves = np.array([[0.0, -0.0, 1e-7, -1e-7]], np.float16)
    assert encode(halves)[0, 0] == 0b0100


@given(
    arrays(np.uint16, st.integers(1, 60), elements=st.sampled_from([0, 1, 2, 5, 9, 300])),
    st.data(),
)
def test_the_fewest_are_no_farther_than_those_left_out(distances, data):
    n = data.draw(st.integers(1, len(distances)))
    near = fewest(distances, n)
    left_out = np.delete(distances, near)
    assert n / 2 <= len(near) <= 2 * n
    assert (np.diff(near) > 0).all()
    assert not len(left_out) or distances[near].max() <= left_out.min()


def test_the_fewest_are_found_though_the_sample_misleads():
    distances = np.full(400_000, 9, np.uint16)
    distances[1::6] = 1  # between the samples
    assert 1_000 <= len(fewest(distances, 2_000)) <= 4_000
    distances[:] = 1
    distances[::6] = 9  # as the samples
    assert fewest(distances, 2_000).tolist() == np.flatnonzero(distances == 1)[:2_000].tolist()
    distances[:] = FAR
    distances[1:2_000:6] = 5
    assert set(np.flatnonzero(distances == 5)) <= set(fewest(distances, 400).tolist())


operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 20), st.integers(1, 4)),
        st.tuples(st.just("remove"), st.integers(0, 120), st.integers(1, 30)),
        st.tuples(st.just("reload"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("search"), st.integers(1, 12), st.integers(1, 4)),
    ),
    max_size=12,
)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dimensions", [16, 100])
@settings(deadline=None, max_examples=60)
@given(steps=operations)
def test_any_history_finds_what_brute_force_finds(dimensions, steps):
    codes, held = Codes(dimensions), Held(dimensions)
    everything = Widths(400, 200)
    for at, (step, number, other) in enumerate(steps):
        if step == "append":
            start = max(codes.last_id, 0) + other
            ids = start + np.arange(number, dtype=np.int64) * other
            halves = halves_of(at, number, dimensions)
            codes.append(ids, halves)
            held.rows |= dict(zip(ids.tolist(), halves, strict=True))
        elif step == "remove":
            ids = np.arange(number, number + other, dtype=np.int64)[::-1]
            codes.remove(ids)
            held.rows = {key: row for key, row in held.rows.items() if key not in set(ids.tolist())}
        elif step == "reload":
            codes = reloaded(held, dimensions)
        else:
            query, allowed = unit(at, dimensions), held.ids[:: other or 1]
            for some in (None, allowed, np.append(allowed, 10**6)):
                found = nearest(codes, query, number, some, held.fetch)
                expected = held.exact().nearest(query, number, some)
                assert found.ids.tolist() == expected.ids.tolist()
        assert len(codes) == len(held.rows)
        found = codes.candidates(unit(0, dimensions), everything, None)
        assert found.tolist() == held.ids[:200].tolist()


def reloaded(held: Held, dimensions: int) -> Codes:
    """What a process has that starts from stored segments and the vectors after them."""
    fresh = Codes(dimensions)
    ids = held.ids
    for start in range(0, len(ids) - SMALL_BLOCK, SMALL_BLOCK):
        some = ids[start : start + SMALL_BLOCK]
        fresh.append_segment(some.tobytes(), encode(held.fetch(some)).tobytes())
        assert fresh.last_id == some[-1]
    rest = ids[ids > fresh.last_id]
    fresh.append(rest, held.fetch(rest))
    return fresh


def filled(n: int, dimensions: int = 64, seed: int = 7) -> tuple[Codes, Held]:
    codes, held = Codes(dimensions), Held(dimensions)
    halves = halves_of(seed, n, dimensions)
    codes.append(np.arange(n, dtype=np.int64), halves)
    held.rows = dict(enumerate(halves))
    return codes, held


@pytest.mark.usefixtures("small_blocks")
def test_no_rows_give_no_candidates():
    codes = Codes(100)
    assert codes.last_id == NOTHING
    for allowed in (None, NO_IDS, np.array([3])):
        assert len(codes.candidates(unit(1, 100), Widths(4, 2), allowed)) == 0
    codes.append(NO_IDS, np.empty((0, 100), np.float16))
    codes.append_segment(b"", b"")
    codes.remove(np.array([1]))
    assert len(codes) == 0


def test_equal_vectors_are_found_by_their_ids():
    codes = Codes(64)
    ids = np.arange(5_000, dtype=np.int64) * 2
    codes.append(ids, np.ones((5_000, 64), np.float16))
    assert codes.candidates(unit(1, 64), Widths(100, 40), None).tolist() == ids[:40].tolist()
    codes.remove(ids[:10])
    found = codes.candidates(unit(1, 64), Widths(100, 40), ids[1::2])
    assert found.tolist() == ids[11:90:2].tolist()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_only_allowed_rows_are_found_at_any_share(share):
    codes, held = filled(600)
    allowed = np.flatnonzero(np.random.default_rng(3).random(600) < share)
    query = unit(5, 64)
    found = codes.candidates(query, Widths(20, 10), allowed)
    assert len(found) == 10
    assert np.isin(found, allowed).all()
    assert found.tolist() == codes.candidates(query, Widths(20, 10), allowed).tolist()
    removed = held.ids[::3]
    codes.remove(removed)
    assert not np.isin(codes.candidates(query, Widths(20, 10), allowed), removed).any()


@pytest.mark.usefixtures("small_blocks")
def test_blocks_with_many_dead_rows_are_put_together():
    codes, held = filled(20 * SMALL_BLOCK)
    codes.remove(held.ids[held.ids % 4 != 0])
    assert [block.n for block in codes._blocks] == [SMALL_BLOCK] * 5
    codes.remove(held.ids)
    assert codes._blocks == []
    assert codes.last_id == 20 * SMALL_BLOCK - 1


@pytest.mark.usefixtures("small_blocks")
def test_segments_fill_blocks_whatever_their_length():
    codes, held = Codes(64), halves_of(7, 11, 64)
    codes.append(np.array([-5]), held[:1])
    codes.append_segment(np.array([1, 2], np.int64).tobytes(), encode(held[1:3]).tobytes())
    codes.append_segment(np.arange(3, 11, dtype=np.int64).tobytes(), encode(held[3:]).tobytes())
    assert [block.n for block in codes._blocks] == [SMALL_BLOCK, 3]
    assert codes.candidates(unit(1, 64), Widths(40, 20), None).tolist() == [-5, *range(1, 11)]


def test_ids_that_do_not_rise_are_refused():
    codes = Codes(16)
    codes.append(np.array([4]), halves_of(1, 1, 16))
    for ids in ([4], [3], [5, 5], [6, 5]):
        with pytest.raises(ValueError, match="rise above 4"):
            codes.append(np.array(ids), halves_of(1, len(ids), 16))
    with pytest.raises(ValueError, match="reshape"):
        codes.append_segment(np.array([9], np.int64).tobytes(), b"12345678" * 2)


@pytest.mark.parametrize("k", [1, 10, 100, 400])
@pytest.mark.parametrize("dimensions", [64, 384])
def test_most_of_the_nearest_are_found_among_many(k, dimensions):
    centres = halves_of(1, 300, dimensions).astype(np.float32)
    noise = halves_of(2, 6_000, dimensions).astype(np.float32)
    halves = (centres[np.arange(6_000) % 300] + 0.8 * noise).astype(np.float16)
    codes, held = Codes(dimensions), Held(dimensions)
    codes.append(np.arange(6_000, dtype=np.int64), halves)
    held.rows = dict(enumerate(halves))
    exact, found = held.exact(), 0
    for query in centres[:20]:
        expected = exact.nearest(query, k, None).ids
        found += len(np.intersect1d(nearest(codes, query, k, None, held.fetch).ids, expected))
    assert found >= 0.9 * 20 * k
    assert widths(6_000, k, dimensions).near >= 2 * widths(6_000, k, dimensions).final
