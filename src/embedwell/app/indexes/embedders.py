"""The embedders of one store: each loaded when it is needed and admitted before it is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.connect import Connect
from embedwell.app.embedding.pair_settings import check_lengths
from embedwell.app.models.choose import quantization_for
from embedwell.app.models.obtain import named
from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.errors import SpaceMovedError, UnknownModelError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.handshake.admit import AdmittedEmbedder, admitted, check_declaration
from embedwell.ingest.lanes import LoadEmbedder
from embedwell.models.known import Known
from embedwell.models.names import REMOTE, parse_name
from embedwell.runtime.lazy import LazyEmbedder
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import StoredSpace


class Embedders:
    """Gives the embedder of each of a store's spaces. Belongs to one thread, as the store does.

    Args:
        store: Its spaces are embedded for.
        settings: They name the models of the main and of the code space; when the store moves on
            to another one, that one's model takes its place.
        target: Where the store is, for people.
        connect: Makes an embedder.
    """

    def __init__(self, store: Store, settings: Settings, target: str, connect: Connect) -> None:
        self.settings = settings
        self._store = store
        self._target = target
        self._connect = connect
        self._seen: tuple[int, int] | None = None  # numbers of the spaces that were checked
        self._open: dict[int, AdmittedEmbedder] = {}

    def main(self, watch: Watch) -> AdmittedEmbedder:
        """The embedder of the main space; of a pair it loads its model when it is first used.

        Raises:
            SpaceMismatchError: The settings name another model than the store's.
            ModelError: The model cannot be had, or its bytes are wrong.
            OverBudgetError: It does not fit the memory budget.
        """
        return self.of(self.check(), watch)

    def code(self, watch: Watch) -> AdmittedEmbedder:
        """The embedder of the code space of a pair; it loads its model when it is first used.

        Raises:
            SpaceMismatchError: The settings name another model than the store's.
            SpaceMovedError: There is no pair any more.
        """
        self.check()
        stored = self._store.spaces.code()
        if stored is None:
            raise SpaceMovedError("The index has no code space any more.", "Open it again.")
        return self.of(stored, watch)

    def loader(self, watch: Watch | None = None) -> LoadEmbedder:
        """What jobs load embedders with."""
        watch = watch or Watch()

        def load(role: Literal["main", "code"] = "main") -> AdmittedEmbedder:
            return self.main(watch) if role == "main" else self.code(watch)

        return load

    def check(self) -> StoredSpace:
        """The main space, if it and the code space are those of the settings; loads nothing.

        Raises:
            SpaceMismatchError: They are other models', or have other lengths.
        """
        main, code = self._store.spaces.main(), self._store.spaces.code()
        seen = (main.number, code.number if code else 0)
        if seen == self._seen:
            return main
        known = Known(self.settings.cache)
        if self._seen is not None:  # another process has switched the store
            self._move_on(known, main, code)
        check_lengths(self.settings, main.space, code.space if code else None)
        models = ((main, self.settings.model), (code, self.settings.code_model))
        for stored, name in models:
            # Where the plain name is the index's, it is seen when the model is loaded.
            if stored is not None and name not in {"", stored.space.model}:
                check_declaration(stored, self._declared(known, name))
        self._seen = seen
        return main

    def of(
        self, stored: StoredSpace, watch: Watch, settings: Settings | None = None
    ) -> AdmittedEmbedder:
        """The embedder of one of the store's spaces.

        Args:
            stored: The space.
            watch: Told of progress.
            settings: Choose the model's quantization and engine, where nothing wrote it yet.
        """
        found = self._open.get(stored.number)
        if found is None:
            chosen = settings or self._settings_for(stored)
            connect = partial(self._connect, chosen, watch)
            embedder = self._lazy(chosen, connect) if self._is_of_pair(stored) else connect()
            try:
                found = admitted(
                    self._store, stored.number, embedder, chosen.accept_drift, self._target
                )
            except BaseException:
                embedder.close()
                raise
            self._open[stored.number] = found
        return found

    def unadmitted(self, settings: Settings, watch: Watch) -> TextEmbedder:
        """An embedder as it is, for looking at it: what it gives must not meet the store's."""
        return self._connect(settings, watch)

    def close(self) -> None:
        """Let go of all models."""
        for embedder in self._open.values():
            embedder.close()
        self._open.clear()

    def _declared(self, known: Known, name: str) -> Space:
        """The space of a model that the settings name; a server's own is asked there."""
        if name.startswith(REMOTE):
            return named(self.settings, name, Watch())[0].space
        return known.card(name).space

    def _is_of_pair(self, stored: StoredSpace) -> bool:
        """Whether it is one of two spaces, of which perhaps only one is needed."""
        return stored.role in {"main", "code"} and self._store.spaces.code() is not None

    def _lazy(self, settings: Settings, connect: Callable[[], TextEmbedder]) -> TextEmbedder:
        try:
            space = Known(settings.cache).card(settings.model).space
        except UnknownModelError:  # a server's own: it is asked for its space
            return connect()
        return LazyEmbedder(space, connect)

    def _settings_for(self, stored: StoredSpace) -> Settings:
        """The settings for a space's model, at a quantization that may meet what wrote it.

        Machine and settings choose, a level in the model's name above all. But what few bits have
        written only the same bits can read, and of other spaces than those that are written nobody
        chooses.
        """
        known = Known(self.settings.cache)
        settings = structs.replace(self.settings, model=known.name_of(stored.space))
        asked = {"main": self.settings.model, "code": self.settings.code_model}
        if level := parse_name(asked.get(stored.role, "")).quantization:
            settings = structs.replace(settings, quantization=level)
        reference = self._store.spaces.reference(stored.number)
        wrote = reference.build.quantization if reference else ""
        if wrote not in QUANTIZATIONS:
            return settings
        if stored.role not in {"main", "code"}:
            return structs.replace(settings, quantization=wrote)
        if settings.quantization != "auto":
            return settings
        chosen = quantization_for(settings, known.card(settings.model)).quantization
        level = min(chosen, wrote, key=QUANTIZATIONS.index)
        return settings if level == chosen else structs.replace(settings, quantization=level)

    def _move_on(self, known: Known, main: StoredSpace, code: StoredSpace | None) -> None:
        """The models of the spaces that the store has now are ours from now on."""
        self.close()
        self.settings = structs.replace(
            self.settings,
            model=known.name_of(main.space),
            code_model=known.name_of(code.space) if code else "",
            dimensions=0,
            code_dimensions=0,
        )
