"""The index that people open: `embedwell.open("folder")`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from embedwell.app import migration
from embedwell.app.choose import ModelChoice, fitting
from embedwell.app.connect import connect
from embedwell.app.embedders import Connect, Embedders
from embedwell.app.place import indexed_folder, shown_target
from embedwell.app.settings import Settings
from embedwell.app.sizes import parse_bytes
from embedwell.core.errors import (
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
from embedwell.jobs.compare import Comparison, compare
from embedwell.jobs.fill import fill_space
from embedwell.jobs.index import IndexReport, index_folder
from embedwell.jobs.migrate import MigrationReport, Plan, migrate, roll_back
from embedwell.jobs.rechunk import rechunk_records
from embedwell.jobs.records import Record, add_records
from embedwell.search.results import Mode, SearchResults
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.protocol import Counts, Filter, Store
from embedwell.stores.spaces import StoredSpace

_log = logging.getLogger("embedwell")

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
        return self._index_folder(place, watch or Watch(), all_anew=False)

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

    def rechunk(self, chunk_tokens: int, watch: Watch | None = None) -> None:
        """Cut all documents anew into chunks of another length; known passages are not embedded.

        Stopped at any moment, the same call goes on: each document has its old chunks or its new.

        Args:
            chunk_tokens: Most tokens of a chunk; 0 fits the model of the index.
            watch: Told of progress; may stop the run.

        Raises:
            StoreBusyError: Another process is indexing.
        """
        watch = watch or Watch()
        stored = self.embedders.check()
        with self.store.writing():
            self.store.set_chunk_tokens(fitting(chunk_tokens, stored.space.max_tokens))
            rechunk_records(self.store, self.load, watch)
        if self.folder is not None:
            self._index_folder(self.folder, watch, all_anew=True)
        self._fill_light(watch)

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

    def compare(self, query: str = "", watch: Watch | None = None) -> Comparison:
        """Embed a query and a sample of the passages anew, and compare with what is stored.

        For when results look wrong: it works where a search would be refused.

        Raises:
            SpaceMismatchError: The settings name another model than the index.
            ModelError: The model cannot be had.
        """
        embedder = self.load(watch)
        return compare(self.store, embedder.number, embedder, query, watch=watch)

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

    def _index_folder(self, folder: Path, watch: Watch, *, all_anew: bool) -> IndexReport:
        self.embedders.check()
        is_home = self.folder is not None and folder.resolve() == self.folder.resolve()
        report = index_folder(
            folder,
            self.store,
            partial(self.load, watch),
            self.size_factor,
            watch,
            place="" if is_home else str(folder.resolve()),
            all_anew=all_anew,
        )
        self._fill_light(watch)
        return report

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
        if stored is None or not self.store.spaces.n_missing(stored.number):
            return
        try:
            fill_space(self.store, self.embedders.of(stored, watch), watch)
        except _DOES_NOT_FIT as error:
            _log.warning("The light space is behind until the next write: %s", error.problem)


def _filter(where: Mapping[str, Any]) -> Filter:
    named = {name: where[name] for name in ("path", "language", "kind") if name in where}
    if named.get("kind") not in {None, "text", "code"}:
        raise QueryError(f"The kind {named['kind']!r} is unknown.", "Use 'text' or 'code'.")
    rest = {name: value for name, value in where.items() if name not in named}
    return Filter(**named, metadata=rest)


def _text_id(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
