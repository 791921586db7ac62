"""The sources of an index: made for a request, or found again."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from embedwell.app.config.place import shown_target
from embedwell.app.indexes.requests import (
    AgainRequest,
    FolderRequest,
    OtherRequest,
    PathsRequest,
    QueryRequest,
    RecordsRequest,
    Request,
)
from embedwell.core.errors import QueueError, StoreError, StoreNotFoundError
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.sources.folder import Folder, Patterns
from embedwell.ingest.sources.paths import Paths, name_of
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.ingest.sources.records import Records, records_in
from embedwell.ingest.sources.registry import SOURCES, Surroundings, open_source
from embedwell.ingest.sources.sql import Query
from embedwell.jobs.index import Listing
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source, Which

# Names begin the keys of documents, which are matched as paths.
_NO_NAME = re.compile(r"[/:*?\[\]\x00-\x1f]")
_MOST_NAME = 64


class Sourcing:
    """Makes and finds the sources of one store.

    Args:
        store: Which.
        home: The folder that the index lies in, if it lies in one.
        size_factor: Multiplies the size limit of every format.
    """

    def __init__(self, store: Store, home: Path | None, size_factor: float) -> None:
        self._store = store
        self._queue = store.queue
        self._home = home
        self._size_factor = size_factor
        self._host = socket.gethostname()
        self._made: list[Source] = []
        self.around = Surroundings(home, size_factor)

    def listings(self, request: Request) -> list[Listing]:
        """The sources that are asked for, made where they are new, and what lists them.

        Raises:
            QueueError: The name is another's, a folder's files are in the index already, or what is
                asked for cannot be had.
            StoreNotFoundError: There is no such folder.
        """
        match request:
            case FolderRequest():
                return [self._folder(request)]
            case PathsRequest():
                return [self._paths(request)]
            case RecordsRequest():
                source = self._named("records", "", request.name, {})
                found = records_in(request.file, self._max_bytes)
                records = Records(found, self._max_bytes, is_whole=request.is_whole)
                return [Listing(source, lambda: records)]
            case QueryRequest():
                columns = request.columns
                kept: dict[str, Any] = {"query": request.query}
                kept |= {"id": columns.id, "text": list(columns.text)}
                if request.write_back:
                    kept |= {"write_back": request.write_back, "key": request.key or columns.id}
                source = self._named("sql", _place_of(request.target), request.name, kept)
                query = Query(request.target, request.query, columns, self._max_bytes)
                return [Listing(source, lambda: query)]
            case OtherRequest():
                source = self._named(request.kind, request.place, request.name, request.options)
                return [Listing(source, partial(open_source, source, self.around))]
        return self._again(request)

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Forget the sources that were made for this if they cannot be listed and gave nothing."""
        try:
            yield
        except (QueueError, StoreError):
            for made in self._made:
                if not self._store.stats(made.number) and not self._queue.waiting(made.number):
                    with suppress(StoreError):
                        self._queue.purge(Which(source=made.name))
            raise

    @property
    def _max_bytes(self) -> int:
        return int(PLAIN.max_bytes * self._size_factor)

    def _folder(self, request: FolderRequest) -> Listing:
        folder = request.folder
        if not folder.is_dir():
            raise StoreNotFoundError(f"{folder} is not a folder.", "Name the folder to index.")
        inside = self._home is not None and folder.resolve() == self._home.resolve()
        place = "" if inside else str(folder.resolve())
        source = self._folder_at(folder.resolve(), place, request.name)
        before = Patterns.of(source.options)
        patterns = Patterns(
            before.include if request.include is None else request.include,
            before.exclude if request.exclude is None else request.exclude,
        )
        patterns.check()
        source = self._kept(replace(source, host=self._host, options=patterns.as_options()))
        reader = Folder(folder, self._size_factor, patterns.include, patterns.exclude)
        return Listing(source, lambda: reader)

    def _folder_at(self, folder: Path, place: str, name: str) -> Source:
        """The source of a folder, which is where it is: one of another name is another folder."""
        known = self._queue.sources()
        there = [one for one in known if one.kind == "folder"]
        for source in there:
            if source.place == place and name in {"", source.name}:
                return source
        moved = next((one for one in there if self._may_be_at_another(one, name)), None)
        for source in there:
            # The same path on another machine is another folder.
            if source == moved or source.host != self._host:
                continue
            if source.place == place:
                raise QueueError(
                    f"{folder} is in this index as source '{source.name}'.",
                    f"Leave --name out, or give `--name {source.name}`.",
                )
            self._check_apart(folder, source)
        self._check_unlisted(folder)
        if moved is not None:
            return self._kept(replace(moved, place=place))
        # From the same look: who adds this folder at the same moment finds its name taken.
        return self._added("folder", place, name or _free_name(folder, known), {})

    def _may_be_at_another(self, source: Source, name: str) -> bool:
        """Whether a folder's source of this name can be told a new place: its own is no more."""
        if source.place:
            is_here = source.host == self._host
            return source.name == name and is_here and not Path(source.place).exists()
        if self._home is not None:
            return False
        # The index was moved out of its folder; or an older embedwell did not say where that was.
        return source.name == name or not (name or source.host)

    def _check_apart(self, folder: Path, other: Source) -> None:
        """No file is in an index twice.

        Raises:
            QueueError: One of two folders lies in the other.
        """
        path = self._path_of(other)
        if path is None:
            return
        if folder.is_relative_to(path):
            raise QueueError(
                f"{folder} lies in {path}, whose files are in this index as source '{other.name}'.",
                f"`embedwell index {path}` keeps them up to date; what .gitignore or --exclude "
                "leaves out stays out.",
            )
        if path.is_relative_to(folder):
            raise QueueError(
                f"{path}, whose files are in this index as source '{other.name}', lies in "
                f"{folder}: they would be in it twice.",
                f"`embedwell index --name {other.name}` keeps these up to date. To have all of "
                f"{folder} instead, remove them first: `embedwell purge --source {other.name}`.",
            )

    def _check_unlisted(self, folder: Path) -> None:
        """The same for files that were named.

        Raises:
            QueueError: Some lie in the folder.
        """
        for source in self._queue.sources():
            base = self._path_of(source)
            if source.kind != "paths" or source.host != self._host or base is None:
                continue
            keys = self._keys_of(source)
            if any((base / name_of(key)).is_relative_to(folder) for key in keys):
                raise QueueError(
                    f"Files in {folder} are in this index as source '{source.name}': they would be "
                    "in it twice.",
                    f"Remove these first: `embedwell purge --source {source.name}`.",
                )

    def _paths(self, request: PathsRequest) -> Listing:
        home = self._home
        base = home if home is not None else request.base.absolute()
        place = "" if home is not None else str(base)
        known = next((one for one in self._queue.sources() if one.name == request.name), None)
        if known is not None and known.kind == "paths":
            place = known.place
            base = self._path_of(known) or base
        source = self._named("paths", place, request.name, {})
        names = (str(request.base.absolute() / name) for name in request.names)
        reader = self._paths_reader(base, names, is_whole=request.is_whole)
        return Listing(source, lambda: reader)

    def _paths_reader(self, base: Path, names: Iterable[str], *, is_whole: bool) -> Paths:
        folders = [
            (path, one.name)
            for one in self._queue.sources()
            if one.kind == "folder" and one.host == self._host
            if (path := self._path_of(one)) is not None
        ]
        return Paths(base.absolute(), names, self._size_factor, folders, is_whole=is_whole)

    def _again(self, request: AgainRequest) -> list[Listing]:
        sources = self._queue.sources()
        if not request.name:
            unable = {"records", "sql"} if request.only_files else {"records"}
            able = [one for one in sources if one.kind not in unable]
            return [Listing(one, self._opener(one), must=len(able) == 1) for one in able]
        source = next((one for one in sources if one.name == request.name), None)
        if source is None:
            known = ", ".join(one.name for one in sources) or "none yet"
            raise QueueError(
                f"This index has no source '{request.name}'.", f"Its sources: {known}."
            )
        if source.kind == "records":
            raise QueueError(
                f"The records of source '{source.name}' are not kept anywhere else.",
                f"Give them again: `embedwell index --records FILE --name {source.name}`.",
            )
        return [Listing(source, self._opener(source, request.target))]

    def _opener(self, source: Source, target: str = "") -> Callable[[], SourceReader]:
        """Opens a source once it is its turn: it may not be there."""
        if source.kind == "paths":
            names = (name_of(key) for key in self._keys_of(source))
            return lambda: self._paths_reader(self.around.path_of(source), names, is_whole=False)
        if source.kind == "sql" and target:
            source = replace(source, place=target)
        return partial(open_source, source, self.around)

    def _named(self, kind: str, place: str, name: str, options: Mapping[str, Any]) -> Source:
        """The source of a name, with these options from now on.

        Raises:
            QueueError: It is of another kind.
        """
        for source in self._queue.sources():
            if source.name == name and source.kind == kind:
                changed = replace(source, place=place, host=self._host, options=dict(options))
                return self._kept(changed)
        return self._added(kind, place, name, options)

    def _added(self, kind: str, place: str, name: str, options: Mapping[str, Any]) -> Source:
        if _NO_NAME.search(name) or not name.strip() or len(name) > _MOST_NAME:
            raise QueueError(
                f"{name!r} cannot be the name of a source.",
                f"Take 1 to {_MOST_NAME} characters without / : * ? [ ].",
            )
        if kind not in SOURCES:  # whether its package is there
            open_source(Source(0, kind, name, "", place, self._host, options), self.around)
        try:
            made = self._queue.add_source(kind, name, place, self._host, options)
        except QueueError:
            for one in self._queue.sources():
                if (one.kind, one.name, one.place) == (kind, name, place):
                    return one  # another process was faster
            raise
        self._made.append(made)
        return made

    def _kept(self, source: Source) -> Source:
        if source not in self._queue.sources():
            self._queue.set_source(source)
        return source

    def _keys_of(self, source: Source) -> list[str]:
        """Its documents, without its prefix."""
        return [key.removeprefix(source.prefix) for key in self._store.stats(source.number)]

    def _path_of(self, source: Source) -> Path | None:
        """Where a source's files are on this machine, if that is known."""
        return Path(source.place) if source.place else self._home and self._home.resolve()


def _place_of(target: str) -> str:
    """What is stored of where a database is: whole paths, and no password."""
    shown = shown_target(target)
    is_file = "://" not in target and not target.startswith("postgres-embedded:")
    return str(Path(target).expanduser().absolute()) if is_file else shown


def _free_name(folder: Path, known: Iterable[Source]) -> str:
    """A folder's own name, with a number where another source has it."""
    name = _NO_NAME.sub("-", folder.name)[: _MOST_NAME - 8].strip() or "folder"
    taken = {source.name for source in known}
    others = (f"{name}-{number}" for number in count(2))
    return next(one for one in chain([name], others) if one not in taken)
