"""The index that people open: `embedwell.open("folder")`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from msgspec import structs

import embedwell
from embedwell.app.choose import AUTO, ModelChoice, quantization_for
from embedwell.app.configuration import load
from embedwell.app.connect import connect
from embedwell.app.place import default_file, find_file, indexed_folder, prepare_folder
from embedwell.app.settings import Settings
from embedwell.app.sizes import parse_bytes
from embedwell.app.trust import check_index_inside
from embedwell.core.errors import EmbeddingsOffError, QueryError, StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray
from embedwell.handshake.admit import admit
from embedwell.jobs.index import IndexReport, index_folder
from embedwell.jobs.records import Record, add_records
from embedwell.models.catalogue import card
from embedwell.runtime.protocol import TextEmbedder
from embedwell.search.results import Mode, SearchResults
from embedwell.search.searcher import Searcher
from embedwell.stores.protocol import CollectionSettings, Counts, Filter, Store
from embedwell.stores.registry import create_store, open_store

# Special tokens, and a token or two that a passage may gain when it is cut out of its text.
_SPARE_TOKENS = 6
_DEFAULT_MAX_FILE_BYTES = 2 << 20


class Index:
    """Documents that can be searched by meaning and by words.

    Open one with `embedwell.open`. An index belongs to one thread.

    Args:
        file: The index file.
        store: The opened store.
        settings: What applies to this index.
        embedder: Embeds for it; the one that the settings name, once it is needed, if left out.
    """

    def __init__(
        self,
        file: Path,
        store: Store,
        settings: Settings,
        *,
        embedder: TextEmbedder | None = None,
    ) -> None:
        self.file = file
        self.folder = indexed_folder(file)
        self.store = store
        self.settings = settings
        self.chosen: ModelChoice | None = None  # why this model, where it was chosen just now
        self._embedder = embedder
        self._searcher = Searcher(store, self._embed_query)

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
        add_records(records, self.store, self.load())
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
        self._admit()
        with self.store.writing():
            return index_folder(
                place, self.store, lambda: self.load(watch), self.size_factor, watch
            )

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
        return self._searcher.search(query, k, mode, _filter(where or {}))

    def counts(self) -> Counts:
        """Documents, chunks and bytes."""
        return self.store.counts()

    def load(self, watch: Watch | None = None) -> TextEmbedder:
        """The embedder, admitted to the store; loaded now if it was not yet.

        Called by itself when vectors are needed; call it to choose the moment.

        Raises:
            SpaceMismatchError: The settings name another model than the index.
            ModelError: The model cannot be had, or its bytes are wrong.
        """
        self._admit()
        if self._embedder is None:
            self._embedder = connect(self.settings, watch or Watch())
        return self._embedder

    def close(self) -> None:
        """Let go of the file and unload the model."""
        self.store.close()
        if self._embedder is not None:
            self._embedder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _admit(self) -> None:
        admit(self.store.settings, card(self.settings.model).space)

    def _embed_query(self, query: str) -> FloatArray:
        vector: FloatArray = self.load().embed([query], "query", Watch()).vectors[0]
        return vector


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
        db: The index file, where it lies elsewhere.
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
    file = settings.db or (default_file(place) if create else find_file(place))
    if settings.db is None:
        check_index_inside(file)
    if file.exists() or not create:
        store = open_store(file)
        if loaded.origins["model"] == "default" or settings.model == AUTO:
            # an index knows its own model
            settings = structs.replace(settings, model=store.settings.space.model)
        return Index(file, store, settings)
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
    prepare_folder(file)
    index = Index(file, create_store(file, _new_collection(settings)), settings)
    index.chosen = chosen
    return index


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
