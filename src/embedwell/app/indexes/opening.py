"""Opening the index of a folder or of a database, or making it: `embedwell.open`."""

from __future__ import annotations

import time
from pathlib import Path

import embedwell
from embedwell.app.config.configuration import load
from embedwell.app.config.place import prepare_folder, target_of
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.pair_settings import of_index, unused_code_model, with_lengths
from embedwell.app.indexes.index import Index
from embedwell.app.models.choose import AUTO, artifact_name, fitting
from embedwell.app.models.obtain import named
from embedwell.core.errors import (
    EmbeddingsOffError,
    StoreBusyError,
    StoreError,
    StoreNotFoundError,
)
from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard
from embedwell.models.heads import check_head
from embedwell.stores.index import IndexName
from embedwell.stores.protocol import CodeSpace, CollectionSettings, Store
from embedwell.stores.registry import create_store, open_store

# Another process makes an index in a tenth of a second, on a slow disk in some.
_MAKING_S = 5.0
_LOOK_S = 0.02


def open_index(
    folder: str | Path = ".",
    *,
    db: str | Path | None = None,
    model: str | None = None,
    code_model: str | None = None,
    quantization: str | None = None,
    threads: int | None = None,
    create: bool = True,
    watch: Watch | None = None,
) -> Index:
    """Open the index of a folder, or make an empty one.

    Args:
        folder: The folder; its index lies in `.embedwell/index.db` below it.
        db: The index file, where it lies elsewhere, or the address of a database
            (`postgresql://…`, `postgres-embedded:`).
        model: Model of a new index; an index that exists keeps its own. `auto` takes the strongest
            that the machine's memory is fit for, once: its name is written into the index.
        code_model: Model for the code in a new index, beside `model` for the text.
        quantization: `q4`, `q8`, `q16` or `q32`.
        threads: Threads of the engine; 0 takes every CPU.
        create: Whether to make an index where there is none; else one is looked for in the
            folders above as well.
        watch: Told of progress while the model of a new index is looked at; may stop that.

    Raises:
        SettingsError: A setting is wrong.
        StoreNotFoundError: There is no index and `create` is false, or there is no such folder.
        StoreError: The file is not an index that can be opened.
        EmbeddingsOffError: There is no index, and none could be filled: embeddings are off.
    """
    place = Path(folder)
    arguments = {
        "model": model,
        "code_model": code_model,
        "quantization": quantization,
        "threads": threads,
        "db": db,
    }
    loaded = load(arguments, place)
    settings = loaded.settings
    target = target_of(settings, place, create=create)
    store = _existing(target, settings.index, create=create)
    if store is None:
        try:
            return _made(place, target, settings, watch or Watch())
        except StoreError as error:
            store = _made_by_another(target, settings.index, error)
            if store is None:
                raise
    given = [name for name, origin in loaded.origins.items() if origin != "default"]
    index = Index(target, store, of_index(settings, store.settings, given))
    index.notice = unused_code_model(settings, store.settings)
    return index


def _made(place: Path, target: Path | str, settings: Settings, watch: Watch) -> Index:
    """A new index for a folder."""
    if not place.is_dir():
        raise StoreNotFoundError(f"There is no folder {place}.", "Name a folder that exists.")
    if not settings.embeddings:
        raise EmbeddingsOffError(
            f"{place} cannot be indexed: embeddings are switched off (`embeddings = false`).",
            "Switch them on to index; an index that exists can be searched by words.",
        )
    chosen = None
    if settings.model == AUTO:
        from embedwell.app.models.auto import with_model  # noqa: PLC0415 - only where it is asked for

        settings, chosen = with_model(settings, watch)
    settings = with_lengths(settings)
    collection = _new_collection(settings, watch)  # first: who cannot have it leaves no folder
    if isinstance(target, Path):
        prepare_folder(target)
    store = create_store(target, collection, index=settings.index)
    index = Index(target, store, settings)
    index.chosen = chosen
    return index


def _existing(target: Path | str, index: IndexName, *, create: bool) -> Store | None:
    """The store at a target; None where there is none and one may be made."""
    if isinstance(target, Path) and create and not target.exists():
        return None
    try:
        return open_store(target, index=index)
    except StoreNotFoundError:
        if not create:
            raise
        return None


def _made_by_another(target: Path | str, index: IndexName, error: StoreError) -> Store | None:
    """What another process has made since it was looked for, or is making now; None if none is."""
    until = time.monotonic() + (_MAKING_S if isinstance(error, StoreBusyError) else 0)
    while (store := _existing(target, index, create=True)) is None and time.monotonic() < until:
        time.sleep(_LOOK_S)
    return store


def _new_collection(settings: Settings, watch: Watch) -> CollectionSettings:
    """What a new index is made for; its chunks fit the smaller of two models."""
    main, made_by = _model(settings, settings.model, watch)
    pair, most = None, main.max_tokens
    if settings.code_model:
        code, code_made_by = _model(settings, settings.code_model, watch)
        if (code.space, code_made_by) != (main.space, made_by):
            pair = CodeSpace(code.space, code_made_by, hybrid=settings.code_domain == "hybrid")
            most = min(most, code.max_tokens)
    return CollectionSettings(main.space, fitting(settings.chunk_tokens, most), made_by, pair)


def _model(settings: Settings, name: str, watch: Watch) -> tuple[ModelCard, str]:
    """What is known of a model, and how the index says that it was made with it."""
    card, level = named(settings, name, watch)
    check_head(card, "embedding")
    return card, f"embedwell {embedwell.__version__}, {artifact_name(settings, card, level)}"
