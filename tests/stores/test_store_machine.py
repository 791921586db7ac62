"""Every store does what the plain one in memory does, whatever the order of calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_samples import HYBRID, PAIR, SETTINGS, SPACE, build, item, sha, signs
from store_targets import PostgresTarget, SqliteTarget

from embedwell.core.errors import BadVectorError, SpaceMovedError, StoreError
from embedwell.stores.index import IndexName
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.pairs import Searched
from embedwell.stores.protocol import DocumentChunks, Filter, Stat, Store
from embedwell.stores.registry import create_store, open_store
from embedwell.stores.spaces import (
    CODE_ALONE,
    EVERYTHING,
    TEXT_ALONE,
    Admission,
    StoredSpace,
)
from embedwell.stores.sqlite import segments, vectors

# Words that the stemmer leaves alone: the plain store does not stem.
WORDS = ["alpha", "beta", "gamma", "parseMeta", "kappa", "Été", "x1"]
KEYS = st.sampled_from(["a.md", "src/b.py", "src/deep/c.py", "d"])
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
FILTERS = st.sampled_from(
    [
        Filter(),
        Filter(path="src/**"),
        Filter(language="python"),
        Filter(kind="text"),
        Filter(metadata={"n": 1}),
        Filter(path="*.md", metadata={"n": 0}),
    ]
)
DOCUMENTS = st.lists(st.tuples(KEYS, st.lists(TEXTS, max_size=4), st.integers(0, 20)), max_size=3)
SPACES = st.sampled_from([SPACE, replace(SPACE, model="wider", dimensions=24)])
HOLDS = st.sampled_from([None, CODE_ALONE, TEXT_ALONE, EVERYTHING])
INDEX = st.integers(0, 3)  # of a space among those that are there


def document(key: str, texts: list[str], number: int, there: Searched) -> DocumentChunks:
    """A document with vectors of the spaces that hold its kind."""
    kind = "code" if key.endswith("py") or number % 5 == 0 else "text"
    made = item(
        key,
        texts,
        [signs(number + at, there.main.space.dimensions) for at in range(len(texts))],
        language="python" if key.endswith("py") else "markdown",
        kind=kind,
        metadata={"n": number % 3},
    )
    if kind not in there.main.holds:
        made = replace(made, vectors=made.vectors[:0])
    if there.code is None or kind == "text":
        return made
    width = there.code.space.dimensions
    rows = [signs(number - at, width) for at in range(len(texts))]
    return replace(made, code_vectors=np.array(rows, np.float32).reshape(len(texts), width))


def outcome(act: Callable[[], Any]) -> Any:
    """What a call gives, or the kind of error that it ends with."""
    try:
        return act()
    except (StoreError, SpaceMovedError, BadVectorError) as error:
        return type(error)


class Stores(RuleBasedStateMachine):
    """Over the stores of a kind whose `new_target` names a place where there is none yet."""

    index: IndexName = "auto"

    @initialize(made_for=st.sampled_from([SETTINGS, PAIR, HYBRID]))
    def begin(self, made_for) -> None:
        self.target = self.new_target()
        self.store = create_store(self.target, made_for, index=self.index)
        self.other = open_store(self.target, index=self.index)
        self.plain = MemoryStore(made_for)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.check() == []
        self.store.close()
        self.other.close()
        self.remove()

    def both(self, by_other: bool, act: Callable[[Store], Any]) -> Any:
        """Do the same to the file, through either connection, and to the plain store."""
        found = outcome(lambda: act(self.other if by_other else self.store))
        assert found == outcome(lambda: act(self.plain))
        return found

    def space(self, index: int) -> StoredSpace:
        there = self.plain.spaces.all()
        return there[index % len(there)]

    @rule(documents=DOCUMENTS, by_other=st.booleans())
    def put(self, documents, by_other) -> None:
        there = self.plain.spaces.searched()
        items = [document(*fields, there) for fields in documents]
        code = there.code.number if there.code else None
        self.both(by_other, lambda store: store.put(items, space=there.main.number, code=code))

    @rule(documents=DOCUMENTS, main=INDEX, code=st.none() | INDEX, is_told=st.booleans())
    def put_what_may_be_of_other_spaces(self, documents, main, code, is_told) -> None:
        there = Searched(self.space(main), None if code is None else self.space(code))
        items = [document(*fields, there) for fields in documents]
        numbers = [one.number for one in there.both] if is_told else []
        known = dict(zip(("space", "code"), numbers, strict=False))
        self.both(False, lambda store: store.put(items, **known))

    @rule(keys=st.lists(KEYS, max_size=3), by_other=st.booleans())
    def delete(self, keys, by_other) -> None:
        self.both(by_other, lambda store: store.delete(keys))

    @rule(key=KEYS, size=st.integers(0, 2**40))
    def touch(self, key, size) -> None:
        self.both(False, lambda store: store.touch({key: Stat(size, size)}))

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = open_store(self.target, index=self.index)

    @rule(by_other=st.booleans())
    def compact(self, by_other) -> None:
        (self.other if by_other else self.store).compact()

    @rule(
        space=SPACES, role=st.sampled_from(["light", "next"]), holds=HOLDS, by_other=st.booleans()
    )
    def add_space(self, space, role, holds, by_other) -> None:
        self.both(by_other, lambda store: store.spaces.add(space, role, "a test", holds=holds))

    @rule(by_other=st.booleans())
    def split(self, by_other) -> None:
        self.both(by_other, lambda store: store.spaces.split())

    @rule(index=INDEX, after=st.integers(0, 30), n=st.integers(1, 9), by_other=st.booleans())
    def fill(self, index, after, n, by_other) -> None:
        stored = self.space(index)
        missing = self.both(by_other, lambda store: store.spaces.missing(stored.number, after, n))
        ids = np.array([found.id for found in missing], np.int64)
        rows = [signs(int(chunk) + index, stored.space.dimensions) for chunk in ids]
        table = np.array(rows, np.float32).reshape(len(ids), stored.space.dimensions)
        self.both(by_other, lambda store: store.spaces.fill(stored.number, ids, table))

    @rule(index=INDEX, by_other=st.booleans())
    def fill_all(self, index, by_other) -> None:
        self.fill(index, 0, 10**6, by_other)

    @rule(index=INDEX, keep=st.booleans(), by_other=st.booleans())
    def switch(self, index, keep, by_other) -> None:
        number = self.space(index).number
        self.both(by_other, lambda store: store.spaces.switch(number, keep=keep))

    @rule(index=INDEX, by_other=st.booleans())
    def drop(self, index, by_other) -> None:
        number = self.space(index).number
        self.both(by_other, lambda store: store.spaces.drop(number))

    @rule(index=INDEX, quantization=st.sampled_from(["q8", "q32"]), drift=st.floats(0, 1))
    def admit(self, index, quantization, drift) -> None:
        number = self.space(index).number
        admission = Admission(build(quantization), drift, drift, "", "now")
        self.both(False, lambda store: store.spaces.admit(number, admission))
        self.both(True, lambda store: list(store.spaces.admissions(number)))

    @rule(index=INDEX, number=st.integers(0, 30), k=st.integers(0, 6), where=FILTERS)
    def nearest(self, index, number, k, where) -> None:
        stored = self.space(index)
        asked = signs(number, stored.space.dimensions)
        found = self.store.nearest(asked, k, where, space=stored.number)
        expected = self.plain.nearest(asked, k, where, space=stored.number)
        assert found.ids.tolist() == expected.ids.tolist()
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
        every = np.array(self.every_id(), np.int64)
        again = self.other.similarities(asked, every, space=stored.number)
        scores = self.plain.similarities(asked, every, space=stored.number)
        np.testing.assert_allclose(again, scores, atol=1e-6)

    @rule(words=st.lists(st.sampled_from(WORDS), max_size=3), k=st.integers(1, 6), where=FILTERS)
    def matching(self, words, k, where) -> None:
        query = " ".join(words)
        found = self.store.matching(query, 100, where)
        expected = self.plain.matching(query, 100, where)
        assert sorted(found.ids.tolist()) == sorted(expected.ids.tolist())
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3, atol=1e-5)
        top = self.store.matching(query, k, where)
        assert top.ids.tolist() == found.ids[:k].tolist()
        scores = self.store.match_scores(query, expected.ids)
        np.testing.assert_allclose(scores, expected.scores, rtol=1e-3, atol=1e-5)

    @rule(texts=st.lists(TEXTS, max_size=3), index=INDEX)
    def known_vectors(self, texts, index) -> None:
        hashes = [sha(text) for text in texts]
        number = self.space(index).number
        self.both(False, lambda store: set(store.known_vectors(hashes, space=number)))

    def every_id(self) -> list[int]:
        """All chunks; the best found first."""
        found = [
            self.plain.nearest(signs(0, one.space.dimensions), 99, Filter(), space=one.number)
            for one in self.plain.spaces.searched().both
        ]
        return list(dict.fromkeys(chunk for one in found for chunk in one.ids.tolist()))

    @invariant()
    def same_contents(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.stats() == self.plain.stats()
        assert self.other.settings == self.store.settings == self.plain.settings
        counts, expected = self.store.counts(), self.plain.counts()
        assert (counts.documents, counts.chunks) == (expected.documents, expected.chunks)
        for kind in ("text", "code"):
            assert self.store.n_chunks(kind) == self.plain.n_chunks(kind)
        ids = self.every_id()
        assert len(ids) == expected.chunks
        assert self.store.chunks(ids) == self.plain.chunks(ids)
        for store in (self.store, self.other):
            assert store.spaces.all() == self.plain.spaces.all()
        for stored in self.plain.spaces.all():
            self.both(True, lambda store, n=stored.number: store.spaces.n_missing(n))
            given = [store.spaces.vectors(stored.number, ids) for store in (self.other, self.plain)]
            np.testing.assert_array_equal(*given)


class SqliteStores(SqliteTarget, Stores):
    pass


class CodesStores(SqliteStores):
    """Codes from the first row on, stored three rows at a time."""

    index = "codes"

    def new_target(self) -> str:
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(vectors, "EXACT_ROWS", 0)
        self.patches.setattr(segments, "BLOCK", 3)
        return super().new_target()

    def remove(self) -> None:
        self.patches.undo()
        super().remove()


class ExactStores(SqliteStores):
    index = "exact"


class VecStores(SqliteStores):
    index = "sqlite-vec"


class PostgresStores(PostgresTarget, Stores):
    pass


def examples(n: int) -> settings:
    return settings(
        max_examples=n,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


for machine in (SqliteStores, CodesStores, ExactStores, VecStores):
    machine.TestCase.settings = examples(15)
PostgresStores.TestCase.settings = examples(8)
TestSqliteStores = SqliteStores.TestCase
TestCodesStores = CodesStores.TestCase
TestExactStores = ExactStores.TestCase
TestVecStores = pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "enable_load_extension"),
    reason="this Python's sqlite3 loads no extensions",
)(VecStores.TestCase)


class TestPostgresStores(PostgresStores.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_server):
        PostgresTarget.server = postgres_server
