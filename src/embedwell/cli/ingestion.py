"""An ingestion for people at a terminal: how far it is, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedwell.app.config.sizes import format_bytes
from embedwell.app.indexes.progress import Ingestion, WorkerState
from embedwell.cli.output import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

_COLOURS = {"done": "green", "failed": "red", "dead": "red", "leased": "cyan", "stopped": "red"}
_MOST_KINDS, _MOST_WORKERS = 8, 32


def headline(found: Ingestion, waits_for: str = "") -> str:
    """One line: the run, its speed and when it will be over."""
    if found.state == "done":
        return f"run {found.run} done, took {duration(found.took_s)}"
    if found.state == "stopped":
        return f"run {found.run} stopped: {found.reason}"
    words = [f"run {found.run} {'checks itself' if found.state == 'checking' else found.state}"]
    words.append(f"{duration(found.took_s)} so far")
    if found.lately.documents:
        words.append(f"{_rate(found.lately.documents)} documents/s")
        words.append(f"{_rate(found.lately.chunks)} chunks/s")
    if waits_for:
        words.append(f"waits for {waits_for}")
    elif not found.n_alive:
        words.append("nobody works on it: `embedwell index` or `embedwell work`")
    elif found.eta_s is not None:
        words.append(f"{duration(found.eta_s)} left")
    return " · ".join(words)


def counts_line(found: Ingestion) -> str:
    """One line: rows by status with percentages, without those of which there are none."""
    shown = [f"{c.n:,} {c.status} ({_percent(c.percent)})" for c in found.statuses if c.n]
    return f"{found.n_rows:,} documents: {', '.join(shown)}" if shown else "nothing is queued"


def panel(found: Ingestion, waits_for: str = "", *, is_brief: bool = False) -> RenderableType:
    """All of it, to be drawn again and again.

    Args:
        found: How far it is.
        waits_for: What the worker of this process waits for.
        is_brief: Whether workers and most kinds of failures are left out.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_bar(found), Text(headline(found, waits_for))]
    if is_brief:
        parts.append(Text(counts_line(found), style="dim"))
    else:
        parts += [Text(""), _statuses(found)]
    if found.failures:
        parts += [Text(""), _failures(found, 3 if is_brief else _MOST_KINDS)]
    if found.workers and not is_brief:
        parts += [Text(""), _workers(found.workers)]
    return Group(*parts)


def _bar(found: Ingestion) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    share = found.n_bytes / found.total_bytes if found.total_bytes else 1.0
    line = Table.grid(padding=(0, 1))
    style = "red" if found.state == "stopped" else "green"
    line.add_row(
        ProgressBar(total=1.0, completed=share, width=50, complete_style=style),
        _percent(100 * share),
        f"{format_bytes(found.n_bytes)} of {format_bytes(found.total_bytes)}",
    )
    return line


def _statuses(found: Ingestion) -> Table:
    table = _table("documents", "", "")
    for count in found.statuses:
        style = _COLOURS.get(count.status, "") if count.n else "dim"
        table.add_row(count.status, f"{count.n:,}", _percent(count.percent), style=style)
    return table


def _failures(found: Ingestion, most: int) -> Table:
    table = _table("failures", "", "such as")
    for one in found.failures[:most]:
        table.add_row(one.kind, f"{one.n:,}", one.example)
    if len(found.failures) > most:
        rest = found.failures[most:]
        table.add_row(f"{len(rest)} other kinds", f"{sum(one.n for one in rest):,}", "")
    return table


def _workers(workers: Sequence[WorkerState]) -> Table:
    table = _table("worker", "state", "seen", "done", "failed", "chunks", "memory", "")
    for one in workers[:_MOST_WORKERS]:
        table.add_row(
            one.name,
            one.state,
            f"{duration(one.seen_s)} ago",
            *(f"{one.n_done:,}", f"{one.n_failed:,}", f"{one.n_chunks:,}"),
            format_bytes(one.rss_bytes),
            one.error,
            style="" if one.is_alive else "red",
        )
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        is_text = number in {0, len(columns) - 1} or column in {"state", "seen"}
        table.add_column(
            column,
            justify="left" if is_text else "right",
            overflow="ellipsis" if is_text else "fold",
            no_wrap=True,
        )
    return table


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
