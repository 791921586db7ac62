"""The index that people open: `embedwell.open("folder")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from embedwell.app.config.place import indexed_folder, shown_target
from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import parse_bytes
from embedwell.app.embedding.connect import Connect, connect
from embedwell.app.embedding.reranker import ConnectReranker, Rerankers, connect_reranker
from embedwell.app.indexes import migration
from embedwell.app.indexes.asking import filter_of, query_vectors
from embedwell.app.indexes.embedders import Embedders
from embedwell.app.indexes.light import fill_light
from embedwell.app.indexes.pairing import Pairing
from embedwell.app.indexes.requests import AgainRequest, FolderRequest, Request
from embedwell.app.indexes.sourcing import Sourcing
from embedwell.app.indexes.written_back import written_back
from embedwell.app.models.choose import ModelChoice, fitting
from embedwell.app.workers.duty import Duty
from embedwell.app.workers.extraction import extracting
from embedwell.app.workers.options import options_for
from embedwell.core.errors import SpaceMovedError, StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.compare import Comparison, compare
from embedwell.jobs.index import IndexReport, WorkOff, index_sources
from embedwell.jobs.migrate import MigrationReport, Plan, migrate, roll_back
from embedwell.jobs.rechunk import rechunk_records
from embedwell.jobs.records import add_records, check_texts, records_of
from embedwell.jobs.sweeping.sweep import Sweeping
from embedwell.jobs.work.worker import WorkReport, work
from embedwell.search.rerank import reranked
from embedwell.search.results import Mode, SearchResults
from embedwell.search.searcher import Searcher
from embedwell.stores.protocol import ChunkKind, Counts, Store
from embedwell.stores.queue import Source

_DEFAULT_MAX_FILE_BYTES = 2 << 20


class Index:
    """Documents that can be searched by meaning and by words.

    Open one with `embedwell.open`. An index belongs to one thread.

    Args:
        target: The index file, or the address of a database.
        store: The opened store.
        settings: What applies to this index.
        connect: Makes the embedder for the model that settings name, once it is needed.
        rerankers: Makes the reranker of a name, once it is needed.
    """

    def __init__(
        self,
        target: Path | str,
        store: Store,
        settings: Settings,
        *,
        connect: Connect = connect,
        rerankers: ConnectReranker = connect_reranker,
    ) -> None:
        self.target = target
        self.folder = indexed_folder(target) if isinstance(target, Path) else None
        self.store = store
        self.chosen: ModelChoice | None = None  # why this model, where it was chosen just now
        self.notice = ""  # what is set and cannot be followed here
        self.embedders = Embedders(store, settings, shown_target(target), connect)
        self.rerankers = Rerankers(rerankers)
        self._searcher = Searcher(store, partial(query_vectors, store, self.embedders))

    @property
    def settings(self) -> Settings:
        """What applies to this index, with the model of its main space."""
        return self.embedders.settings

    @property
    def space(self) -> Space:
        """The main space of the index: of all its vectors, but those of code in a pair."""
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
        *,
        kind: ChunkKind | Sequence[ChunkKind] = "text",
    ) -> list[str]:
        """Add texts, or replace those that have the same ids.

        Args:
            texts: What to find later; long ones are cut into chunks.
            ids: A name for each text; the hash of the text where left out.
            metadata: Values to filter by, for each text.
            kind: `text` or `code`, for all of them or for each.

        Returns:
            The ids.

        Raises:
            TypeError: `texts` or `ids` is one text, or holds something else.
            ValueError: A list has another length than `texts`, or a kind is unknown.
            SpaceMismatchError: The settings name another model than the index.
        """
        records = records_of(texts, ids, metadata, kind)
        self.embedders.check()
        add_records(records, self.store, self.embedders.loader())
        fill_light(self.store, self.embedders, Watch())
        return [record.id for record in records]

    def add_folder(
        self,
        folder: str | Path | None = None,
        watch: Watch | None = None,
        *,
        name: str = "",
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with a folder: new, changed and removed files.

        An index may hold several folders. The documents of the second and of later ones have its
        name before their paths: `notes:todo.md`.

        Args:
            folder: The folder; by default the one that the index lies in.
            watch: Told of progress; may stop the run.
            name: What it is called in the index; by default its own name.
            include: Patterns, as in `.gitignore`, one of which a file must match. They are kept:
                None leaves them as they are, and an empty list means any file.
            exclude: Patterns of what is left out, kept in the same way.

        Raises:
            QueueError: The name is another folder's, or files would be in the index twice.
            StoreBusyError: Another process is indexing.
            SpaceMismatchError: The settings name another model than the index.
        """
        place = Path(folder) if folder is not None else self.folder
        if place is None:
            raise StoreNotFoundError(
                "The folder of this index is not a folder.", "Name the folder to index."
            )
        patterns = [None if given is None else tuple(given) for given in (include, exclude)]
        return self.ingest(FolderRequest(place, name, *patterns), watch)

    def ingest(
        self,
        request: Request,
        watch: Watch | None = None,
        sweeping: Sweeping | None = None,
        *,
        by: WorkOff | None = None,
        leave: bool = False,
    ) -> IndexReport:
        """Bring the index up to date with whatever it is filled from.

        Args:
            request: What it is filled from: see `app.indexes.requests`.
            watch: Told of progress; may stop the run.
            sweeping: How sources are compared with what is stored; as the settings say if left
                out.
            by: Does what is queued; this process by default.
            leave: Whether what is queued is left to workers elsewhere.

        Raises:
            QueueError: It cannot be had, or not beside the index's other sources.
            CanaryError: The run checked itself and stopped.
            StoreBusyError: Another job, such as a migration, is writing.
            SpaceMismatchError: The settings name another model than the index.
        """
        self.embedders.check()
        sourcing = Sourcing(self.store, self.folder, self.size_factor)
        listings = sourcing.listings(request)

        def work_off(watch: Watch) -> WorkReport:
            with extracting(self.settings, watch) as extract:
                options = options_for(self.target, sourcing.around, Duty(once=True), extract)
                return work(self.store, self.embedders.loader(watch), watch, options)

        watch = watch or Watch()
        sweeping = sweeping or Sweeping(self.settings.canary)
        by = None if leave else by or work_off
        written = nullcontext() if leave else written_back(self.store, listings, watch)
        with sourcing.tried(), written:
            report = index_sources(self.store, listings, by, watch, sweeping)
        fill_light(self.store, self.embedders, watch)
        return report

    def sources(self) -> list[Source]:
        """What it was filled from, the first source first."""
        return self.store.queue.sources()

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents by id, or files by their path in the folder.

        Returns:
            How many there were.
        """
        check_texts(ids, "ids")
        return self.store.delete(ids)

    def search(
        self,
        query: str,
        k: int = 10,
        mode: Mode = "hybrid",
        where: Mapping[str, Any] | None = None,
        *,
        rerank: str = "",
        watch: Watch | None = None,
    ) -> SearchResults:
        """Find the passages that answer a question best.

        Args:
            query: The question, or some words.
            k: Most results.
            mode: `hybrid`, `semantic` or `lexical`.
            where: What results must have: `path` (a glob), `language`, `kind`, or any metadata.
            rerank: Name of a model that reads the 50 best with the question and orders them, such
                as `ms-marco-MiniLM-L6-v2`; their score is then its own.
            watch: Told of the reranking's progress; may stop it.

        Raises:
            WrongTaskError: `rerank` names a model that gives vectors.
            QueryError: The query is empty, or a filter is not understood.
            SpaceMismatchError: The settings name another model than the index.
            TaskCancelledError: `watch` was asked to stop.
        """
        chosen = filter_of(where or {})

        def find(k: int) -> SearchResults:
            try:
                return self._searcher.search(query, k, mode, chosen)
            except SpaceMovedError:  # a migration ended in this moment
                return self._searcher.search(query, k, mode, chosen)

        if not rerank:
            return find(k)
        watch = watch or Watch()
        return reranked(find, self.rerankers.get(self.settings, rerank, watch), k, watch)

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
        watch = watch or Watch()
        target = migration.target_named(self.settings, to, watch)
        return migration.look_ahead(
            self.store, self.embedders, target, keep_both=keep_both, watch=watch
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
        watch = watch or Watch()
        target = migration.target_named(self.settings, to, watch)
        embedder = migration.embedder_for(
            self.store, self.embedders, target, keep_both=keep_both, watch=watch
        )
        keep = {"keep_old": keep_old, "keep_both": keep_both}
        return migrate(self.store, embedder, watch, chunks_per_s=chunks_per_s, **keep)

    @property
    def pairing(self) -> Pairing:
        """Gives code a model and a space of its own beside the main one, or takes them away."""
        return Pairing(self.store, self.embedders)

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
        self.embedders.check()
        with self.store.writing():
            self.store.set_chunk_tokens(fitting(chunk_tokens, self.store.settings.max_tokens))
            rechunk_records(self.store, self.embedders.loader(watch), watch)
        self.ingest(AgainRequest(only_files=True), watch, Sweeping(all_anew=True))

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

    def compare(
        self,
        query: str = "",
        watch: Watch | None = None,
        *,
        role: Literal["main", "code"] = "main",
    ) -> Comparison:
        """Embed a query and a sample of the passages anew, and compare with what is stored.

        For when results look wrong: it works where a search would be refused.

        Args:
            query: Whose distances are told; none if empty.
            watch: May stop it.
            role: Which space: the main one, or the code one of a pair.

        Raises:
            SpaceMismatchError: The settings name another model than the index.
            SpaceMovedError: There is no code space.
            ModelError: The model cannot be had.
        """
        embedder = self.embedders.loader(watch)(role)
        return compare(self.store, embedder.number, embedder, query, watch=watch)

    def counts(self) -> Counts:
        """Documents, chunks and bytes."""
        return self.store.counts()

    def load(self, watch: Watch | None = None) -> AdmittedEmbedder:
        """The main space's embedder, admitted to the store; loaded now if it was not yet.

        Called by itself when vectors are needed; call it to choose the moment. Of a pair each
        model is loaded when it is first used.

        Raises:
            SpaceMismatchError: The settings name another model than the index.
            ModelError: The model cannot be had, or its bytes are wrong.
        """
        return self.embedders.main(watch or Watch())

    def close(self) -> None:
        """Let go of the store and unload the models."""
        self.store.close()
        self.embedders.close()
        self.rerankers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
