"""Text and code in two spaces of one collection, in every store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from store_samples import (
    CODE_SPACE,
    HYBRID,
    PAIR,
    SETTINGS,
    SPACE,
    code_item,
    item,
    sha,
    signs,
    wide,
)

from embedwell.core.errors import BadVectorError, SpaceMovedError, StoreError
from embedwell.stores.protocol import Filter, Store
from embedwell.stores.queue import Which
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE

ALL = Filter()
TEXT = item("a.md", ["alpha one", "beta two"], [signs(1), signs(2)])
CODE = code_item("b.py", ["gamma three", "delta four"], [3, 4])
BOTH = code_item("b.py", ["gamma three", "delta four"], [3, 4], is_in_main=True)


def number_of_code(store: Store) -> int:
    stored = store.spaces.code()
    assert stored is not None
    return stored.number


def texts_near(store: Store, vector, space: int | None = None, where: Filter = ALL) -> list[str]:
    ids = store.nearest(vector, 99, where, space=space).ids
    return [found.chunk.text for found in store.chunks(ids.tolist())]


def fill(store: Store, number: int) -> int:
    """Give a space all vectors that it lacks: `wide` in one of code, else `signs` of the id."""
    ids = np.array([one.id for one in store.spaces.missing(number, 0, 99)], np.int64)
    is_wide = store.spaces.get(number).space.dimensions == CODE_SPACE.dimensions
    rows = [wide(n) if is_wide else signs(n) for n in ids.tolist()]
    return store.spaces.fill(number, ids, np.array(rows, np.float32))


@pytest.mark.parametrize(("settings", "holds"), [(PAIR, TEXT_ALONE), (HYBRID, EVERYTHING)])
def test_a_new_pair_has_two_spaces(make, settings, holds):
    store = make(settings)
    main, code = store.spaces.all()
    assert (store.spaces.main(), store.spaces.code()) == (main, code)
    assert (main.space, main.role, main.holds) == (SPACE, "main", holds)
    assert (code.space, code.role, code.holds) == (CODE_SPACE, "code", CODE_ALONE)
    assert (code.made_by, code.is_of_code, main.is_of_code) == ("another", True, False)
    assert store.settings == settings
    store.close()


def test_a_hybrid_pair_keeps_code_in_both(make):
    store = make(HYBRID)
    store.put([TEXT, BOTH])
    code = number_of_code(store)
    assert sorted(texts_near(store, signs(3))) == [
        "alpha one",
        "beta two",
        "delta four",
        "gamma three",
    ]
    assert texts_near(store, wide(3), code) == ["gamma three", "delta four"]
    assert store.settings == HYBRID
    for document in (CODE, replace(BOTH, code_vectors=None)):
        with pytest.raises(BadVectorError, match=r"'b.py' \(code\) has vectors of"):
            store.put([document])
    assert store.check() == []
    store.close()


def test_a_store_without_a_pair_says_so(store: Store):
    assert store.spaces.code() is None
    assert store.settings.code is None
    with pytest.raises(BadVectorError, match="main and code space"):
        store.put([BOTH])
    with pytest.raises(SpaceMovedError, match="from code space 2 to none"):
        store.put([TEXT], space=1, code=2)
    with pytest.raises(StoreError, match="no code space"):
        store.spaces.split()
    assert store.stats() == {}


def test_each_kind_is_searched_in_its_own_space(pair: Store):
    main, code = pair.spaces.main().number, number_of_code(pair)
    pair.put([TEXT, CODE], space=main, code=code)
    assert texts_near(pair, signs(1)) == ["alpha one", "beta two"]
    assert texts_near(pair, wide(4), code) == ["delta four", "gamma three"]
    assert texts_near(pair, wide(4), code, Filter(kind="text")) == []
    assert texts_near(pair, wide(4), code, Filter(path="*.py")) == ["delta four", "gamma three"]
    pair.warm(space=code)
    every = np.sort(pair.nearest(signs(1), 9, ALL).ids)
    ids = np.concatenate([every, pair.nearest(wide(3), 1, ALL, space=code).ids])
    np.testing.assert_allclose(pair.similarities(wide(3), ids, space=code), [-1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(pair.similarities(signs(1), ids)[[0, 2]], [1, -1], atol=1e-6)
    assert pair.known_vectors([sha("gamma three")]) == {}
    known = pair.known_vectors([sha("gamma three"), sha("alpha one")], space=code)
    np.testing.assert_array_equal(known[sha("gamma three")], wide(3))
    assert set(known) == {sha("gamma three")}
    assert pair.check() == []


@pytest.mark.parametrize(
    ("document", "given"),
    [
        (item("c.py", ["x"], kind="code"), "main"),
        (code_item("c.py", ["x"], is_in_main=True), "main and code"),
        (replace(CODE, code_vectors=None), "no"),
        (replace(TEXT, code_vectors=np.array([wide(1), wide(2)])), "main and code"),
        (replace(TEXT, vectors=TEXT.vectors[:0], code_vectors=TEXT.vectors), "code"),
    ],
)
def test_vectors_of_the_wrong_space_are_refused_and_nothing_is_kept(pair: Store, document, given):
    with pytest.raises(BadVectorError, match=f"has vectors of {given} space"):
        pair.put([TEXT, document])
    main, code = pair.spaces.main().number, number_of_code(pair)
    with pytest.raises(SpaceMovedError, match=f"has vectors of {given} space"):
        pair.put([TEXT, document], space=main, code=code)
    assert pair.stats() == {}


def test_bad_vectors_of_code_are_refused_and_nothing_is_kept(pair: Store):
    for bad in (np.zeros(24), np.full(24, np.nan), np.ones(16)):
        rows = np.array([bad, bad], np.float32)
        with pytest.raises(BadVectorError):
            pair.put([TEXT, replace(CODE, code_vectors=rows)])
    with pytest.raises(BadVectorError, match="2 chunks and 1 vectors"):
        pair.put([TEXT, replace(CODE, code_vectors=np.array([wide(1)]))])
    assert pair.stats() == {}


def test_documents_without_passages_fit_any_space(pair: Store):
    pair.put([item("empty.py", [], kind="code"), code_item("none.py", []), item("none.md", [])])
    assert pair.counts().documents == 3
    assert pair.check() == []


def test_a_writer_that_does_not_know_the_code_space_is_told(pair: Store):
    main, code = pair.spaces.main().number, number_of_code(pair)
    for known in (None, code + 1):
        with pytest.raises(SpaceMovedError, match=f"to {code}"):
            pair.put([TEXT], space=main, code=known)
    with pytest.raises(SpaceMovedError, match="gone over from its vector space"):
        pair.put([TEXT], space=main + 9, code=code)
    assert pair.stats() == {}


def test_a_document_of_another_kind_takes_its_vectors_to_the_other_space(pair: Store):
    code = number_of_code(pair)
    pair.put([TEXT, CODE])
    pair.put([replace(TEXT, document=replace(TEXT.document, key="b.py"))])
    pair.put([replace(CODE, document=replace(CODE.document, key="a.md"))])
    assert texts_near(pair, signs(1)) == ["alpha one", "beta two"]
    assert texts_near(pair, wide(4), code) == ["delta four", "gamma three"]
    assert {found.key for found in pair.passages("a.md")} == {"a.md"}
    assert pair.check() == []


def test_deleted_documents_leave_both_spaces(pair: Store):
    code = number_of_code(pair)
    pair.put([TEXT, CODE])
    pair.delete(["b.py"])
    assert texts_near(pair, wide(4), code) == []
    pair.put([CODE])
    pair.delete(["a.md"])
    assert texts_near(pair, signs(1)) == []
    pair.compact()
    assert texts_near(pair, wide(4), code) == ["delta four", "gamma three"]
    assert pair.check() == []
    assert pair.queue.purge(Which()).rows["vectors"] == 2
    assert texts_near(pair, wide(4), code) == []


def test_a_space_misses_what_it_holds(pair: Store):
    pair.put([TEXT, CODE])
    main, code = pair.spaces.main().number, number_of_code(pair)
    light = pair.spaces.add(CODE_SPACE, "light", "").number
    following = pair.spaces.add(SPACE, "next", "")
    assert following.holds == TEXT_ALONE
    assert pair.spaces.get(light).holds == EVERYTHING
    numbers = (main, code, light, following.number)
    assert [pair.spaces.n_missing(number) for number in numbers] == [0, 0, 4, 2]
    missing = pair.spaces.missing(following.number, 0, 9)
    assert [one.chunk.text for one in missing] == ["alpha one", "beta two"]
    ids = np.array([one.id for one in pair.spaces.missing(light, 0, 9)], np.int64)
    assert pair.spaces.fill(following.number, ids, np.array([signs(n) for n in ids])) == 2
    assert fill(pair, light) == 4
    assert [pair.spaces.n_missing(number) for number in numbers] == [0, 0, 0, 0]
    assert pair.check() == []


def test_samples_are_of_what_a_space_has(pair: Store):
    pair.put([TEXT, CODE, code_item("c.py", ["five", "six", "seven"]), item("d.md", ["eight"])])
    code = number_of_code(pair)
    every = [one.chunk.text for one in pair.chunks(pair.spaces.sample(code, 99).tolist())]
    assert every == ["gamma three", "delta four", "five", "six", "seven"]
    middle = pair.chunks(pair.spaces.sample_documents(code, 99).tolist())
    assert [one.chunk.text for one in middle] == ["gamma three", "six"]
    middle = pair.chunks(pair.spaces.sample_documents(pair.spaces.main().number, 99).tolist())
    assert [one.chunk.text for one in middle] == ["alpha one", "eight"]


def test_an_index_becomes_a_pair_and_nothing_is_lost_on_the_way(store: Store):
    old = item("b.py", ["gamma three", "delta four"], [signs(3), signs(4)], kind="code")
    store.put([TEXT, old])
    main = store.spaces.main().number
    made = store.spaces.add(CODE_SPACE, "next", "another", holds=CODE_ALONE)
    assert store.spaces.code() is None
    store.put([item("c.py", ["later"], kind="code")], space=main)
    assert store.spaces.n_missing(made.number) == 3
    with pytest.raises(StoreError, match="3 chunks"):
        store.spaces.switch(made.number, keep=False)
    assert fill(store, made.number) == 3
    store.spaces.switch(made.number, keep=True)
    assert store.settings == HYBRID
    assert len(texts_near(store, signs(3))) == 5
    with pytest.raises(SpaceMovedError, match="from code space none to"):
        store.put([old], space=main)
    store.spaces.split()
    assert store.settings == PAIR
    assert texts_near(store, signs(1)) == ["alpha one", "beta two"]
    assert len(texts_near(store, wide(1), made.number)) == 3
    store.spaces.split()  # again changes nothing
    assert store.check() == []


def test_a_writer_that_missed_the_split_is_told(make):
    store = make(HYBRID)
    main, code = store.spaces.main().number, number_of_code(store)
    store.put([TEXT, BOTH], space=main, code=code)
    store.spaces.split()
    with pytest.raises(SpaceMovedError, match="kept in another one by now"):
        store.put([BOTH], space=main, code=code)
    assert texts_near(store, signs(1)) == ["alpha one", "beta two"]
    assert store.check() == []
    store.close()


def test_a_pair_is_undone_only_when_main_holds_everything(pair: Store):
    pair.put([TEXT, CODE])
    main, code = pair.spaces.main().number, number_of_code(pair)
    with pytest.raises(StoreError, match="alone holds the code documents"):
        pair.spaces.drop(code)
    following = pair.spaces.add(SPACE, "next", "a test", holds=EVERYTHING).number
    known = pair.spaces.sample(main, 99)
    pair.spaces.fill(following, known, pair.spaces.vectors(main, known))
    assert fill(pair, following) == 2
    pair.spaces.switch(following, keep=False)
    assert pair.settings == HYBRID
    pair.spaces.drop(code)
    assert pair.settings == SETTINGS
    assert len(texts_near(pair, signs(1))) == 4
    pair.put([item("c.py", ["later"], kind="code")], space=following)
    assert [stored.role for stored in pair.spaces.all()] == ["main"]
    assert pair.check() == []


def test_another_code_space_takes_the_place_of_the_first_and_gives_it_back(pair: Store):
    pair.put([TEXT, CODE])
    main, code = pair.spaces.main().number, number_of_code(pair)
    following = pair.spaces.add(SPACE, "next", "a third", holds=CODE_ALONE).number
    fill(pair, following)
    pair.spaces.switch(following, keep=True)
    assert number_of_code(pair) == following
    assert (pair.spaces.main().number, pair.spaces.main().holds) == (main, TEXT_ALONE)
    assert (pair.spaces.get(code).role, pair.spaces.get(code).holds) == ("kept", CODE_ALONE)
    with pytest.raises(SpaceMovedError):
        pair.put([CODE], space=main, code=code)
    pair.spaces.switch(code, keep=False)
    assert number_of_code(pair) == code
    assert len(pair.spaces.all()) == 2
    assert texts_near(pair, wide(4), code) == ["delta four", "gamma three"]
    assert pair.check() == []


def test_another_main_space_of_text_needs_a_pair(pair: Store):
    pair.put([TEXT, CODE])
    old, code = pair.spaces.main().number, number_of_code(pair)
    first = pair.spaces.add(CODE_SPACE, "next", "").number
    fill(pair, first)
    pair.spaces.switch(first, keep=True)
    assert pair.settings.space == CODE_SPACE
    whole = pair.spaces.add(SPACE, "next", "", holds=EVERYTHING).number
    fill(pair, whole)
    pair.spaces.switch(whole, keep=False)
    pair.spaces.drop(code)
    with pytest.raises(StoreError, match="holds text alone, and no other one holds code"):
        pair.spaces.switch(old, keep=False)
    pair.spaces.drop(old)
    assert pair.check() == []
