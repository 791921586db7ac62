"""Several spaces beside each other, in every store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_samples import SETTINGS, SPACE, build, item, sha, signs, wide

from embedwell.core.errors import BadVectorError, SpaceMovedError, StoreError
from embedwell.core.space import Space
from embedwell.stores.protocol import Filter, Store
from embedwell.stores.spaces import Admission, Reference

ALL = Filter()
WIDE = replace(SPACE, model="wide", dimensions=24)
NOWHERE = 99


def filled(store: Store, space: Space = WIDE, role: str = "next") -> int:
    """A second space with a vector for every chunk there is; gives its number."""
    number = store.spaces.add(space, role, "a test").number
    ids = ids_missing(store, number)
    store.spaces.fill(number, ids, np.array([wide(n) for n in ids.tolist()]))
    return number


def ids_missing(store: Store, number: int):
    return np.array([found.id for found in store.spaces.missing(number, 0, 99)], np.int64)


def test_a_new_store_has_one_space(store: Store):
    main = store.spaces.main()
    assert store.spaces.all() == [main] == [store.spaces.get(main.number)]
    assert (main.space, main.role, main.made_by) == (SPACE, "main", SETTINGS.made_by)
    assert store.index_kind


def test_a_space_is_added_once_for_each_role(store: Store):
    light = store.spaces.add(WIDE, "light", "me")
    after = store.spaces.add(SPACE, "next", "you")  # the main one's declaration again
    assert store.spaces.all()[1:] == [light, after]
    assert (light.space, light.role, light.made_by) == (WIDE, "light", "me")
    assert after.number > light.number
    with pytest.raises(StoreError, match="already"):
        store.spaces.add(WIDE, "next", "")
    assert store.spaces.main().space == SPACE


def test_missing_chunks_come_by_id_and_are_filled_once(store: Store):
    store.put([item("a", ["1", "2", "3"])])
    number = store.spaces.add(WIDE, "next", "").number
    assert store.spaces.n_missing(number) == 3
    first, second, third = (found.id for found in store.spaces.missing(number, 0, 9))
    assert [found.chunk.text for found in store.spaces.missing(number, first, 1)] == ["2"]
    given = np.array([third, 10_000, first])
    rows = np.array([wide(3), wide(9), wide(1)])
    assert store.spaces.fill(number, given, rows) == 2
    assert store.spaces.fill(number, given, -rows) == 0
    assert ids_missing(store, number).tolist() == [second]
    asked = store.spaces.vectors(number, np.array([first, second, third, 10_000]))
    np.testing.assert_array_equal(asked[[0, 2]], rows[[2, 0]])
    assert np.isnan(asked[[1, 3]]).all()


def test_bad_vectors_fill_nothing(store: Store):
    store.put([item("a", ["1", "2"])])
    number = store.spaces.add(WIDE, "next", "").number
    ids = ids_missing(store, number)
    for bad in (np.zeros(24), np.full(24, np.nan), np.full(24, np.inf)):
        with pytest.raises(BadVectorError):
            store.spaces.fill(number, ids, np.array([wide(1), bad], np.float32))
    for rows in (np.ones((2, 16), np.float32), np.array([wide(1)])):
        with pytest.raises(BadVectorError):
            store.spaces.fill(number, ids, rows)
    assert store.spaces.n_missing(number) == 2


def test_each_space_is_searched_by_its_number(store: Store):
    store.put([item("a", ["1", "2", "3"], [signs(1), signs(2), signs(3)])])
    number = filled(store, role="light")
    one = store.nearest(signs(2), 1, ALL).ids
    np.testing.assert_allclose(store.nearest(wide(int(one[0])), 9, ALL, space=number).scores[0], 1)
    assert store.nearest(wide(int(one[0])), 1, ALL, space=number).ids.tolist() == one.tolist()
    store.warm(space=number)
    scores = store.similarities(wide(int(one[0])), one, space=number)
    np.testing.assert_allclose(scores, 1, atol=1e-6)
    known = store.known_vectors([sha("2")], space=number)[sha("2")]
    np.testing.assert_array_equal(known, wide(int(one[0])))
    with pytest.raises(BadVectorError):
        store.nearest(signs(1), 1, ALL, space=number)


def test_a_chunk_without_a_vector_in_a_light_space_is_far(store: Store):
    store.put([item("a", ["1"])])
    number = filled(store, role="light")
    store.put([item("b", ["2"])])
    ids = store.nearest(signs(1), 9, ALL).ids
    assert len(store.nearest(wide(1), 9, ALL, space=number).ids) == 1
    scores = store.similarities(wide(int(ids.min())), np.sort(ids), space=number)
    np.testing.assert_allclose(scores, [1, -1], atol=1e-6)
    assert store.known_vectors([sha("2")], space=number) == {}


def test_rows_filled_in_any_order_are_found(store: Store):
    store.put([item("a", ["1", "2", "3"])])
    number = store.spaces.add(WIDE, "light", "").number
    ids = ids_missing(store, number)
    for chunk in ids[[2, 0, 1]].tolist():
        store.spaces.fill(number, np.array([chunk]), wide(chunk)[None])
        assert store.nearest(wide(chunk), 1, ALL, space=number).ids.tolist() == [chunk]
    assert np.sort(store.nearest(wide(0), 9, ALL, space=number).ids).tolist() == ids.tolist()


def test_deleted_documents_leave_every_space(store: Store):
    store.put([item("a", ["1", "2"]), item("b", ["3"])])
    number = filled(store)
    light = filled(store, role="light")
    store.nearest(wide(1), 9, ALL, space=light)
    gone = store.nearest(signs(1), 1, Filter(path="a")).ids
    store.delete(["a"])
    for space in (number, light):
        assert len(store.nearest(wide(1), 9, ALL, space=space).ids) == 1
        assert np.isnan(store.spaces.vectors(space, gone)).all()
        assert store.spaces.n_missing(space) == 0
    assert store.check() == []


@pytest.mark.parametrize("keep", [True, False])
def test_switching_makes_another_space_the_main_one(store: Store, keep):
    store.put([item("a", ["1", "2"])])
    old = store.spaces.main().number
    new = filled(store)
    store.spaces.switch(new, keep=keep)
    assert store.settings.space == WIDE
    assert store.settings.chunk_tokens == SETTINGS.chunk_tokens
    assert store.settings.made_by == "a test"
    assert store.spaces.main().number == new
    chunk = int(store.nearest(wide(1), 9, ALL).ids[0])
    assert chunk in store.spaces.sample(new, 9)
    roles = {stored.number: stored.role for stored in store.spaces.all()}
    assert roles == ({old: "kept", new: "main"} if keep else {new: "main"})
    if keep:
        store.spaces.switch(old, keep=True)  # back at once
        assert store.settings == SETTINGS
        assert len(store.nearest(signs(1), 9, ALL).ids) == 2
    assert store.check() == []


def test_switching_again_changes_nothing(store: Store):
    number = filled(store)
    store.spaces.switch(number, keep=True)
    store.spaces.switch(number, keep=False)
    assert [stored.role for stored in store.spaces.all()] == ["kept", "main"]


def test_a_space_with_holes_is_not_switched_to(store: Store):
    store.put([item("a", ["1"])])
    number = filled(store)
    store.put([item("b", ["2", "3"])])
    with pytest.raises(StoreError, match="2 chunks"):
        store.spaces.switch(number, keep=False)
    assert store.settings == SETTINGS
    assert store.spaces.get(number).role == "next"


def test_a_dropped_space_is_gone_with_its_proof(store: Store):
    store.put([item("a", ["1"])])
    number = filled(store)
    store.spaces.refer(number, Reference("set", wide(1)[None], build()))
    store.spaces.admit(number, Admission(build(), 0.0, 0.0, "", "now"))
    store.spaces.drop(number)
    assert [stored.role for stored in store.spaces.all()] == ["main"]
    again = store.spaces.add(WIDE, "next", "")
    assert again.number > number
    assert store.spaces.reference(again.number) is None
    assert list(store.spaces.admissions(again.number)) == []
    assert store.spaces.n_missing(again.number) == 1
    with pytest.raises(StoreError, match="searched"):
        store.spaces.drop(store.spaces.main().number)
    assert store.check() == []


def test_what_asks_for_a_space_that_is_gone_is_told(store: Store):
    store.put([item("a", ["1"])])
    ids, rows, none = np.array([1]), wide(1)[None], np.empty(0, np.int64)
    spaces = store.spaces
    for ask in (
        lambda: spaces.get(NOWHERE),
        lambda: spaces.switch(NOWHERE, keep=True),
        lambda: spaces.drop(NOWHERE),
        lambda: spaces.n_missing(NOWHERE),
        lambda: spaces.missing(NOWHERE, 0, 1),
        lambda: spaces.fill(NOWHERE, ids, rows),
        lambda: spaces.sample(NOWHERE, 1),
        lambda: spaces.vectors(NOWHERE, none),
        lambda: spaces.reference(NOWHERE),
        lambda: spaces.refer(NOWHERE, Reference("set", rows, build())),
        lambda: spaces.admissions(NOWHERE),
        lambda: spaces.admission(NOWHERE, "key"),
        lambda: spaces.admit(NOWHERE, Admission(build(), 0, 0, "", "")),
        lambda: store.warm(space=NOWHERE),
        lambda: store.nearest(signs(1), 1, ALL, space=NOWHERE),
        lambda: store.similarities(signs(1), ids, space=NOWHERE),
        lambda: store.known_vectors([], space=NOWHERE),
        lambda: store.put([item("b", ["2"])], space=NOWHERE),
    ):
        with pytest.raises(SpaceMovedError, match="gone over"):
            ask()
    assert set(store.stats()) == {"a"}


def test_a_writer_that_missed_the_switch_keeps_nothing(store: Store):
    store.put([item("a", ["1"])])
    old, number = store.spaces.main().number, filled(store)
    store.put([item("b", ["2"])], space=old)
    ids = ids_missing(store, number)
    store.spaces.fill(number, ids, wide(1)[None])
    store.spaces.switch(number, keep=True)
    with pytest.raises(SpaceMovedError):
        store.put([item("c", ["3"])], space=old)
    with pytest.raises(BadVectorError):
        store.put([item("c", ["3"])])
    assert set(store.stats()) == {"a", "b"}


@pytest.mark.parametrize("n", [0, 1, 4, 10, 99])
def test_samples_are_spread_over_all_rows(store: Store, n):
    store.put([item("a", [str(at) for at in range(30)])])
    store.put([item("gap", ["x"] * 30), item("b", [str(at) for at in range(30)])])
    store.delete(["gap"])
    main = store.spaces.main().number
    ids = store.spaces.sample(main, n)
    assert ids.dtype == np.int64
    assert 0 < len(ids) <= n or n == 0
    assert (np.diff(ids) > 0).all()
    every = np.sort(store.nearest(signs(0), 99, ALL).ids)
    assert np.isin(ids, every).all()
    if n >= len(every):
        assert ids.tolist() == every.tolist()
    elif n >= 4:
        assert (ids <= every[29]).any()
        assert (ids >= every[30]).any()


@pytest.mark.parametrize("n", [1, 2, 99])
def test_samples_of_what_was_stored_later(store: Store, n):
    store.put([item("a", [str(at) for at in range(20)])])
    main = store.spaces.main().number
    last = int(store.spaces.sample(main, 99)[-1])
    assert len(store.spaces.sample(main, n, after=last)) == 0
    store.put([item("b", [str(at) for at in range(20)])])
    ids = store.spaces.sample(main, n, after=last)
    assert len(ids) == min(n, 20)
    assert (ids > last).all()


def test_documents_are_sampled_whatever_their_length(store: Store):
    lengths = [1, 1, 30, 1, 2, 30, 1, 3]
    store.put([item("before", ["0"] * 9)])
    main = store.spaces.main().number
    after = int(store.spaces.sample(main, 99)[-1])
    assert len(store.spaces.sample_documents(main, 9, after=after)) == 0
    for at, length in enumerate(lengths):
        store.put([item(str(at), [f"{at} {part}" for part in range(length)])])
    ids = store.spaces.sample_documents(main, 99, after=after)
    texts = [found.chunk.text for found in store.chunks(ids.tolist())]
    assert texts == [f"{at} {(length - 1) // 2}" for at, length in enumerate(lengths)]
    assert len(store.spaces.sample_documents(main, 99)) == len(lengths) + 1
    few = store.spaces.sample_documents(main, 3, after=after)
    assert len(few) == 3
    assert np.isin(few, ids).all()


def test_the_first_reference_stays(store: Store):
    main = store.spaces.main().number
    assert store.spaces.reference(main) is None
    vectors = np.array([signs(1), signs(2) / 3], np.float32)
    first = Reference("probes-1", vectors, build(host="here"))
    for given in (first, Reference("other", -vectors, build("q8"))):
        now = store.spaces.refer(main, given)
        assert (now.probes, now.build) == (first.probes, first.build)
        np.testing.assert_array_equal(now.vectors, vectors)
        assert now.vectors.dtype == np.float32
    with pytest.raises(BadVectorError):
        store.spaces.refer(main, Reference("bad", vectors * np.nan, build()))


def test_admissions_are_found_by_build_and_renewed(store: Store):
    main = store.spaces.main().number
    one, other = build("q32"), build("q8")
    admitted = [
        Admission(one, 0.0, 0.0, "", "2026-01-01T00:00:00+00:00"),
        Admission(other, 0.004, 0.02, "", "2026-01-02T00:00:00+00:00"),
    ]
    for admission in admitted:
        assert store.spaces.admission(main, admission.build.key) is None
        store.spaces.admit(main, admission)
        assert store.spaces.admission(main, admission.build.key) == admission
    assert list(store.spaces.admissions(main)) == admitted
    renewed = Admission(replace(one, host="there"), 0.03, 0.1, "m@q32", "later")
    store.spaces.admit(main, renewed)
    assert list(store.spaces.admissions(main)) == [renewed, admitted[1]]


def test_compacting_keeps_what_is_found(store: Store):
    store.put([item(f"d{n}", [f"word{n} alpha", "beta"]) for n in range(20)])
    number = filled(store, role="light")
    store.nearest(signs(1), 9, ALL)
    store.delete([f"d{n}" for n in range(15)])
    before = store.nearest(signs(1), 99, ALL).ids.tolist()
    store.compact()
    assert store.nearest(signs(1), 99, ALL).ids.tolist() == before
    assert len(store.nearest(wide(1), 99, ALL, space=number).ids) == 10
    assert len(store.matching("alpha", 99, ALL).ids) == 5
    assert store.check() == []
    with store.writing():
        store.compact()  # by the job that writes


def test_a_backup_never_replaces_a_file(store: Store, tmp_path: Path):
    target = tmp_path / "copy.db"
    target.write_bytes(b"precious")
    with pytest.raises(StoreError):
        store.backup(target)
    assert target.read_bytes() == b"precious"
