"""Small indexed folders for tests, made without a model."""

from __future__ import annotations

from pathlib import Path

from embedwell.app.config.place import default_file
from embedwell.app.config.settings import Settings
from embedwell.app.indexes.index import Index
from embedwell.core.events import Watch
from embedwell.models.catalogue import card
from embedwell.stores.protocol import CodeSpace, CollectionSettings
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


def make_index(place: Path, code_model: str = "") -> Path:
    """The same, indexed by `FakeEmbedder` in the default model's space, code in another one's."""
    make_folder(place)
    settings = Settings(code_model=code_model)
    space = card(settings.model).space
    pair = CodeSpace(card(code_model).space, "") if code_model else None
    file = default_file(place)
    store = create_store(file, CollectionSettings(space, 60, code=pair))

    def connect(chosen: Settings, _watch: Watch) -> FakeEmbedder:
        return FakeEmbedder(card(chosen.model).space)

    with Index(file, store, settings, connect=connect) as index:
        index.add_folder()
    return place
