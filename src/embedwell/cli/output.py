"""What commands share when they speak: JSON, tables, colours only on a terminal."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_NOWHERE = Path(os.devnull)
_UNBOUNDED = 10_000
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROLS[ord("\t")], _CONTROLS[ord("\n")]
_LEAST_LAST = 20  # characters of a table's last column


def prepare_streams() -> None:
    """Let every text be written: streams that are closed go nowhere, odd characters are escaped.

    A closed stream's number would else be given to the next file that is opened.
    """
    if sys.stdin is None:
        sys.stdin = _NOWHERE.open(encoding="utf-8")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _NOWHERE.open("w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper) and not _is_unicode(stream):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Send what is still to be written nowhere, so that the interpreter's end does not try it."""
    nowhere = os.open(_NOWHERE, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def write_json(value: Any, stream: TextIO | None = None) -> None:  # noqa: ANN401 - any JSON
    """Write one JSON document on a line of its own, by default to standard output."""
    stream = stream or sys.stdout
    told = json.dumps(value, ensure_ascii=not _is_unicode(stream), default=str)
    stream.write(told + "\n")


def harmless(text: str) -> str:
    """A text from a file or a name, with what would steer a terminal escaped."""
    return text.translate(_CONTROLS)


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().startswith("utf")


def tell(found: dict[str, str], *, as_json: bool) -> None:
    """Write a few facts by name, a line each or as JSON."""
    if as_json:
        write_json(found)
    else:
        sys.stdout.writelines(f"{name.replace('_', ' ')} {what}\n" for name, what in found.items())


def agreed() -> bool:
    """Whether a person at a terminal says yes; without one, nobody is asked."""
    import click

    return not sys.stdin.isatty() or click.confirm("Go on?", default=True)


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def console(*, stderr: bool = False) -> Console:
    """A console that knows about terminals, their width and `NO_COLOR`."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not found.is_terminal:
        found.width = _UNBOUNDED  # another program reads it: lines stay whole
    return found


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table without frames, which survives copying and piping."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    held = [[Text(harmless(cell)) for cell in row] for row in rows]
    for row in held:
        table.add_row(*row)
    found = console()
    # Only the last column may be folded: names are never cut, whatever the terminal's width.
    whole = [[Text(name) for name in columns], *held]
    needed = sum(max(row[n].cell_len for row in whole) + 2 for n in range(len(columns) - 1))
    found.width = max(found.width, needed + _LEAST_LAST)
    with found.capture() as written:
        found.print(table, soft_wrap=False)
    lines = written.get().rstrip("\n").split("\n")
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in lines)
