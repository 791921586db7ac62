"""The index that people open: `embedwell.open("folder")`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from msgspec import structs

import embedwell
from embedwell.app import migration
from embedwell.app.choose import AUTO, ModelChoice, quantization_for
from embedwell.app.configuration import load
from embedwell.app.connect import connect
from embedwell.app.embedders import Connect, Embedders
from embedwell.app.place import indexed_folder, prepare_folder, shown_target, target_of
from embedwell.app.settings import Settings
from embedwell.app.sizes import parse_bytes
from embedwell.core.errors import (
    EmbeddingsOffError,
    EmbedwellError,
    EngineMemoryError,
    OverBudgetError,
    PressureError,
    QueryError,
    SpaceMovedError,
    StoreNotFoundError,
)
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.fill import fill_space
from embedwell.jobs.index import IndexReport, index_folder
from embedwell.jobs.migrate import MigrationReport, Plan, migrate, roll_back
from embedwell.jobs.records import Record, add_records
from embedwell.models.catalogue import card
from embedwell.search.results import Mode, SearchResults
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.protocol import CollectionSettings, Counts, Filter, Store
from embedwell.stores.registry import create_store, open_store
from embedwell.stores.spaces import StoredSpace

# Special tokens, and a token or two that a passage may gain when it is cut out of its text.
_SPARE_TOKENS = 6
_DEFAULT_MAX_FILE_BYTES = 2 << 20
_DOES_NOT_FIT = (OverBudgetError, PressureError, EngineMemoryError)


class Index:
    """Documents that can be searched by meaning and by words.

    Open one with `embedwell.open`. An index belongs to one thread.

    Args:
        target: The index file, or the address of a database.
        store: The opened store.
        settings: What applies to this index.
        connect: Makes the embedder for the model that settings name, once it is needed.
    """

    def __init__(
        self, target: Path | str, store: Store, settings: Settings, *, connect: Connect = connect
    ) -> None:
        self.target = target
        self.folder = indexed_folder(target) if isinstance(target, Path) else None
        self.store = store
        self.chosen: ModelChoice | None = None  # why this model, where it was chosen just now
        self.embedders = Embedders(store, settings, shown_target(target), connect)
        self._searcher = Searcher(store, self._embed_query)

    @property
    def settings(self) -> Settings:
        """What applies to this index, with the model of its main space."""
        return self.embedders.settings

    @property
    def space(self) -> Space:
        """The space of all vectors in the index."""
        return self.store.settings.space

    @property
    def size_factor(self) -> float:
        """What the size limit of every format is multiplied by."""
        return parse_bytes(self.settings.max_file) / _DEFAULT_MAX_FILE_BYTES

    def add(
        self,
        texts: Sequence[str],
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[str]:
        """Add texts, or replace those that have the same ids.

        Args:
            texts: What to find later; long ones are cut into chunks.
            ids: A name for each text; the hash of the text where left out.
            metadata: Values to filter by, for each text.

        Returns:
            The ids.

        Raises:
            ValueError: `ids` or `metadata` has another length than `texts`.
            SpaceMismatchError: The settings name another model than the index.
        """
        names = list(ids) if ids is not None else [_text_id(text) for text in texts]
        values = list(metadata) if metadata is not None else [{}] * len(texts)
        if not len(names) == len(values) == len(texts):
            raise ValueError(
                f"{len(texts)} texts came with {len(names)} ids and {len(values)} metadata; "
                "give one of each for every text."
            )
        records = [
            Record(name, text, value)
            for name, text, value in zip(names, texts, values, strict=True)
        ]
        self.embedders.check()
        add_records(records, self.store, self.load)
        self._fill_light(Watch())
        return names

    def add_folder(
        self, folder: str | Path | None = None, watch: Watch | None = None
    ) -> IndexReport:
        """Bring the index up to date with a folder: new, changed and removed files.

        Args:
            folder: The folder; by default the one that the index lies in.
            watch: Told of progress; may stop the run.

        Raises:
            StoreBusyError: Another process is indexing.
            SpaceMismatchError: The settings name another model than the index.
        """
        place = Path(folder) if folder is not None else self.folder
        if place is None or not place.is_dir():
            raise StoreNotFoundError(
                f"{place or 'The folder of this index'} is not a folder.",
                "Name the folder to index.",
            )
        watch = watch or Watch()
        self.embedders.check()
        with self.store.writing():
            report = index_folder(
                place, self.store, lambda: self.load(watch), self.size_factor, watch
            )
        self._fill_light(watch)
        return report

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents by id, or files by their path in the folder.

        Returns:
            How many there were.
        """
        return self.store.delete(ids)

    def search(
        self,
        query: str,
        k: int = 10,
        mode: Mode = "hybrid",
        where: Mapping[str, Any] | None = None,
    ) -> SearchResults:
        """Find the passages that answer a question best.

        Args:
            query: The question, or some words.
            k: Most results.
            mode: `hybrid`, `semantic` or `lexical`.
            where: What results must have: `path` (a glob), `language`, `kind`, or any metadata.

        Raises:
            QueryError: The query is empty, or a filter is not understood.
            SpaceMismatchError: The settings name another model than the index.
        """
        chosen = _filter(where or {})
        try:
            return self._searcher.search(query, k, mode, chosen)
        except SpaceMovedError:  # a migration ended in this moment
            return self._searcher.search(query, k, mode, chosen)

    def plan_migration(
        self, to: str, *, keep_both: bool = False, watch: Watch | None = None
    ) -> Plan:
        """What `migrate` would take; the new model is loaded for it, and nothing is written.

        Raises:
            UnknownModelError: The catalogue has no such model.
            MigrationError: It cannot be done as asked.
            StoreFullError: The disk has too little room for it.
            OverBudgetError: The model does not fit.
        """
        target = migration.target_named(self.settings, to)
        return migration.look_ahead(
            self.store, self.embedders, target, keep_both=keep_both, watch=watch or Watch()
        )

    def migrate(
        self,
        to: str,
        *,
        keep_old: bool = False,
        keep_both: bool = False,
        chunks_per_s: float = 0.0,
        watch: Watch | None = None,
    ) -> MigrationReport:
        """Move to another model, dimension or quantization while others search and write.

        Stopped at any moment, it goes on when it is called again with the same `to`.

        Args:
            to: A model, with `@q8` or the like where the quantization matters.
            keep_old: Keep the old vectors, for `roll_back`.
            keep_both: Do not switch: keep the new space beside the main one, for searches while
                the main model does not fit.
            chunks_per_s: Most chunks embedded in a second; 0 for as many as can be.
            watch: Told of progress; may stop the run.

        Raises:
            UnknownModelError: The catalogue has no such model.
            MigrationError: It cannot be done as asked, or the new space is not good.
        """
        target = migration.target_named(self.settings, to)
        embedder = migration.embedder_for(
            self.store, self.embedders, target, keep_both=keep_both, watch=watch or Watch()
        )
        return migrate(
            self.store,
            embedder,
            watch or Watch(),
            keep_old=keep_old,
            keep_both=keep_both,
            chunks_per_s=chunks_per_s,
        )

    def roll_back(self) -> Space:
        """Go back to the space that a migration has kept; gives its declaration.

        Raises:
            MigrationError: None was kept, or chunks were written since.
        """
        return roll_back(self.store).space

    def drop_space(self, role: Literal["next", "light", "kept"]) -> list[Space]:
        """Drop the vectors of all spaces with a role, and give their bytes back.

        Raises:
            MigrationError: There is none.
        """
        return [stored.space for stored in migration.drop(self.store, role)]

    def counts(self) -> Counts:
        """Documents, chunks and bytes."""
        return self.store.counts()

    def load(self, watch: Watch | None = None) -> AdmittedEmbedder:
        """The embedder, admitted to the store; loaded now if it was not yet.

        Called by itself when vectors are needed; call it to choose the moment.

        Raises:
            SpaceMismatchError: The settings name another model than the index.
            ModelError: The model cannot be had, or its bytes are wrong.
        """
        return self.embedders.main(watch or Watch())

    def close(self) -> None:
        """Let go of the store and unload the models."""
        self.store.close()
        self.embedders.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _embed_query(self, query: str) -> QueryVector:
        try:
            embedder, notice = self.load(), ""
        except _DOES_NOT_FIT as error:
            embedder, notice = self._light(error)
        vector: FloatArray = embedder.embed([query], "query", Watch()).vectors[0]
        return QueryVector(vector, embedder.number, notice)

    def _light(self, error: EmbedwellError) -> tuple[AdmittedEmbedder, str]:
        """The light space's embedder, where there is one, and why it is used."""
        stored = self._light_space()
        if stored is None:
            raise error
        missing = self.store.spaces.n_missing(stored.number)
        lacks = f" {missing:,} passages are not in it yet." if missing else ""
        notice = f"Searched in the light space ({stored.space.model}): {error.problem}{lacks}"
        return self.embedders.of(stored, Watch()), notice

    def _light_space(self) -> StoredSpace | None:
        return next((one for one in self.store.spaces.all() if one.role == "light"), None)

    def _fill_light(self, watch: Watch) -> None:
        """Bring the light space up to date with what was just written."""
        stored = self._light_space()
        if stored is not None and self.store.spaces.n_missing(stored.number):
            fill_space(self.store, self.embedders.of(stored, watch), watch)


def open_index(
    folder: str | Path = ".",
    *,
    db: str | Path | None = None,
    model: str | None = None,
    quantization: str | None = None,
    threads: int | None = None,
    create: bool = True,
) -> Index:
    """Open the index of a folder, or make an empty one.

    Args:
        folder: The folder; its index lies in `.embedwell/index.db` below it.
        db: The index file, where it lies elsewhere, or the address of a database
            (`postgresql://…`, `postgres-embedded:`).
        model: Model of a new index; an index that exists keeps its own. `auto` takes the strongest
            that the machine's memory is fit for, once: its name is written into the index.
        quantization: `q4`, `q8`, `q16` or `q32`.
        threads: Threads of the engine; 0 takes every CPU.
        create: Whether to make an index where there is none; else one is looked for in the
            folders above as well.

    Raises:
        SettingsError: A setting is wrong.
        StoreNotFoundError: There is no index and `create` is false, or there is no such folder.
        StoreError: The file is not an index that can be opened.
        EmbeddingsOffError: There is no index, and none could be filled: embeddings are off.
    """
    place = Path(folder)
    given = {"model": model, "quantization": quantization, "threads": threads, "db": db}
    loaded = load(given, place)
    settings = loaded.settings
    target = target_of(settings, place, create=create)
    store = _existing(target, create=create)
    if store is not None:
        if loaded.origins["model"] == "default" or settings.model == AUTO:
            # an index knows its own model
            settings = structs.replace(settings, model=store.settings.space.model)
        return Index(target, store, settings)
    if not place.is_dir():
        raise StoreNotFoundError(f"There is no folder {place}.", "Name a folder that exists.")
    if not settings.embeddings:
        raise EmbeddingsOffError(
            f"{place} cannot be indexed: embeddings are switched off (`embeddings = false`).",
            "Switch them on to index; an index that exists can be searched by words.",
        )
    chosen = None
    if settings.model == AUTO:
        from embedwell.app.auto import with_model  # noqa: PLC0415 - only where it is asked for

        settings, chosen = with_model(settings, Watch())
    if isinstance(target, Path):
        prepare_folder(target)
    index = Index(target, create_store(target, _new_collection(settings)), settings)
    index.chosen = chosen
    return index


def _existing(target: Path | str, *, create: bool) -> Store | None:
    """The store at a target; None where there is none and one may be made."""
    if isinstance(target, Path) and create and not target.exists():
        return None
    try:
        return open_store(target)
    except StoreNotFoundError:
        if not create:
            raise
        return None


def _new_collection(settings: Settings) -> CollectionSettings:
    model = card(settings.model)
    level = quantization_for(settings, model).quantization
    made_by = f"embedwell {embedwell.__version__}, {model.name}@{level}"
    fitting = model.space.max_tokens - _SPARE_TOKENS
    return CollectionSettings(model.space, min(settings.chunk_tokens or fitting, fitting), made_by)


def _filter(where: Mapping[str, Any]) -> Filter:
    named = {name: where[name] for name in ("path", "language", "kind") if name in where}
    if named.get("kind") not in {None, "text", "code"}:
        raise QueryError(f"The kind {named['kind']!r} is unknown.", "Use 'text' or 'code'.")
    rest = {name: value for name, value in where.items() if name not in named}
    return Filter(**named, metadata=rest)


def _text_id(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
