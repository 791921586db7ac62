"""The indexes that the service has open: few, each used by one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import structs

from embedwell.app.config.place import find_file, shown_target
from embedwell.app.config.settings import Settings
from embedwell.app.config.trust import check_index_inside
from embedwell.core.errors import BadRequestError, EmbedwellError, StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.runtime.protocol import TextEmbedder
from embedwell.runtime.relevance import TextReranker

if TYPE_CHECKING:
    from embedwell.app.embedding.runtime import NamedEmbedder
    from embedwell.app.indexes.index import Index

# The vectors of an open index are in memory: 0.8 MB for 1,000 chunks of 384 dimensions.
_N_OPEN = 4
_IDLE_S = 300.0
_LOOK_EVERY_S = 0.1

Place: TypeAlias = Path | str
"""Where an index is: a file, or the address of a database."""

DATABASE = "database"
"""The name under which the index in `database_url` is served."""


class EmbedderOf(Protocol):
    """Gives the embedder or the reranker of a model by name; see `Runtime.embedder`."""

    def __call__(self, model: str, *, of_code: bool = False) -> NamedEmbedder:
        """The embedder, which loads its model when it is first used."""
        ...


@dataclass(eq=False)
class _Open:
    """An index that is open, or being opened by whoever holds its lock.

    Attributes:
        place: Where it is.
        identity: Of its file.
        index: None until it is open.
        refused: Why it could not be opened; told again, without another try, until `again_at`.
    """

    place: Place
    identity: tuple[int, int]
    index: Index | None = None
    refused: EmbedwellError | None = None
    again_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_users: int = 0
    used_at: float = field(default_factory=time.monotonic)


class OpenIndexes:
    """Opens indexes when they are asked for and closes those that nobody asks for.

    Safe to call from several threads: each index is used by one of them at a time.

    Args:
        settings: What the user chose for the service.
        embedder_of: Gives the embedder for an index's model; shared by all of them.
        n_open: Most indexes that stay open while nobody uses them.
        idle_s: Seconds after which an unused one is closed.
    """

    def __init__(
        self,
        settings: Settings,
        embedder_of: EmbedderOf,
        n_open: int = _N_OPEN,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._settings = settings
        self._embedder_of = embedder_of
        self._n_open = n_open
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._open: dict[Place, _Open] = {}

    @contextmanager
    def using(self, file: Place, watch: Watch) -> Iterator[Index]:
        """An open index, for the `with` block alone; others are not held up by its opening.

        What could not be opened is not tried again for as long as that took: a database that is
        away takes seconds to say so.

        Raises:
            StoreNotFoundError: There is no index at that place.
            StoreError: It cannot be opened.
            TaskCancelledError: `watch` was asked to stop while another request used the index.
        """
        place = _resolved(file)
        entry = self._enter(place, _identity(place))
        try:
            while not entry.lock.acquire(timeout=_LOOK_EVERY_S):
                watch.check("search")
            try:
                yield self._index_of(entry)
            finally:
                entry.lock.release()
        finally:
            self._leave(entry)

    @contextmanager
    def alone(self, file: Place) -> Iterator[Index]:
        """An index opened for a long job, so that searches need not wait for its end.

        Raises:
            StoreError: It cannot be opened.
        """
        with self._opened(file) as index:
            yield index

    def n_open(self) -> int:
        """How many are open."""
        with self._lock:
            return sum(entry.index is not None for entry in self._open.values())

    def settings_by_name(self) -> Mapping[str, Settings]:
        """What applies to each served index that is open, its models above all; opens none."""
        with self._lock:
            by_place = {place: one.index.settings for place, one in self._open.items() if one.index}
        found = {}
        for name in served(self._settings):
            with suppress(EmbedwellError):  # it is not there, nor is it open
                place = _resolved(index_file(name, self._settings, any_place=False))
                if place in by_place:
                    found[name] = by_place[place]
        return found

    def check_idle(self) -> None:
        """Close what nobody has used for a while."""
        before = time.monotonic() - self._idle_s
        with self._lock:
            idle = self._taken_out({p for p, entry in self._open.items() if entry.used_at < before})
        _close(idle)

    def close(self) -> None:
        """Close all that nobody uses."""
        with self._lock:
            unused = self._taken_out(set(self._open))
        _close(unused)

    def _enter(self, place: Place, identity: tuple[int, int]) -> _Open:
        with self._lock:
            entry, unused = self._open.pop(place, None), list[_Open]()
            if entry is not None and entry.identity != identity:  # removed and made anew meanwhile
                unused = [] if entry.n_users else [entry]
                entry = None
            self._open[place] = entry = entry or _Open(place, identity)  # last: most recently used
            entry.n_users += 1
            unused += self._taken_out(self._too_many())
        _close(unused)
        return entry

    def _leave(self, entry: _Open) -> None:
        with self._lock:
            entry.n_users -= 1
            entry.used_at = time.monotonic()
            is_replaced = self._open.get(entry.place) is not entry
            unused = [entry] if is_replaced and not entry.n_users else []
            unused += self._taken_out(self._too_many())
        _close(unused)

    def _too_many(self) -> set[Place]:
        return set(list(self._open)[: -self._n_open])

    def _taken_out(self, places: set[Place]) -> list[_Open]:
        """Those of the indexes that nobody uses; who holds the lock calls this, and closes them."""
        unused = [place for place in places & self._open.keys() if not self._open[place].n_users]
        return [self._open.pop(place) for place in unused]

    def _index_of(self, entry: _Open) -> Index:
        """The index, opened now if it is not; who holds the entry's lock calls this."""
        if entry.index is not None:
            return entry.index
        began = time.monotonic()
        if entry.refused is not None and began < entry.again_at:
            raise entry.refused.with_traceback(None)
        try:
            entry.index = self._opened(entry.place)
        except EmbedwellError as error:
            now = time.monotonic()
            entry.refused, entry.again_at = error, now + (now - began)
            raise
        return entry.index

    def _opened(self, file: Place) -> Index:
        from embedwell.app.config.configuration import load  # noqa: PLC0415 - when one is asked for
        from embedwell.app.config.place import indexed_folder  # noqa: PLC0415 - the same
        from embedwell.app.embedding.pair_settings import of_index  # noqa: PLC0415 - the same
        from embedwell.app.indexes.index import Index  # noqa: PLC0415 - the same
        from embedwell.stores.registry import open_store  # noqa: PLC0415 - the same

        folder = indexed_folder(file) if isinstance(file, Path) else None
        # Of a project's own settings only this one concerns an index that exists.
        max_file = load({}, folder).settings.max_file if folder else self._settings.max_file
        store = open_store(file, index=self._settings.index)
        ours = structs.replace(self._settings, max_file=max_file, dimensions=0, code_dimensions=0)
        settings = of_index(ours, store.settings, given=())  # an index knows its own models
        return Index(file, store, settings, connect=self._connect, rerankers=self._reranker)

    def _reranker(self, settings: Settings, model: str, watch: Watch) -> TextReranker:
        """The service's own reranker, loaded by its first use."""
        del settings, watch
        return self._embedder_of(model)

    def _connect(self, settings: Settings, watch: Watch) -> TextEmbedder:
        """The service's own embedder: loaded by its first use, which tells progress itself."""
        del watch
        from embedwell.app.embedding.connect import model_name  # noqa: PLC0415 - when one is asked for

        of_code = settings.model == settings.code_model
        return self._embedder_of(model_name(settings), of_code=of_code)


def served(settings: Settings) -> Mapping[str, Place]:
    """The indexes that may be named over TCP: by the name of their folder or file, or `database`.

    Raises:
        BadRequestError: Two of them have one name.
    """
    found: dict[str, Place] = {DATABASE: settings.database_url} if settings.database_url else {}
    for place in settings.indexes:
        path = Path(place).expanduser().absolute()
        if found.setdefault(path.name, path) != path:
            raise BadRequestError(
                f"Both {shown_target(found[path.name])} and {path} would be served as "
                f"'{path.name}'.",
                "Serve one of them, or rename a folder.",
            )
    return found


def index_file(name: str, settings: Settings, *, any_place: bool) -> Place:
    """The file or address of an index that a request names.

    Args:
        name: Of a served folder; where `any_place`, also the absolute path of a folder (or of
            one below it) or of an index file. Empty for the one index that is served.
        settings: What the service serves.
        any_place: Whether whoever asks may read the user's files anyway.

    Raises:
        BadRequestError: No index is named, or not by an absolute path.
        StoreNotFoundError: It is not served, or there is none.
        SettingsError: A link of the folder puts its index elsewhere, without the user's consent.
    """
    by_name = served(settings)
    if not name and len(by_name) == 1:
        return _file_in(next(iter(by_name.values())))
    if name in by_name:
        return _file_in(by_name[name])
    path = Path(name)
    if any_place and name and "\0" not in name and path.is_absolute():
        return _file_in(path)
    if any_place:
        raise BadRequestError(
            f"'{name}' does not say which index is meant.",
            "Give `index`: the absolute path of an indexed folder.",
        )
    raise StoreNotFoundError(
        f"No index is served as '{name}'; there are: {', '.join(by_name) or 'none'}.",
        "Serve it with `embedwell serve --index FOLDER`, or ask over the Unix socket.",
    )


def _file_in(place: Place) -> Place:
    if isinstance(place, str):
        return place
    try:
        file = place if place.is_file() else find_file(place)
    except OSError as error:
        raise StoreNotFoundError(
            f"No index can be looked for at {place} ({error.strerror}).",
            "Name an indexed folder that you may read.",
        ) from error
    if file != place:
        check_index_inside(file)
    return file


def _resolved(file: Place) -> Place:
    return file.resolve() if isinstance(file, Path) else file


def _identity(file: Place) -> tuple[int, int]:
    """What tells a file from one that was made anew at its place; all zero for a database."""
    if isinstance(file, str):
        return 0, 0
    try:
        found = file.stat()
    except OSError as error:
        raise StoreNotFoundError(
            f"There is no index at {file}.", "Make one with `embedwell index`."
        ) from error
    return found.st_dev, found.st_ino


def _close(entries: list[_Open]) -> None:
    for entry in entries:
        if entry.index is not None:
            entry.index.close()
