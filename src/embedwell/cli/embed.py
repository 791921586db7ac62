"""`embedwell embed`: texts in, vectors out, as a stream."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import click

from embedwell.cli.options import json_option, model_options, threads_option
from embedwell.cli.output import harmless
from embedwell.core.errors import EmbedwellError

if TYPE_CHECKING:
    from embedwell.core.events import Watch
    from embedwell.core.vectors import FloatArray

# Enough texts to fill sorted batches, few enough that a stream flows.
_TEXTS_AT_ONCE = 1024
_LOOK_S = 0.2

Lines: TypeAlias = "queue.Queue[str | OSError | None]"
"""Lines that were read; after the last one None, or why no more could be."""


@click.command("embed")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "--kind",
    type=click.Choice(["document", "query"]),
    default="document",
    help="What the texts are: models may put another prompt before each.",
)
@model_options
@threads_option
@json_option
def command(
    *,
    texts: Sequence[str],
    kind: str,
    model: str | None,
    quantization: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print the vector of each TEXT, or of each line of standard input.

    With --json: one JSON array a line, in the order of the texts, as soon as it is known.
    """
    from embedwell.app.config.configuration import load
    from embedwell.app.embedding.connect import chosen, connect
    from embedwell.app.embedding.embedder import truncation_message
    from embedwell.cli.progress import watching

    arguments = {"model": model, "quantization": quantization, "threads": threads}
    n_texts = n_truncated = 0
    with watching() as watch:
        settings, choice = chosen(load(arguments).settings, watch)
        if choice:
            sys.stderr.write(f"{choice.reason}\n")
        embedder = connect(settings, watch)
        for batch in [list(texts)] if texts else _batches(watch):
            embedded = embedder.embed(batch, "query" if kind == "query" else "document", watch)
            _write(batch, embedded.vectors, as_json=as_json)
            n_texts += len(batch)
            n_truncated += embedded.n_truncated
    if n_truncated:
        sys.stderr.write(truncation_message(n_truncated, n_texts, embedder.space) + "\n")


def _write(texts: Sequence[str], vectors: FloatArray, *, as_json: bool) -> None:
    import msgspec

    for text, vector in zip(texts, vectors, strict=True):
        if as_json:
            line = msgspec.json.encode(vector.tolist()).decode()
        else:
            values = " ".join(f"{value:+.4f}" for value in vector[:4])
            line = f"{values} … ({len(vector)} dimensions)  {harmless(text[:60])}"
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _batches(watch: Watch) -> Iterator[list[str]]:
    """Lines of standard input, as many as are there at the moment."""
    lines: Lines = queue.Queue(maxsize=_TEXTS_AT_ONCE)

    def read() -> None:
        try:
            # A file of its own: the interpreter's end would wait for the lock of `sys.stdin`.
            for line in open(sys.stdin.fileno(), "rb", closefd=False):  # noqa: SIM115 - see above
                lines.put(line.decode("utf-8", "replace").rstrip("\r\n"))
        except OSError as error:
            lines.put(error)
        else:
            lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while isinstance(line := _next(lines, watch), str):
        batch = [line]
        while len(batch) < _TEXTS_AT_ONCE and not lines.empty():
            following = _next(lines, watch)
            if not isinstance(following, str):
                lines.put(following)  # for the next look
                break
            batch.append(following)
        yield batch
    if line is not None:
        raise EmbedwellError(
            f"Standard input cannot be read: {line.strerror}.", "Give the texts another way."
        ) from line


def _next(lines: Lines, watch: Watch) -> str | OSError | None:
    """What comes next, whenever that is.

    Raises:
        TaskCancelledError: `watch` was asked to stop.
    """
    while True:
        watch.check("embed")
        try:
            return lines.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
