"""The embedders of one store: each loaded when it is needed and admitted before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import structs

from embedwell.app.choose import quantization_for
from embedwell.app.settings import Settings
from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder, admitted, check_declaration
from embedwell.models.known import Known
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import StoredSpace

Connect: TypeAlias = Callable[[Settings, Watch], TextEmbedder]
"""Gives the embedder for the model that settings name."""


class Embedders:
    """Gives the embedder of each of a store's spaces. Belongs to one thread, as the store does.

    Args:
        store: Its spaces are embedded for.
        settings: They name the model of the main space; when the store moves on to another one,
            that one's model takes its place.
        target: Where the store is, for people.
        connect: Makes an embedder.
    """

    def __init__(self, store: Store, settings: Settings, target: str, connect: Connect) -> None:
        self.settings = settings
        self._store = store
        self._target = target
        self._connect = connect
        self._main: int | None = None
        self._open: dict[int, AdmittedEmbedder] = {}

    def main(self, watch: Watch) -> AdmittedEmbedder:
        """The embedder of the space that is searched and written now.

        Raises:
            SpaceMismatchError: The settings name another model than the store's.
            ModelError: The model cannot be had, or its bytes are wrong.
            OverBudgetError: It does not fit the memory budget.
        """
        return self.of(self.check(), watch)

    def check(self) -> StoredSpace:
        """The main space, if it is that of the settings' model; loads nothing.

        Raises:
            SpaceMismatchError: It is another model's.
        """
        stored = self._store.spaces.main()
        if self._main not in {None, stored.number}:
            self._move_on(stored)
        if self.settings.model != stored.space.model:  # else seen when the model is loaded
            check_declaration(stored, Known(self.settings.cache).card(self.settings.model).space)
        self._main = stored.number
        return stored

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
            embedder = self._connect(chosen, watch)
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

    def _settings_for(self, stored: StoredSpace) -> Settings:
        """The settings for a space's model, at a quantization that may meet what wrote it.

        Machine and settings choose. But what few bits have written only the same bits can read,
        and beside the main space nobody chooses.
        """
        settings = structs.replace(self.settings, model=stored.space.model)
        reference = self._store.spaces.reference(stored.number)
        wrote = reference.build.quantization if reference else ""
        if wrote not in QUANTIZATIONS:
            return settings
        if stored.role != "main":
            return structs.replace(settings, quantization=wrote)
        if settings.quantization != "auto":
            return settings
        chosen = quantization_for(settings, Known(settings.cache).card(settings.model)).quantization
        level = min(chosen, wrote, key=QUANTIZATIONS.index)
        return settings if level == chosen else structs.replace(settings, quantization=level)

    def _move_on(self, stored: StoredSpace) -> None:
        """Another process has switched the store: its model is ours from now on."""
        self.close()
        self.settings = structs.replace(self.settings, model=stored.space.model)
