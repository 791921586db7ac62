"""`embedwell search`: a question in, ranked passages out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, cast

import click

from embedwell.cli.options import db_option, json_option, model_options, threads_option
from embedwell.cli.output import console, harmless, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from embedwell.search.results import SearchResult

RERANKER = "ms-marco-MiniLM-L6-v2"  # models.heads has it; --help imports nothing
# Lines of a passage that are shown: its best ones.
_LINES = 4


def _is_one_word(_context: click.Context, _option: click.Parameter, given: str) -> str:
    """The option's value may be left out, and then click takes a query that follows for it."""
    if " " in given:
        raise click.BadParameter(f"'{given}' is no model. Write it after the query.")
    return given


@click.command("search")
@click.argument("query")
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "semantic", "lexical"]),
    default="hybrid",
    show_default=True,
    help="By meaning and words, by meaning, or by words.",
)
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Results.")
@click.option("--path", help="Only paths that match this glob, such as 'docs/**'.")
@click.option("--language", help="Only this language, such as python or markdown.")
@click.option("--kind", type=click.Choice(["text", "code"]), help="Only text, or only code.")
@click.option(
    "--rerank",
    is_flag=False,
    flag_value=RERANKER,
    default="",
    metavar="[MODEL]",
    callback=_is_one_word,
    help="Read the 50 best again with a model that reranks, and order them by its scores; "
    f"{RERANKER} unless another is named. After QUERY.",
)
@db_option
@model_options
@threads_option
@json_option
def command(
    *,
    query: str,
    mode: str,
    k: int,
    path: str | None,
    language: str | None,
    kind: str | None,
    rerank: str,
    db: str | None,
    model: str | None,
    quantization: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Search the index of this folder, or of the nearest folder above it, for QUERY."""
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli.progress import watching
    from embedwell.core.errors import EmbeddingsOffError, PressureError
    from embedwell.search.results import as_json as results_as_json

    given = {"path": path, "language": language, "kind": kind}
    where = {name: value for name, value in given.items() if value is not None}
    with (
        watching() as watch,
        open_index(
            db=db, model=model, quantization=quantization, threads=threads, create=False
        ) as index,
    ):
        if mode != "lexical":
            with suppress(EmbeddingsOffError, PressureError):  # the search itself says what it does
                index.load(watch)
                index.store.warm()
        if rerank:
            index.rerankers.get(index.settings, rerank, watch)
        chosen = cast('Literal["hybrid", "semantic", "lexical"]', mode)
        found = index.search(query, k, chosen, where, rerank=rerank)
    if as_json:
        write_json(results_as_json(found))
        return
    if found.notice:
        console(stderr=True).print(found.notice, style="dim")
    out = console()
    for result in found.results:
        _show(out, query, result)
    n_found = len(found.results)
    noun = "result" if n_found == 1 else "results"
    summary = f"{n_found} {noun} in {found.took_ms:.0f} ms" if n_found else "Nothing was found."
    out.print(summary, style="dim")


def _show(out: Console, query: str, result: SearchResult) -> None:
    from rich.text import Text

    from embedwell.search.excerpt import excerpt

    chunk = result.chunk.chunk
    where = harmless(f"{result.chunk.key}:{chunk.start_line}-{chunk.end_line}")
    title = harmless(chunk.title)
    out.print(
        Text.assemble(
            (f"{result.score:.2f}", "green"), "  ", (where, "bold"), "  ", (title, "cyan")
        )
    )
    for line in excerpt(chunk.text, query, _LINES).lines:
        out.print(
            Text(harmless(f"      {line}")), overflow="ellipsis", no_wrap=True, soft_wrap=False
        )
    out.print()
