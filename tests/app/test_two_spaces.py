"""An index with a light space beside its main one, and one that moves while it is open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.indexes.index import Index
from embedwell.core.errors import OverBudgetError, PressureError
from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.jobs.migrate import migrate
from embedwell.models.catalogue import card
from embedwell.models.known import Known
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store, open_store
from embedwell.testing import FakeEmbedder

MAIN = card("all-MiniLM-L6-v2").space
LIGHT = replace(MAIN, model="light", dimensions=48)
SPACES = {MAIN.model: MAIN, LIGHT.model: LIGHT}
TEXTS = ["the lamp blinks amber", "dough rises in the warmth", "the ferry leaves at noon"]


class Machine:
    """Makes fakes, and says that a model does not fit when it is told to."""

    def __init__(self) -> None:
        self.too_large: set[str] = set()

    def connect(self, settings: Settings, watch: Watch) -> FakeEmbedder:
        if settings.model in self.too_large:
            raise OverBudgetError(f"{settings.model} needs 400 MB of 100 MB.", "Take another.")
        return FakeEmbedder(SPACES[settings.model])


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def file(tmp_path, machine):
    place = tmp_path / "index.db"
    create_store(place, CollectionSettings(MAIN, 60)).close()
    with opened(place, machine) as index:
        index.add(TEXTS, ids=["lamp", "dough", "ferry"])
    return place


def opened(place, machine) -> Index:
    store = open_store(place)
    settings = structs.replace(Settings(), model=store.settings.space.model)
    return Index(place, store, settings, connect=machine.connect)


def move(place, space, **options) -> None:
    store = open_store(place)
    role = "light" if options.get("keep_both") else "next"
    stored = store.spaces.add(space, role, f"{space.model}@q32")
    embedder = admitted(store, stored.number, FakeEmbedder(space), (), "test")
    migrate(store, embedder, Watch(), **options)
    store.close()


def best(index, query, **words):
    return index.search(query, k=1, **words).results[0].chunk.key


def test_the_light_space_is_searched_when_the_main_model_does_not_fit(file, machine):
    move(file, LIGHT, keep_both=True)
    machine.too_large.add(MAIN.model)
    with opened(file, machine) as index:
        found = index.search("when leaves the ferry", k=1)
        assert found.results[0].chunk.key == "ferry"
        assert found.space == LIGHT.id
        assert found.notice == (
            "Searched in the light space (light): all-MiniLM-L6-v2 needs 400 MB of 100 MB."
        )
        machine.too_large.clear()
        again = index.search("when leaves the ferry", k=1)
        assert (again.space, again.notice) == (MAIN.id, "")


def test_what_is_added_is_in_both_spaces(file, machine):
    move(file, LIGHT, keep_both=True)
    with opened(file, machine) as index:
        index.add(["a heron stands in the reeds"], ids=["heron"])
        light = index.store.spaces.all()[1]
        assert index.store.spaces.n_missing(light.number) == 0
        machine.too_large.add(MAIN.model)
    with opened(file, machine) as index:
        assert best(index, "heron in the reeds", mode="semantic") == "heron"


def test_what_is_not_in_the_light_space_yet_is_told(file, machine, caplog):
    move(file, LIGHT, keep_both=True)
    machine.too_large.add(LIGHT.model)
    with opened(file, machine) as index:
        index.add(["a heron stands in the reeds"], ids=["heron"])
        assert "The light space is behind until the next write" in caplog.text
        assert best(index, "heron") == "heron"
    machine.too_large = {MAIN.model}
    with opened(file, machine) as index:
        notice = index.search("heron", k=1).notice
        assert "1 passages are not in it yet" in notice


def test_without_a_light_space_the_model_that_does_not_fit_is_the_answer(file, machine):
    machine.too_large.add(MAIN.model)
    with opened(file, machine) as index, pytest.raises(OverBudgetError, match="400 MB"):
        index.search("ferry")


def test_without_a_light_space_pressure_makes_the_search_one_by_words(file, machine, monkeypatch):
    def full(settings, watch):
        raise PressureError("Memory is nearly full.", "Wait.")

    monkeypatch.setattr(machine, "connect", full)
    with opened(file, machine) as index:
        found = index.search("ferry", k=1)
        assert (found.mode, found.results[0].chunk.key) == ("lexical", "ferry")


def test_an_open_index_follows_a_migration(file, machine, monkeypatch):
    cards = {
        MAIN.model: card(MAIN.model),
        "light": replace(card(MAIN.model), name=LIGHT.model, dimensions=LIGHT.dimensions),
    }
    monkeypatch.setattr(Known, "card", lambda known, name: cards[name])
    with opened(file, machine) as index:
        assert best(index, "amber lamp") == "lamp"
        move(file, LIGHT)
        found = index.search("amber lamp", k=1)
        assert (found.space, found.results[0].chunk.key) == (LIGHT.id, "lamp")
        index.add(["a heron stands in the reeds"], ids=["heron"])
        assert best(index, "heron", mode="semantic") == "heron"
        assert index.settings.model == LIGHT.model
