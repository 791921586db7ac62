"""Small indexed folders for tests, made without a model."""

from __future__ import annotations

from pathlib import Path

from embedwell.app.config.place import default_file
from embedwell.app.config.settings import Settings
from embedwell.app.indexes.index import Index
from embedwell.models.catalogue import card
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store
from embedwell.testing import FakeEmbedder

LONG = "\n\n".join(f"## Part {n}\n\n{'words about part ' * 12}number{n}." for n in range(8))


def make_folder(place: Path) -> Path:
    """A folder with text and code."""
    place.mkdir(parents=True)
    (place / "disk.md").write_text("# Disks\n\nPull the drive whose lamp blinks.\n")
    (place / "bread.md").write_text("# Bread\n\nDough rises where it is warm.\n")
    (place / "retry.py").write_text('def again(act):\n    """Call an action again."""\n    act()\n')
    (place / "long.md").write_text(f"# Long\n\n{LONG}\n")
    return place


def make_index(place: Path) -> Path:
    """The same, indexed by `FakeEmbedder` in the default model's space."""
    make_folder(place)
    space = card("all-MiniLM-L6-v2").space
    file = default_file(place)
    store = create_store(file, CollectionSettings(space, 60))
    with Index(file, store, Settings(), connect=lambda *_: FakeEmbedder(space)) as index:
        index.add_folder()
    return place
