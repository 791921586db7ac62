"""A run costs as much as what changed: seen by an embedder and a reader that count."""

from functools import partial

import pytest

from embedwell.core.events import Watch
from embedwell.ingest.sources.folder import Folder
from embedwell.jobs.index import Listing, index_sources
from embedwell.jobs.sweeping.sweep import Sweeping
from embedwell.jobs.work.worker import WorkOptions, work
from embedwell.testing import admitted_fake
from one_folder import folder_source

N = 300


class CountingFolder(Folder):
    """Keeps the keys of the files that were read."""

    def __init__(self, place):
        super().__init__(place)
        self.read_keys = []

    def read(self, item):
        self.read_keys.append(item.key)
        return super().read(item)


@pytest.fixture
def many(tmp_path):
    for number in range(N):
        place = tmp_path / "many" / f"{number}.md"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"text of the file {number}")
    return tmp_path / "many"


def index(place, store, load_embedder):
    """Gives the report and what was read."""
    reader = CountingFolder(place)
    listing = Listing(folder_source(store, "many"), lambda: reader)
    options = WorkOptions(lambda _: reader)
    work_off = partial(work, store, load_embedder, options=options)
    report = index_sources(store, [listing], work_off, Watch(), Sweeping(0))
    return report, sorted(reader.read_keys)


def test_where_one_file_in_a_hundred_changed_only_those_are_read_and_embedded(
    many, store, embedder
):
    admitted = admitted_fake(store, embedder)
    report, read = index(many, store, lambda: admitted)
    assert report.n_added == len(read) == len(embedder.seen) == N
    embedder.seen.clear()
    for number in (3, 100, 250):
        (many / f"{number}.md").write_text(f"other words for {number}")
    report, read = index(many, store, lambda: admitted)
    assert (report.n_updated, report.n_unchanged) == (3, N - 3)
    assert read == ["100.md", "250.md", "3.md"]
    assert sorted(embedder.seen) == [f"other words for {number}" for number in (100, 250, 3)]


def test_where_nothing_changed_nothing_is_read_and_no_model_is_loaded(many, store, embedder):
    admitted = admitted_fake(store, embedder)
    index(many, store, lambda: admitted)
    report, read = index(many, store, pytest.fail)
    assert (report.n_unchanged, report.n_added, read) == (N, 0, [])
