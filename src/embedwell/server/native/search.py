"""Routes about indexes: search, read on around a passage, status, bring up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from embedwell.app.indexes.progress import Ingestion
from embedwell.app.indexes.serving import index_file
from embedwell.core.errors import BadRequestError, EmbedwellError
from embedwell.core.events import Progress, Watch
from embedwell.engines.wire import ErrorAnswer, ErrorBody
from embedwell.server import paths
from embedwell.server.shared.answers import json_answer
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.security import is_unix

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.app.indexes.index import Index
    from embedwell.jobs.index import IndexReport
    from embedwell.search.results import SearchResults
    from embedwell.server.shared.service import Service
    from embedwell.stores.protocol import FoundChunk

_MOST_RESULTS = 1000
_MOST_NEIGHBOURS = 100
_MOST_VALUES = 100
_LAST_LINE = 2**31
_LINES = "application/x-ndjson"


class SearchRequest(Struct, forbid_unknown_fields=True):
    """A question to an index.

    Attributes:
        query: The question, or some words.
        index: Absolute path of an indexed folder, or the name that it is served under; empty for
            the one that is served.
        k: Most results.
        mode: By meaning and words, by meaning, or by words.
        path: Glob that paths must match.
        language: Language that documents must be in.
        kind: Only text, or only code.
        metadata: Values that documents must have, up to 100.
        rerank: Name of a model that reads the best results again and orders them; empty for none.
    """

    query: str
    index: str = ""
    k: Annotated[int, Meta(ge=1, le=_MOST_RESULTS)] = 10
    mode: Literal["hybrid", "semantic", "lexical"] = "hybrid"
    path: str = ""
    language: str = ""
    kind: Literal["text", "code"] | None = None
    metadata: Annotated[dict[str, Any], Meta(max_length=_MOST_VALUES)] = {}
    rerank: str = ""


class Hit(Struct):
    """A passage that was found; see docs/search.md."""

    rank: int
    score: float
    id: int
    path: str
    start_line: int
    end_line: int
    kind: str
    title: str
    text: str


class SearchAnswer(Struct):
    """What `embedwell search --json` prints.

    Attributes:
        query: As asked.
        mode: How it was searched.
        space: Id of the space that was searched, of the first where two were.
        took_ms: Time for everything.
        results: Best first.
        spaces: Ids of both, only where two were searched.
        notice: Only where there is something to say.
    """

    query: str
    mode: str
    space: str
    took_ms: float
    results: list[Hit]
    spaces: list[str] = []
    notice: str = ""


class Part(Struct):
    """One chunk of a passage."""

    id: int
    start_line: int
    end_line: int
    title: str
    text: str


class Passage(Struct):
    """A stretch of a document: whole chunks, one after the other.

    Attributes:
        path: The document's key.
        kind: `text` or `code`.
        language: May be empty.
        start_line: First line, from 1.
        end_line: Last line.
        n_chunks: Chunks that the whole document has.
        chunks: Those of this stretch.
    """

    path: str
    kind: str
    language: str
    start_line: int
    end_line: int
    n_chunks: int
    chunks: list[Part]


class StaleFiles(Struct):
    """Files that the next run of indexing has to look at."""

    changed: list[str]
    gone: list[str]


class SpaceState(Struct):
    """One of an index's spaces; see `embedwell status`."""

    number: int
    role: str
    holds: list[str]
    model: str
    dimensions: int
    missing: int
    builds: list[str]


class SourceState(Struct):
    """One of the things that an index is filled from; see `embedwell status`."""

    name: str
    kind: str
    place: str
    prefix: str


class IndexStatus(Struct):
    """What `embedwell status --json` prints."""

    db: str
    folder: str | None
    documents: int
    chunks: int
    size_bytes: int
    model: str
    dimensions: int
    space: str
    made_by: str
    index: str
    spaces: list[SpaceState]
    sources: list[SourceState]
    stale: StaleFiles | None
    ingestion: Ingestion | None


class ReindexRequest(Struct, forbid_unknown_fields=True):
    """Which index to bring up to date; named as in a search."""

    index: str = ""


async def search(service: Service, request: Request, body: SearchRequest) -> Response:
    """Answer a question."""
    given = {"path": body.path, "language": body.language, "kind": body.kind}
    where = body.metadata | {name: value for name, value in given.items() if value}

    def find(index: Index, watch: Watch) -> SearchResults:
        return index.search(body.query, body.k, body.mode, where, rerank=body.rerank, watch=watch)

    found = await service.with_index(request, body.index, find)
    from embedwell.search.results import as_json  # noqa: PLC0415 - loaded with the first index

    return json_answer(as_json(found))


async def status(service: Service, request: Request, body: None) -> Response:
    """Tell what an index holds, and how its folder differs from it."""
    del body

    def look(index: Index, watch: Watch) -> object:
        del watch
        from embedwell.app.indexes.status import status  # noqa: PLC0415 - with the first index

        return asdict(status(index))

    name = request.query_params.get("index", "")
    return json_answer(await service.with_index(request, name, look))


async def passage(service: Service, request: Request, body: None) -> Response:
    """Read a passage of a document with its neighbours."""
    del body
    asked = request.query_params
    number, around = _number(asked, "id", 0), _number(asked, "around", 1, most=_MOST_NEIGHBOURS)
    lines = _number(asked, "start_line", 1), _number(asked, "end_line", _LAST_LINE)
    path = asked.get("path", "")
    if bool(number) == bool(path):
        raise BadRequestError(
            "Either the `id` of a passage or the `path` of a document is needed.",
            "Take one of them from a search's results.",
        )

    def read(index: Index, watch: Watch) -> Passage:
        del watch
        with index.store.snapshot():
            found = index.store.chunks([number]) if number else []
            chunks = index.store.passages(found[0].key if found else path)
        return _passage(chunks, number, lines, around, path)

    return json_answer(await service.with_index(request, asked.get("index", ""), read))


async def reindex(service: Service, request: Request, body: ReindexRequest) -> Response:
    """Bring an index up to date; progress goes out as lines of JSON, the report comes last."""
    any_place = is_unix(request.scope)

    def run(watch: Watch) -> IndexReport:
        file = index_file(body.index, service.settings, any_place=any_place)
        with service.indexes.alone(file) as index:
            return index.add_folder(watch=watch)

    steps = service.follow(run)
    first = await anext(steps)  # what is wrong from the start gives a status of its own
    return StreamingResponse(_lines(first, steps), media_type=_LINES)


async def _lines(
    first: Progress | IndexReport, steps: AsyncIterator[Progress | IndexReport]
) -> AsyncIterator[bytes]:
    try:
        yield _line(first)
        async for step in steps:
            yield _line(step)
    except EmbedwellError as error:
        body = ErrorBody(type(error).__name__, error.problem, error.remedy)
        yield msgspec.json.encode(ErrorAnswer(body)) + b"\n"


def _line(step: Progress | IndexReport) -> bytes:
    name = "progress" if isinstance(step, Progress) else "report"
    return msgspec.json.encode({name: asdict(step)}) + b"\n"


def _passage(
    chunks: list[FoundChunk], number: int, lines: tuple[int, int], around: int, path: str
) -> Passage:
    """The chunks that were asked for and so many around them."""
    wanted = [
        at
        for at, found in enumerate(chunks)
        if (found.id == number if number else _overlap(found, lines))
    ]
    if not wanted:
        what = f"passage {number}" if number else f"passage of {path} at these lines"
        raise BadRequestError(
            f"The index has no {what}.", "Search again: its document may have changed."
        )
    begin, end = max(0, wanted[0] - around), wanted[-1] + 1 + around
    shown = chunks[begin:end]
    parts = [
        Part(f.id, f.chunk.start_line, f.chunk.end_line, f.chunk.title, f.chunk.text) for f in shown
    ]
    return Passage(
        shown[0].key,
        shown[0].kind,
        shown[0].language,
        parts[0].start_line,
        max(part.end_line for part in parts),
        len(chunks),
        parts,
    )


def _overlap(found: FoundChunk, lines: tuple[int, int]) -> bool:
    return found.chunk.start_line <= lines[1] and found.chunk.end_line >= lines[0]


def _number(asked: Any, name: str, default: int, most: int = 2**62) -> int:  # noqa: ANN401 - Starlette's
    raw = asked.get(name, "")
    if not raw:
        return default
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) <= most):
        raise BadRequestError(f"`{name}` is {raw!r}.", f"Give a whole number up to {most}.")
    return int(raw)


INDEX = ("index", "Absolute path of an indexed folder, or the name that it is served under.")
NO_INDEX = (404, "no such index, or it is not served")
OTHER_SPACE = (409, "the index's vectors are of another space")

ENDPOINTS = (
    Endpoint(
        "POST",
        paths.SEARCH,
        "Search an index by meaning and by words.",
        search,
        body=SearchRequest,
        answer=SearchAnswer,
        statuses=(NO_INDEX, OTHER_SPACE),
    ),
    Endpoint(
        "GET",
        paths.PASSAGE,
        "Read a passage of an indexed document, with what stands before and after it.",
        passage,
        answer=Passage,
        query=(
            INDEX,
            ("id", "Of a passage, from a search."),
            ("path", "Of a document, from a search; instead of `id`."),
            ("start_line", "First line wanted, with `path`; from 1."),
            ("end_line", "Last line wanted, with `path`; the document's by default."),
            ("around", "Passages before and after it; 1 by default."),
        ),
        statuses=(NO_INDEX,),
    ),
    Endpoint(
        "GET",
        paths.STATUS,
        "What an index holds, and which files of its folder are stale.",
        status,
        answer=IndexStatus,
        query=(INDEX,),
        statuses=(NO_INDEX,),
    ),
    Endpoint(
        "POST",
        paths.REINDEX,
        "Bring an index up to date with its folder; lines of `progress`, then `report` or `error`.",
        reindex,
        body=ReindexRequest,
        media_type=_LINES,
        statuses=(NO_INDEX, (409, "it is being indexed already, or its space is another")),
    ),
)
