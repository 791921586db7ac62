"""The SQLite store does what the plain one in memory does, whatever the order of calls."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_samples import SETTINGS, item, sha, signs

from embedwell.stores.memory import MemoryStore
from embedwell.stores.protocol import Filter, Stat
from embedwell.stores.sqlite import SqliteStore

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
ITEMS = st.builds(
    lambda key, texts, number: item(
        key,
        texts,
        [signs(number + at) for at in range(len(texts))],
        language="python" if key.endswith("py") else "markdown",
        kind="code" if key.endswith("py") else "text",
        metadata={"n": number % 3},
    ),
    KEYS,
    st.lists(TEXTS, max_size=4),
    st.integers(0, 20),
)


class Stores(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.file = self.folder / "index.db"
        self.store = SqliteStore.create(self.file, SETTINGS)
        self.other = SqliteStore.open(self.file)
        self.plain = MemoryStore(SETTINGS)

    def teardown(self) -> None:
        self.store.close()
        self.other.close()
        shutil.rmtree(self.folder)

    @rule(items=st.lists(ITEMS, max_size=4))
    def put(self, items) -> None:
        self.store.put(items)
        self.plain.put(items)

    @rule(items=st.lists(ITEMS, max_size=2))
    def put_by_another(self, items) -> None:
        self.other.put(items)
        self.plain.put(items)

    @rule(keys=st.lists(KEYS, max_size=3))
    def delete(self, keys) -> None:
        assert self.store.delete(keys) == self.plain.delete(keys)

    @rule(key=KEYS, size=st.integers(0, 2**40))
    def touch(self, key, size) -> None:
        for store in (self.store, self.plain):
            store.touch({key: Stat(size, size, "")})

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = SqliteStore.open(self.file)

    @rule(number=st.integers(0, 30), k=st.integers(0, 6), where=FILTERS)
    def nearest(self, number, k, where) -> None:
        found = self.store.nearest(signs(number), k, where)
        expected = self.plain.nearest(signs(number), k, where)
        assert found.ids.tolist() == expected.ids.tolist()
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
        again = self.other.similarities(signs(number), found.ids)
        np.testing.assert_allclose(again, expected.scores, atol=1e-6)

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

    @rule(texts=st.lists(TEXTS, max_size=3))
    def known_vectors(self, texts) -> None:
        hashes = [sha(text) for text in texts]
        assert set(self.store.known_vectors(hashes)) == set(self.plain.known_vectors(hashes))

    @invariant()
    def same_contents(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.stats() == self.plain.stats()
        counts, expected = self.store.counts(), self.plain.counts()
        assert (counts.documents, counts.chunks) == (expected.documents, expected.chunks)
        ids = self.plain.nearest(signs(0), 100, Filter()).ids.tolist()
        assert self.store.chunks(ids) == self.plain.chunks(ids)


Stores.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestStores = Stores.TestCase
