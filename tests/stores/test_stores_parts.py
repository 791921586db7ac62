"""The exact index, the lock and the registry."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import SETTINGS

from embedwell.core.errors import StoreBusyError, StoreNotFoundError
from embedwell.stores import registry
from embedwell.stores.index import best
from embedwell.stores.lock import locked
from embedwell.stores.scan.exact import ExactIndex


@given(
    st.lists(st.integers(-3, 3), max_size=30),
    st.integers(-1, 35),
)
def test_best_is_a_stable_sort(scores, k):
    ids = np.arange(len(scores), dtype=np.int64) * 3
    found = best(ids, np.array(scores, np.float32), k)
    expected = sorted(zip(scores, ids.tolist(), strict=True), key=lambda row: (-row[0], row[1]))
    assert found.ids.tolist() == [number for _, number in expected[: max(k, 0)]]


def test_the_exact_index_forgets_what_it_is_told_to():
    index = ExactIndex(2)
    rows = np.eye(2, dtype=np.float16)
    index.append(np.array([1, 5]), rows)
    index.append(np.array([7, 9]), rows)
    index.remove(np.array([5, 7, 100]))
    assert (len(index), index.ids.tolist()) == (2, [1, 9])
    assert index.nearest(np.array([0, 1], np.float32), 9, None).ids.tolist() == [9, 1]


@pytest.mark.parametrize("n_allowed", [0, 1, 40])
def test_allowed_ids_give_the_same_scores_copied_out_or_not(n_allowed):
    rng = np.random.default_rng(1)
    index = ExactIndex(8)
    ids = np.arange(50, dtype=np.int64)
    index.append(ids, rng.standard_normal((50, 8)).astype(np.float16))
    query = np.full(8, 8**-0.5, np.float32)
    allowed = np.append(ids[:n_allowed], 1000)
    whole = index.nearest(query, 50, None)
    some = index.nearest(query, 50, allowed)
    keep = np.isin(whole.ids, allowed)
    assert some.ids.tolist() == whole.ids[keep].tolist()
    np.testing.assert_allclose(some.scores, whole.scores[keep], atol=2e-6)


def test_an_empty_index_allows_nothing():
    assert len(ExactIndex(2).nearest(np.ones(2, np.float32), 3, np.array([1])).ids) == 0


def test_a_lock_is_held_once_and_says_by_whom(tmp_path: Path):
    path = tmp_path / "lock"
    with (
        locked(path, "writing"),
        pytest.raises(StoreBusyError, match=r"process .* is writing"),
        locked(path, "writing"),
    ):
        pass
    with locked(path, "writing"):
        pass
    assert path.exists()


def test_a_store_is_found_by_its_target(tmp_path: Path):
    registry.create_store(tmp_path / "index.db", SETTINGS).close()
    store = registry.open_store(str(tmp_path / "index.db"), read_only=True)
    assert store.settings == SETTINGS
    store.close()


def test_an_unknown_kind_lists_those_there_are():
    with pytest.raises(StoreNotFoundError, match="sqlite"):
        registry.open_store("tape://reel")


def test_third_parties_are_found_by_their_entry_point(monkeypatch: pytest.MonkeyPatch):
    made = object()
    factory = SimpleNamespace(open=lambda target, *, read_only, index: made)
    entry = SimpleNamespace(load=lambda: factory)
    monkeypatch.setattr(registry, "entry_points", lambda group, name: [entry])
    assert registry.open_store("tape://reel") is made


def test_a_path_is_never_an_address():
    assert registry.store_kind(Path("tape://reel")) == "sqlite"
    assert registry.store_kind("tape://reel") == "tape"
