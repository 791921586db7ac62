"""Killed at any moment of writing, migrating or compacting: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from contextlib import closing

import numpy as np
import pytest

from embedwell.core.events import Watch
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store, open_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder
from kills import killed

# `KILLS=200 pytest tests/jobs/test_kills.py` takes two minutes.
N_KILLS = int(os.environ.get("KILLS", "12"))
LONGEST_S, ENOUGH_S = 0.6, 60.0

# Adds, replaces and deletes records, migrates there and back and compacts, for ever. A line is
# written before and after each act: what is said to be done must be there.
WORK = """
import json, random, sys
from dataclasses import replace
from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.jobs.migrate import found_space, migrate
from embedwell.jobs.records import Record, add_records
from embedwell.stores.registry import open_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder

place, seed = sys.argv[1], int(sys.argv[2])
drawn, store = random.Random(seed), open_store(place)
wide = replace(FAKE_SPACE, model="wide", dimensions=48)

def say(*words):
    print(json.dumps(words), flush=True)

def embedder(stored):
    return admitted(store, stored.number, FakeEmbedder(stored.space), (), "test")

def migrate_away():
    space = wide if store.settings.space == FAKE_SPACE else FAKE_SPACE
    stored = found_space(store, space, space.model, keep_both=False)
    stored = stored or store.spaces.add(space, "next", space.model)
    migrate(store, embedder(stored), Watch())

print("ready", flush=True)
while True:
    keys = [f"r{drawn.randrange(60)}" for _ in range(8)]
    texts = {key: f"{key} holds word{drawn.randrange(1000)}. " * 3 for key in keys}
    say("putting", texts)
    records = [Record(key, text, {}) for key, text in texts.items()]
    add_records(records, store, lambda: embedder(store.spaces.main()))
    say("put", texts)
    gone = [f"r{drawn.randrange(60)}" for _ in range(2)]
    say("deleting", gone)
    store.delete(gone)
    say("deleted", gone)
    migrate_away()
    say("migrated", store.settings.space.model)
    store.compact()
    say("compacted", 0)
"""


@pytest.mark.parametrize("seed", range(N_KILLS))
def test_a_killed_writer_loses_and_doubles_nothing(place, told, seed):
    work(place, seed, told, random.Random(seed).uniform(0, LONGEST_S))
    with closing(open_store(place)) as store:
        assert store.check() == []
        main = store.spaces.main()
        ids = store.spaces.sample(main.number, 10_000)
        chunks = store.chunks(ids.tolist())
        assert store.counts().chunks == len(chunks)
        stored = {one.key: one.chunk.text for one in chunks}
        assert set(Counter(one.key for one in chunks).values()) <= {1}
        for key in stored.keys() | told.keys():
            assert stored.get(key) in told.get(key, [None]), key
        told.clear()
        told.update({key: [text] for key, text in stored.items()})
        if chunks:
            texts = [one.chunk.text for one in chunks]
            fresh = FakeEmbedder(main.space).embed(texts, "document", Watch()).vectors
            np.testing.assert_allclose(store.spaces.vectors(main.number, ids), fresh, atol=2e-3)


def test_what_was_killed_goes_on(place, told):
    """After all those kills the same work runs through."""
    assert {"put", "deleted", "migrated", "compacted"} <= set(
        work(place, 1, told, ENOUGH_S, '["compacted"')
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("killed") / "index.db"
    create_store(place, CollectionSettings(FAKE_SPACE, 40)).close()
    return place


@pytest.fixture(scope="module")
def told():
    """By key, the texts that may be there: two while an act is not acknowledged."""
    return {}


def work(place, seed, told, after_s, until=""):
    """Let a child work for a while; gives the words that it has said."""
    lines = [json.loads(line) for line in killed(WORK, [place, str(seed)], after_s, until)]
    for word, what in lines:
        keep(told, word, what)
    return [word for word, _ in lines]


def keep(told, word, what):
    if word == "putting":
        for key, text in what.items():
            told.setdefault(key, [None]).append(text.strip())
    elif word == "put":
        told.update({key: [text.strip()] for key, text in what.items()})
    elif word == "deleting":
        for key in what:
            told.setdefault(key, [None]).append(None)
    elif word == "deleted":
        told.update({key: [None] for key in what})
