"""What the options of `embedwell index` ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from embedwell.app.indexes.index import Index
    from embedwell.app.indexes.requests import Request

F = TypeVar("F", bound=Callable[..., Any])

_LISTS = ("paths", "records", "sql", "kind")


def _set(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    """`NAME=VALUE`, where the value is JSON or else a text."""
    del context, parameter
    found: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"'{value}' is not of the form NAME=VALUE.")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


_OPTIONS = (
    click.option(
        "--name", default="", help="What the source is called; alone: index that source again."
    ),
    click.option(
        "--include",
        metavar="GLOB",
        multiple=True,
        help="Only files that match one of these, as in .gitignore; kept for the next runs.",
    ),
    click.option(
        "--exclude",
        metavar="GLOB",
        multiple=True,
        help="Leave these out, beside what .gitignore says; kept for the next runs.",
    ),
    click.option(
        "--all-files", is_flag=True, help="Forget the --include and --exclude of earlier runs."
    ),
    click.option(
        "--paths",
        metavar="FILE",
        type=click.File("rb"),
        help="Index the files that this list names, a path a line; - for standard input.",
    ),
    click.option("-0", "nul", is_flag=True, help="With --paths: NUL ends each path."),
    click.option(
        "--records",
        metavar="FILE",
        type=click.File("rb"),
        help='Index JSON Lines: {"id": …, "text": …} and what it can be found by; - likewise.',
    ),
    click.option(
        "--remove-missing",
        is_flag=True,
        help="With --paths and --records: what was listed before and is not now leaves.",
    ),
    click.option("--sql", metavar="QUERY", help="Index the rows that a query gives; with --name."),
    click.option(
        "--from",
        "target",
        metavar="FILE|ADDRESS",
        default="",
        help="With --sql: the SQLite file, or the PostgreSQL database; no password is kept.",
    ),
    click.option(
        "--id", "id_column", metavar="COLUMN", help="With --sql: what tells rows apart; else `id`."
    ),
    click.option(
        "--text",
        "text_columns",
        metavar="COLUMN",
        multiple=True,
        help="With --sql: what is embedded; else `text`. Other columns are metadata.",
    ),
    click.option(
        "--write-back",
        metavar="TABLE.COLUMN",
        default="",
        help="With --sql on SQLite: where each row's vector is written (float32 blob).",
    ),
    click.option(
        "--key",
        metavar="COLUMN",
        default="",
        help="With --write-back: the column of that table with the ids; else that of --id.",
    ),
    click.option(
        "--kind", metavar="KIND", help="PATH is a source of a kind that a package brings."
    ),
    click.option(
        "--set",
        "others",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_set,
        help="With --kind: what that kind needs to know.",
    ),
)


def source_options(command: F) -> F:
    """All options that say what is indexed."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check(options: Mapping[str, Any]) -> None:
    """Refuse options that do not go together.

    Raises:
        click.UsageError: Some do not.
    """
    lists = [name for name in _LISTS if options[name]]
    has_patterns = bool(options["include"] or options["exclude"] or options["all_files"])
    path = options["path"]
    wrong = {
        "Give one of --paths, --records, --sql and --kind.": len(lists) > 1,
        "PATH is for folders and --kind.": bool(path and lists and lists != ["kind"]),
        "--kind needs PATH and --name.": lists == ["kind"] and not (path and options["name"]),
        "--sql needs --name and --from.": lists == ["sql"]
        and not (options["name"] and options["target"]),
        "--include, --exclude and --all-files are for folders.": bool(has_patterns and lists),
        "--all-files forgets patterns: leave --include and --exclude out.": bool(
            options["all_files"] and (options["include"] or options["exclude"])
        ),
        "--write-back belongs to --sql, and --key to it.": bool(
            (options["write_back"] and lists != ["sql"])
            or (options["key"] and not options["write_back"])
        ),
        "-0 belongs to --paths.": options["nul"] and lists != ["paths"],
        "--remove-missing belongs to --paths or --records.": options["remove_missing"]
        and lists not in (["paths"], ["records"]),
        "--watch is for what can be listed again: not for --paths and --records.": options["watch"]
        and lists in (["paths"], ["records"]),
        "--workers ends when all is done: leave --watch, or have `embedwell work` beside it.": bool(
            options["watch"] and options["workers"]
        ),
        "--canary-only stops by itself: leave --watch out.": bool(
            options["canary_only"] and options["watch"]
        ),
        "--queue-only leaves the work to others: leave --workers out.": bool(
            options["queue_only"] and options["workers"]
        ),
    }
    for problem, is_wrong in wrong.items():
        if is_wrong:
            raise click.UsageError(problem)


def home_of(options: Mapping[str, Any]) -> Path:
    """The folder whose index is meant: PATH itself, and for all else that of the nearest index."""
    from embedwell.app.config.place import find_file, indexed_folder
    from embedwell.core.errors import StoreNotFoundError

    if options["path"] and not options["kind"]:
        return Path(options["path"])
    if not options["name"] and not any(options[name] for name in _LISTS):
        return Path()
    try:
        return indexed_folder(find_file(Path())) or Path()
    except StoreNotFoundError:
        return Path()


def request_of(options: Mapping[str, Any], index: Index) -> Request:
    """What is to be indexed."""
    from embedwell.app.indexes import requests
    from embedwell.ingest.sources.paths import names_in
    from embedwell.ingest.sources.sql import Columns

    name = options["name"]
    if options["paths"]:
        names = names_in(options["paths"], separator=b"\0" if options["nul"] else b"\n")
        return requests.PathsRequest(
            names, Path.cwd(), name or "paths", is_whole=options["remove_missing"]
        )
    if options["records"]:
        return requests.RecordsRequest(
            options["records"], name or "records", is_whole=options["remove_missing"]
        )
    if options["sql"]:
        columns = Columns(options["id_column"] or "id", options["text_columns"] or ("text",))
        back, key = options["write_back"], options["key"]
        return requests.QueryRequest(options["target"], options["sql"], name, columns, back, key)
    if options["kind"]:
        return requests.OtherRequest(options["kind"], options["path"], name, options["others"])
    return _files(options, index)


def _files(options: Mapping[str, Any], index: Index) -> Request:
    """A folder, or what was indexed before."""
    from embedwell.app.indexes.requests import AgainRequest, FolderRequest

    name, path = options["name"], options["path"]
    include, exclude = options["include"] or None, options["exclude"] or None
    if options["all_files"]:
        include = exclude = ()
    has_patterns = include is not None or exclude is not None
    known = {source.name: source for source in index.sources()}
    if not path and not has_patterns:
        is_home = index.folder is not None and index.folder.resolve() == Path.cwd()
        if name in known:
            return AgainRequest(name, options["target"])
        if not name and is_home and any(one.kind != "records" for one in known.values()):
            return AgainRequest()
    return FolderRequest(Path(path or "."), name, include, exclude)
