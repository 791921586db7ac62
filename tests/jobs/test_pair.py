"""Giving code a space of its own, and taking it away, while a store is read and written."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from embedwell.core.errors import MigrationError, SpaceMovedError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.jobs.migrate import found_space, migrate, plan, roll_back
from embedwell.jobs.pair import plan_of, plan_wider, settle, undo
from embedwell.jobs.records import Record, add_records
from embedwell.stores.protocol import CollectionSettings, Filter
from embedwell.stores.registry import create_store, open_store
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE
from embedwell.testing import FAKE_SPACE, FakeEmbedder

CODE = replace(FAKE_SPACE, model="of-code", dimensions=48)
OTHER = replace(FAKE_SPACE, model="other", dimensions=24)
N_TEXT, N_CODE = 30, 12


class Counting(FakeEmbedder):
    """Counts what it is given."""

    n_embedded = 0

    def embed(self, texts, kind, watch):
        self.n_embedded += len(texts) if kind == "document" else 0
        return super().embed(texts, kind, watch)


def embedder_of(store, stored, embedder=None):
    return admitted(store, stored.number, embedder or FakeEmbedder(stored.space), (), "test")


def loader(store):
    def load(role="main"):
        stored = store.spaces.main() if role == "main" else store.spaces.code()
        if stored is None:
            raise SpaceMovedError("No pair.", "Look again.")
        return embedder_of(store, stored)

    return load


def records(first, stop, kind="text"):
    return [
        Record(f"{kind}{n}", f"{kind} word{n} and word{n % 7} of number {n}", {}, kind)
        for n in range(first, stop)
    ]


def to_pair(store, space=CODE, *, watch=None, **options):
    artifact = f"{space.model}@q32"
    stored = store.spaces.code()
    if stored is None or stored.space != space:
        stored = found_space(store, space, artifact, of_code=True) or store.spaces.add(
            space, "next", artifact, holds=CODE_ALONE
        )
    options.setdefault("hybrid", False)
    return settle(
        store,
        embedder_of(store, stored),
        lambda one: embedder_of(store, one),
        watch or Watch(),
        **options,
    )


def back(store):
    return undo(store, lambda one: embedder_of(store, one), Watch())


def shape(store):
    """Of each space its model, role and what it holds."""
    return [(one.space.model, one.role, one.holds) for one in store.spaces.all()]


def holds_what_it_says(store):
    """Every chunk has the vector of its text in each space that holds its kind, in no other."""
    for stored in store.spaces.all():
        every = store.spaces.sample(stored.number, 9_999)
        found = store.chunks(every.tolist())
        assert {one.kind for one in found} <= set(stored.holds)
        assert store.spaces.n_missing(stored.number) == 0
        texts = [one.chunk.text for one in found]
        fresh = FakeEmbedder(stored.space).embed(texts, "document", Watch()).vectors
        there = store.spaces.vectors(stored.number, every)
        np.testing.assert_allclose(there, fresh, atol=1e-3)
    return not store.check()


def fill(store):
    add_records(records(0, N_TEXT), store, loader(store))
    add_records(records(0, N_CODE, "code"), store, loader(store))
    return store


@pytest.fixture(params=["sqlite", "postgres"])
def filled(request):
    if request.param == "sqlite":
        yield fill(request.getfixturevalue("store"))
        return
    settings = CollectionSettings(FAKE_SPACE, 40)
    with closing(create_store(request.getfixturevalue("schema"), settings)) as made:
        yield fill(made)


def test_an_index_becomes_a_pair_and_one_again(filled):
    main = FAKE_SPACE.model
    report = to_pair(filled)
    assert (report.main_model, report.code_model, report.hybrid) == (main, "of-code", False)
    (move,) = report.moves
    assert (move.n_embedded, move.validation.n_found, move.validation.n_checked) == (12, 12, 12)
    assert shape(filled) == [(main, "main", TEXT_ALONE), ("of-code", "code", CODE_ALONE)]
    assert holds_what_it_says(filled)
    add_records(records(40, 44, "code"), filled, loader(filled))
    assert holds_what_it_says(filled)
    report = back(filled)
    assert (report.code_model, [one.n_embedded for one in report.moves]) == ("", [N_CODE + 4])
    assert shape(filled) == [(main, "main", EVERYTHING)]
    assert holds_what_it_says(filled)


def test_a_pair_becomes_hybrid_and_split_again(filled):
    (move,) = to_pair(filled, hybrid=True).moves
    assert move.n_embedded == N_CODE
    assert holds_what_it_says(filled)
    assert to_pair(filled, hybrid=True).moves == []
    assert to_pair(filled).moves == []
    assert filled.spaces.main().holds == TEXT_ALONE
    (move,) = to_pair(filled, hybrid=True).moves
    assert (move.n_embedded, move.from_model, move.to_model) == (N_CODE, *[FAKE_SPACE.model] * 2)
    assert filled.spaces.main().holds == EVERYTHING
    assert holds_what_it_says(filled)
    assert back(filled).moves == []
    assert shape(filled) == [(FAKE_SPACE.model, "main", EVERYTHING)]


def test_another_model_of_code_takes_over_and_gives_back(filled):
    to_pair(filled)
    to_pair(filled, OTHER, keep_old=True)
    assert [one[:2] for one in shape(filled)[1:]] == [("of-code", "kept"), ("other", "code")]
    assert holds_what_it_says(filled)
    assert roll_back(filled).space == CODE
    assert filled.spaces.main().holds == TEXT_ALONE
    assert holds_what_it_says(filled)


def test_the_main_model_of_a_pair_moves_with_text_alone(filled):
    to_pair(filled)
    stored = filled.spaces.add(OTHER, "next", "other@q32")
    assert migrate(filled, embedder_of(filled, stored), Watch()).n_embedded == N_TEXT
    assert shape(filled) == [("of-code", "code", CODE_ALONE), ("other", "main", TEXT_ALONE)]
    assert holds_what_it_says(filled)


def test_a_light_space_that_becomes_the_main_one_leaves_a_split_pair_split(filled):
    to_pair(filled)
    light = filled.spaces.add(OTHER, "light", "other@q32")
    assert found_space(filled, OTHER, "other@q32") == light
    assert migrate(filled, embedder_of(filled, light), Watch()).n_embedded == N_TEXT + N_CODE
    assert filled.spaces.main().holds == TEXT_ALONE
    assert holds_what_it_says(filled)


def test_going_back_to_a_space_of_everything_leaves_a_split_pair_split(filled):
    stored = filled.spaces.add(OTHER, "next", "other@q32")
    migrate(filled, embedder_of(filled, stored), Watch(), keep_old=True)
    to_pair(filled)
    assert roll_back(filled).space == FAKE_SPACE
    assert filled.spaces.main().holds == TEXT_ALONE
    assert holds_what_it_says(filled)


def test_a_space_of_text_is_not_gone_back_to_for_everything(filled):
    to_pair(filled)
    stored = filled.spaces.add(OTHER, "next", "other@q32")
    migrate(filled, embedder_of(filled, stored), Watch(), keep_old=True)
    back(filled)
    assert ("kept", TEXT_ALONE) in [one[1:] for one in shape(filled)]
    assert found_space(filled, FAKE_SPACE, "a test") is None


def test_stopped_it_goes_on_and_everything_is_found_meanwhile(filled):
    stored = filled.spaces.add(CODE, "next", "of-code@q32", holds=CODE_ALONE)
    few = filled.spaces.missing(stored.number, 0, 5)
    embedder = embedder_of(filled, stored)
    vectors = embedder.embed([one.chunk.text for one in few], "document", Watch()).vectors
    filled.spaces.fill(stored.number, np.array([one.id for one in few]), vectors)
    stop = Watch()
    stop.cancelled.set()
    with pytest.raises(TaskCancelledError):
        to_pair(filled, watch=stop)
    assert filled.spaces.code() is None
    assert len(filled.nearest(np.ones(32, np.float32), 99, Filter()).ids) == N_TEXT + N_CODE
    (move,) = to_pair(filled).moves
    assert move.n_embedded == N_CODE - 5
    assert holds_what_it_says(filled)


def test_what_is_known_is_not_embedded_again_when_a_pair_is_undone(filled):
    to_pair(filled)
    counting = Counting(FAKE_SPACE)
    undo(filled, lambda one: embedder_of(filled, one, counting), Watch())
    # The chunks of code, the probes' texts, and each chunk that is asked for by its own text.
    n_probes = len(filled.spaces.reference(filled.spaces.main().number).vectors)
    assert counting.n_embedded <= N_CODE + n_probes + N_TEXT + N_CODE
    assert holds_what_it_says(filled)


def test_the_proof_of_the_main_space_stays_with_its_vectors(filled):
    to_pair(filled)
    before = filled.spaces.reference(filled.spaces.main().number)
    back(filled)
    after = filled.spaces.reference(filled.spaces.main().number)
    np.testing.assert_array_equal(after.vectors, before.vectors)
    assert after.build == before.build


def test_another_migration_in_the_way_is_named(filled):
    to_pair(filled)
    filled.spaces.add(OTHER, "next", "other@q32", holds=CODE_ALONE)
    with pytest.raises(MigrationError, match=r"other@q32 was begun already.*same `--code`"):
        back(filled)
    with pytest.raises(MigrationError, match="was begun already"):
        found_space(filled, replace(CODE, model="third"), "third@q8", of_code=True)
    with pytest.raises(MigrationError, match="in the space of of-code@q32 already"):
        found_space(filled, CODE, "of-code@q32", of_code=True)
    begun = found_space(filled, OTHER, "other@q32", of_code=True)
    assert begun.role == "next"
    filled.spaces.drop(begun.number)
    main = filled.spaces.main()
    filled.spaces.add(main.space, "next", main.made_by, holds=EVERYTHING)
    with pytest.raises(MigrationError, match="the same `--no-code` or `--hybrid`"):
        found_space(filled, OTHER, "other@q32")
    assert shape(filled)[-1] == (main.space.model, "next", EVERYTHING)
    back(filled)
    assert holds_what_it_says(filled)


def test_plans_tell_chunks_of_code_alone(filled):
    found = plan(filled, CODE, None, FakeEmbedder(CODE), holds=CODE_ALONE)
    assert (found.n_chunks, found.n_missing, found.dimensions) == (12, 12, (32, 48))
    assert found.from_model == FAKE_SPACE.model
    assert found.seconds > 0
    to_pair(filled)
    wider = plan_wider(filled, loader(filled)())
    assert (wider.n_missing, wider.from_model, wider.to_model) == (12, "of-code", FAKE_SPACE.model)
    assert wider.bytes > (N_TEXT + N_CODE) * 64
    assert (wider.holds, found.holds) == (EVERYTHING, CODE_ALONE)
    text = plan(filled, OTHER, None, FakeEmbedder(OTHER))
    assert (text.n_chunks, text.n_missing, text.n_sampled) == (30, 30, 30)
    light = plan(filled, OTHER, None, FakeEmbedder(OTHER), holds=EVERYTHING)
    assert (light.n_chunks, light.n_missing) == (N_TEXT + N_CODE, N_TEXT + N_CODE)
    assert len(filled.spaces.all()) == 2


def test_readers_and_a_writer_go_on_through_all_of_it(store, tmp_path):
    fill(store)
    place, stop = tmp_path / "index.db", threading.Event()

    def found(store, role):
        load = loader(store)
        try:
            embedder = load(role)
        except SpaceMovedError:
            embedder = load()
        vector = embedder.embed(["code word5 and word5 of number 5"], "query", Watch()).vectors[0]
        with store.snapshot():
            if "code" not in store.spaces.get(embedder.number).holds:
                raise SpaceMovedError("Its code is elsewhere by now.", "Look again.")
            ids = store.nearest(vector, 1, Filter(kind="code"), space=embedder.number).ids
            return [one.key for one in store.chunks(ids.tolist())]

    def read():
        with closing(open_store(place)) as its:
            n = 0
            while not stop.is_set():
                try:
                    assert found(its, "code") == ["code5"]
                    n += 1
                except SpaceMovedError:  # an index asks once more
                    pass
            return n

    def write():
        with closing(open_store(place)) as its:
            for n in range(100, 120):
                kind = "code" if n % 2 else "text"
                add_records(records(n, n + 1, kind), its, loader(its))

    with ThreadPoolExecutor(3) as pool, closing(open_store(place)) as mine:
        readers = [pool.submit(read) for _ in range(2)]
        writer = pool.submit(write)
        try:
            to_pair(mine)
            to_pair(mine, hybrid=True)
            back(mine)
            to_pair(mine, OTHER)
            writer.result()
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
        assert mine.counts().chunks == N_TEXT + N_CODE + 20
        assert holds_what_it_says(mine)


def test_a_plan_tells_what_an_interrupted_run_left(filled):
    to_pair(filled)
    main = filled.spaces.main()
    begun = filled.spaces.add(main.space, "next", main.made_by, holds=EVERYTHING)
    every = filled.spaces.missing(begun.number, 0, N_TEXT + N_CODE)
    done = np.array([one.id for one in every[:-5]])
    vectors = np.ones((len(done), main.space.dimensions), np.float32)
    filled.spaces.fill(begun.number, done, vectors)
    wider = plan_wider(filled, loader(filled)())
    assert (wider.n_chunks, wider.n_missing) == (N_CODE, 5)


def test_a_plan_says_what_is_given_up_and_what_is_dropped(filled):
    def told(code_model, *, hybrid=False):
        found = plan_of(filled, code_model, [], hybrid=hybrid)
        return found.n_given_up, found.n_dropped, found.is_done

    assert told("of-code") == (N_CODE, 0, False)
    assert told("", hybrid=False) == (0, 0, True)
    to_pair(filled, hybrid=True)
    assert told("of-code", hybrid=True) == (0, 0, True)
    assert told("of-code") == (N_CODE, 0, False)
    assert told("") == (0, N_CODE, False)
    assert to_pair(filled).n_given_up == N_CODE
    assert told("of-code") == (0, 0, True)
    assert back(filled).n_dropped == N_CODE


def test_what_is_compared_with_the_old_space_is_what_both_hold(filled):
    to_pair(filled)
    (wider,) = to_pair(filled, hybrid=True).moves
    assert wider.validation.overlap == 1.0
