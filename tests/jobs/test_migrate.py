"""Moving a store to another space while it is read and written."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from embedwell.core.errors import (
    BadTextsError,
    MigrationError,
    SpaceMovedError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.jobs.fill import fill_space
from embedwell.jobs.migrate import found_space, migrate, plan, roll_back
from embedwell.jobs.records import Record, add_records
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.registry import open_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder

WIDE = replace(FAKE_SPACE, model="wide", dimensions=48)


def embedder_of(store, stored):
    """The fake of a stored space's model, admitted to it."""
    return admitted(store, stored.number, FakeEmbedder(stored.space), (), "test")


def main_embedder(store):
    return embedder_of(store, store.spaces.main())


def records(first, last):
    return [
        Record(f"r{n}", f"word{n} and word{n % 7} of number {n}", {}) for n in range(first, last)
    ]


def move(store, space, artifact, **options):
    keep_both = options.get("keep_both", False)
    stored = found_space(store, space, artifact, keep_both=keep_both) or store.spaces.add(
        space, "light" if keep_both else "next", artifact
    )
    return migrate(store, embedder_of(store, stored), Watch(), **options)


def search(store, query):
    """As an index does it: once more where a migration ends in this moment."""
    searcher = Searcher(store, lambda text, _: [query_vector(store, text)])
    try:
        return searcher.search(query, 3, "semantic")
    except SpaceMovedError:
        return searcher.search(query, 3, "semantic")


def query_vector(store, text):
    embedder = main_embedder(store)
    return QueryVector(embedder.embed([text], "query", Watch()).vectors[0], embedder.number)


@pytest.fixture
def filled(store):
    add_records(records(0, 40), store, lambda: main_embedder(store))
    return store


def test_a_migrated_store_equals_a_fresh_one(filled):
    report = move(filled, WIDE, "wide@q32")
    assert (report.outcome, report.n_embedded) == ("switched", 40)
    assert report.validation.n_found == report.validation.n_checked == 40
    [only] = filled.spaces.all()
    assert (only.space, only.role) == (WIDE, "main")
    assert filled.settings.space == WIDE
    ids = filled.spaces.sample(only.number, 100)
    texts = [found.chunk.text for found in filled.chunks(ids.tolist())]
    fresh = FakeEmbedder(WIDE).embed(texts, "document", Watch()).vectors
    np.testing.assert_allclose(filled.spaces.vectors(only.number, ids), fresh, atol=1e-3)
    assert filled.check() == []


def test_there_and_back_gives_the_same_results(filled):
    before = [r.chunk.key for r in search(filled, "word5 of number 5").results]
    move(filled, WIDE, "wide@q32")
    move(filled, FAKE_SPACE, "fake@q32")
    after = [r.chunk.key for r in search(filled, "word5 of number 5").results]
    assert after == before


def test_what_was_kept_comes_back_at_once(filled):
    first = filled.spaces.main().number
    move(filled, WIDE, "wide@q32", keep_old=True)
    assert [stored.role for stored in filled.spaces.all()] == ["kept", "main"]
    assert roll_back(filled).number == first
    assert filled.settings.space == FAKE_SPACE
    assert roll_back(filled).space == WIDE


def test_after_a_write_going_back_says_what_is_missing_and_embeds_only_that(filled):
    move(filled, WIDE, "wide@q32", keep_old=True)
    add_records(records(40, 43), filled, lambda: main_embedder(filled))
    with pytest.raises(MigrationError, match="3 chunks were written since"):
        roll_back(filled)
    kept = filled.spaces.all()[0]
    assert fill_space(filled, embedder_of(filled, kept), Watch()) == 3
    assert roll_back(filled).space == FAKE_SPACE


def test_going_back_without_a_kept_space_is_refused(filled):
    with pytest.raises(MigrationError, match="No earlier space was kept"):
        roll_back(filled)


def test_a_stopped_migration_goes_on_where_it_was(filled):
    stored = filled.spaces.add(WIDE, "next", "wide@q32")
    watch = Watch()
    embedder = embedder_of(filled, stored)
    few = filled.spaces.missing(stored.number, 0, 10)
    vectors = embedder.embed([f.chunk.text for f in few], "document", Watch()).vectors
    filled.spaces.fill(stored.number, np.array([f.id for f in few]), vectors)
    watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        migrate(filled, embedder, watch)
    assert filled.settings.space == FAKE_SPACE
    assert move(filled, WIDE, "wide@q32").n_embedded == 30


def test_a_chunk_that_cannot_be_embedded_is_told_and_the_others_are_kept(filled):
    class Failing(FakeEmbedder):
        """Fails on one text."""

        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            bad = [at for at, text in enumerate(texts) if text.endswith("number 7")]
            if not bad:
                return found
            found.vectors[bad] = np.nan
            raise BadTextsError(dict.fromkeys(bad, "too odd"), found)

    stored = filled.spaces.add(WIDE, "next", "wide@q32")
    broken = admitted(filled, stored.number, Failing(WIDE), (), "test")
    with pytest.raises(BadTextsError, match="too odd"):
        fill_space(filled, broken, Watch())
    assert filled.spaces.n_missing(stored.number) == 1
    assert fill_space(filled, embedder_of(filled, stored), Watch(), 1e9) == 1


def test_another_migration_and_the_same_space_are_refused(filled):
    filled.spaces.add(WIDE, "next", "wide@q32")
    with pytest.raises(MigrationError, match="was begun already"):
        found_space(filled, replace(WIDE, model="third"), "third@q8", keep_both=False)
    filled.spaces.add(WIDE, "light", "wide@q32")
    with pytest.raises(MigrationError, match="light space of wide@q32 already"):
        found_space(filled, replace(WIDE, model="third"), "third@q8", keep_both=True)


def test_the_plan_tells_rows_and_lengths_and_writes_nothing(filled):
    found = plan(filled, WIDE, None, FakeEmbedder(WIDE))
    assert (found.n_chunks, found.n_missing, found.dimensions) == (40, 40, (32, 48))
    assert found.seconds > 0
    assert found.bytes > 40 * 96
    assert len(filled.spaces.all()) == 1


def test_a_space_that_finds_nothing_is_not_switched_to(filled):
    class Alike(FakeEmbedder):
        """Gives each document another vector than what asks for it."""

        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            self.n_calls = getattr(self, "n_calls", 0) + 1
            if self.n_calls > 1 and len(texts) >= 20:
                return replace(found, vectors=np.roll(found.vectors, self.n_calls, axis=0))
            return found

    stored = filled.spaces.add(WIDE, "next", "wide@q32")
    broken = admitted(filled, stored.number, Alike(WIDE), (), "test")
    broken.embed(["first"], "document", Watch())
    with pytest.raises(MigrationError, match="found by their own text"):
        migrate(filled, broken, Watch())
    assert filled.settings.space == FAKE_SPACE


def test_what_is_replaced_while_the_new_space_is_checked_does_not_stop_it(filled):
    class Meddled(FakeEmbedder):
        """While it embeds the sample, somebody deletes a quarter of the documents."""

        def embed(self, texts, kind, watch):
            if filled.spaces.n_missing(stored.number) == 0:
                filled.delete([f"r{n}" for n in range(10)])
            return super().embed(texts, kind, watch)

    stored = filled.spaces.add(WIDE, "next", "wide@q32")
    embedder = admitted(filled, stored.number, Meddled(WIDE), (), "test")
    report = migrate(filled, embedder, Watch())
    assert (report.validation.n_found, report.validation.n_checked) == (30, 30)


def test_copies_of_one_text_are_found_by_it(store):
    copies = [Record(f"c{n}", "the same licence in each folder", {}) for n in range(30)]
    add_records([*copies, *records(0, 20)], store, lambda: main_embedder(store))
    report = move(store, WIDE, "wide@q32")
    assert (report.validation.n_found, report.validation.n_checked) == (50, 50)


def test_both_spaces_are_kept(filled):
    report = move(filled, WIDE, "wide@q32", keep_both=True)
    assert report.outcome == "kept beside"
    assert [stored.role for stored in filled.spaces.all()] == ["main", "light"]
    assert filled.settings.space == FAKE_SPACE


def test_readers_and_a_writer_go_on_through_a_migration(filled, tmp_path):
    place = tmp_path / "index.db"
    stop = threading.Event()

    def read():
        with closing(open_store(place)) as store:
            n = 0
            while not stop.is_set():
                found = search(store, "word5 of number 5")
                assert found.results[0].chunk.key == "r5"
                n += 1
            return n

    def write():
        with closing(open_store(place)) as store:
            for n in range(100, 130):
                add_records(records(n, n + 1), store, lambda: main_embedder(store))

    with ThreadPoolExecutor(5) as pool, closing(open_store(place)) as mine:
        readers = [pool.submit(read) for _ in range(4)]
        writer = pool.submit(write)
        try:
            move(mine, WIDE, "wide@q32")
            move(mine, FAKE_SPACE, "fake@q32")
            writer.result()
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
        assert mine.counts().chunks == 70
        assert mine.spaces.n_missing(mine.spaces.main().number) == 0
        assert mine.check() == []
