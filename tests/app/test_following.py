"""An index that follows its folders."""

from __future__ import annotations

import pytest

from embedwell.app.config.settings import Settings
from embedwell.app.indexes.following import follow
from embedwell.app.indexes.index import Index
from embedwell.core.errors import (
    CanaryError,
    StoreGoneError,
    StoreNotFoundError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder


@pytest.fixture
def index(tmp_path):
    file = tmp_path / "home/.embedwell/index.db"
    store = create_store(file, CollectionSettings(FAKE_SPACE, 40))
    settings = Settings(model=FAKE_SPACE.model)
    with Index(file, store, settings, connect=lambda s, w: FakeEmbedder()) as opened:
        yield opened


def test_what_will_pass_is_told_and_tried_again(index):
    watch, told, calls = Watch(), [], []

    def update():
        calls.append(1)
        if len(calls) == 1:
            raise StoreGoneError("The database is away.", "Start it.")
        watch.cancelled.set()

    follow(index, update, watch, told.append)
    assert told[0] == "The database is away. Start it. Trying again later."
    assert told[1].startswith("Changes are not told: there is no folder to watch; everything")
    assert len(calls) == 2


def test_a_folder_that_goes_is_waited_for_and_one_that_never_was_is_not(index):
    watch, told, calls = Watch(), [], []

    def update():
        calls.append(1)
        if len(calls) == 2:
            watch.cancelled.set()
            raise StoreNotFoundError("notes is not a folder.", "Name the folder to index.")

    follow(index, update, watch, told.append)
    assert told[0].startswith("notes is not a folder.")

    def fail():
        raise StoreNotFoundError("notes is not a folder.", "Name the folder to index.")

    with pytest.raises(StoreNotFoundError):
        follow(index, fail, Watch(), print)


@pytest.mark.parametrize(
    "error", [CanaryError("It is bad.", "Mend it.", {}), TaskCancelledError("index")]
)
def test_what_will_not_pass_ends_it(index, error):
    def update():
        raise error

    with pytest.raises(type(error)):
        follow(index, update, Watch(), print)


def test_a_folder_that_was_emptied_is_not_taken_for_gone(index, tmp_path):
    from embedwell.core.errors import QueueError

    for number in range(12):
        (tmp_path / f"home/{number}.md").write_text(f"note {number}")
    assert index.add_folder().n_added == 12
    for number in range(12):
        (tmp_path / f"home/{number}.md").unlink()
    with pytest.raises(QueueError, match="12 documents of it are stored"):
        index.add_folder()
    (tmp_path / "home/new.md").write_text("a new note")
    assert index.add_folder().n_removed == 12
