from __future__ import annotations

import pytest

from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder, admitted_fake
from one_folder import index_folder


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "folder"
    place.mkdir()
    (place / "a.md").write_text("# One\n\nalpha beta\n\n# Two\n\ngamma delta\n")
    (place / "b.py").write_text("def parse():\n    return 1\n")
    return place


@pytest.fixture
def store(tmp_path):
    opened = create_store(tmp_path / "index.db", CollectionSettings(FAKE_SPACE, 40))
    yield opened
    opened.close()


@pytest.fixture
def embedder():
    return FakeEmbedder()


@pytest.fixture
def index(folder, store, embedder):
    """Runs the job once and returns its report."""

    admitted = admitted_fake(store, embedder)

    def run(watch=None, size_factor=1.0):
        return index_folder(folder, store, lambda: admitted, size_factor, watch)

    return run
