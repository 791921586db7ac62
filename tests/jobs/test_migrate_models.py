"""Passages move from 384 to 768 dimensions and back under load, through real engines."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from benchmarks.random_bert import random_bert

from embedwell.core.errors import SpaceMovedError
from embedwell.core.events import Watch
from embedwell.engines.registry import open_engine
from embedwell.handshake.admit import admitted
from embedwell.jobs.migrate import migrate
from embedwell.jobs.records import Record, add_records
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store, open_store

N_PASSAGES = 600
NAMES = ["harbour", "lantern", "meadow", "violin", "copper", "orchard", "glacier", "saddle"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One layer each: random weights, but the engine and the sizes of vectors are real."""
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for width in (384, 768):
        artifact = random_bert(folder, width, n_layers=1, quantization="q32")
        made[artifact.space.model] = LocalEmbedder(artifact, open_engine(artifact, 1))
    yield made
    for embedder in made.values():
        embedder.close()


def text(number: int) -> str:
    first, second = NAMES[number % 8], NAMES[number // 8 % 8]
    return f"{first} {second} number {number} of {number * 7919 % 10007}"


@pytest.fixture
def place(tmp_path, models):
    narrow = next(iter(models.values())).space
    place = tmp_path / "index.db"
    with closing(create_store(place, CollectionSettings(narrow, 100))) as store:
        add(store, models, range(N_PASSAGES))
    return place


def embedder_of(store, models, stored):
    return admitted(store, stored.number, models[stored.space.model], (), "test")


def add(store, models, numbers):
    records = [Record(f"r{number}", text(number), {}) for number in numbers]
    add_records(records, store, lambda: embedder_of(store, models, store.spaces.main()))


def search(store, models, query, k=1):
    """As an index does it: once more where a migration ends in this moment."""

    def vector(query):
        embedder = embedder_of(store, models, store.spaces.main())
        found = embedder.embed([query], "query", Watch()).vectors[0]
        return QueryVector(found, embedder.number)

    searcher = Searcher(store, lambda query, _: [vector(query)])
    try:
        return searcher.search(query, k, "semantic")
    except SpaceMovedError:
        return searcher.search(query, k, "semantic")


def read(place, models, first, stop):
    """Passages are found by their own words, first and at distance 0: in one space or the other."""
    spaces = set()
    with closing(open_store(place)) as store:
        number = first
        while not stop.wait(0.01):  # the migration needs the processor, too
            [best] = (found := search(store, models, text(number))).results
            assert best.chunk.key == f"r{number}"
            assert best.similarity > 0.999
            spaces.add(found.space)
            number = (number + 37) % N_PASSAGES
    return spaces


def write(place, models, stop):
    with closing(open_store(place)) as store:
        for number in range(N_PASSAGES, N_PASSAGES + 30):
            add(store, models, [number])
            if stop.wait(0.02):
                return


def test_nothing_fails_and_the_end_is_as_new(place, models, tmp_path):
    stop = threading.Event()
    narrow, wide = (model.space for model in models.values())
    with ThreadPoolExecutor(5) as pool, closing(open_store(place)) as store:
        readers = [pool.submit(read, place, models, first, stop) for first in (0, 1, 2, 3)]
        writer = pool.submit(write, place, models, stop)
        try:
            for space in (wide, narrow):
                stored = store.spaces.add(space, "next", space.model)
                report = migrate(store, embedder_of(store, models, stored), Watch())
                assert report.validation.n_found == report.validation.n_checked
        finally:
            stop.set()
        writer.result()
        assert {narrow.id, wide.id} >= set().union(*(reader.result() for reader in readers))
        assert wide.id in set().union(*(reader.result() for reader in readers))
        assert store.check() == []
        compare_with_fresh(store, models, tmp_path / "fresh.db")


def compare_with_fresh(store, models, place):
    [main] = store.spaces.all()
    ids = store.spaces.sample(main.number, 1_000_000)
    assert store.counts().chunks == len(ids)
    chunks = store.chunks(ids.tolist())
    with closing(create_store(place, store.settings)) as fresh:
        add(fresh, models, [int(one.key.removeprefix("r")) for one in chunks])
        new = fresh.spaces.vectors(1, fresh.spaces.sample(1, 1_000_000))
        np.testing.assert_allclose(store.spaces.vectors(main.number, ids), new, atol=2e-3)
        for number in (5, 200, N_PASSAGES - 1):
            found, expected = (
                [result.chunk.key for result in search(one, models, text(number), 10).results]
                for one in (store, fresh)
            )
            assert found == expected
