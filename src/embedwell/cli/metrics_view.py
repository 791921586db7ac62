"""How a run went on: as a table, as blocks in the terminal and as an SVG file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from embedwell.cli.output import write_json, write_table
from embedwell.jobs.progress.history import History, history
from embedwell.stores.queue import Metrics

_BLOCKS = " ▁▂▃▄▅▆▇█"
_N_ROWS, _N_BLOCKS, _N_POINTS = 20, 60, 240
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#bab0ac")
_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 300, 56, 48


def tell_metrics(rows: Sequence[Metrics], *, as_json: bool, plot: Path | None) -> None:
    """Tell what was kept of a run.

    Args:
        rows: What its workers wrote down, oldest first.
        as_json: Write all rows as JSON.
        plot: Where an SVG of it goes, if anywhere.
    """
    if plot is not None and (fine := history(rows, _N_POINTS)):
        plot.write_text(svg(fine), "utf-8")
    if as_json:
        write_json([asdict(row) for row in rows])
        return
    found, blocks = history(rows, _N_ROWS), history(rows, _N_BLOCKS)
    if found is None or blocks is None:
        sys.stdout.write("Nothing was written down of this run: workers do so every 10 s.\n")
        return
    write_table(["after", "documents", "a second", "chunks", "a second"], _rows(found))
    sys.stdout.write("\nchunks a second\n")
    sys.stdout.writelines(f"{line}\n" for line in drawn(blocks))


def _rows(found: History) -> list[tuple[str, ...]]:
    return [
        (
            _clock((number + 1) * found.interval_s),
            f"{documents:,.0f}",
            f"{documents / found.interval_s:,.1f}",
            f"{chunks:,.0f}",
            f"{chunks / found.interval_s:,.1f}",
        )
        for number, (documents, chunks) in enumerate(found.total())
    ]


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def drawn(found: History) -> list[str]:
    """Chunks a second over time, a line of blocks for each worker and one for all together."""
    named = _lines(found)
    widest = max(len(name) for name in named)
    return [
        f"{name:<{widest}}  {_blocks(values)}  at most {max(values) / found.interval_s:,.0f}"
        for name, values in named.items()
    ]


def _lines(found: History) -> dict[str, list[float]]:
    """Chunks in each interval, of each worker and of all together."""
    named = {one.worker: [chunks for _, chunks in found.total(one.worker)] for one in found.workers}
    if len(named) > 1:
        named["all together"] = [chunks for _, chunks in found.total()]
    return named


def _blocks(values: Sequence[float]) -> str:
    most = max(values) or 1.0
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(last * value / most)] for value in values)


def svg(found: History) -> str:
    """Chunks a second over time, a line for each worker and a wide one for all together."""
    lines = _lines(found)
    most = max(max(values) for values in lines.values()) or 1.0
    shape = f'viewBox="0 0 {_WIDTH} {_HEIGHT + 18 * len(lines)}"'
    font = 'font-family="sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {shape} {font}>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            '<text x="8" y="22" font-size="15" font-weight="bold">Chunks a second</text>',
            *_axes(found, most / found.interval_s),
            *(
                _line(values, most, *_look(n, name))
                for n, (name, values) in enumerate(lines.items())
            ),
            *(_legend(n, name) for n, name in enumerate(lines)),
            "</svg>\n",
        ]
    )


def _look(number: int, name: str) -> tuple[str, float]:
    return ("#222", 2.5) if name == "all together" else (_COLOURS[number % len(_COLOURS)], 1.3)


def _axes(found: History, most: float) -> list[str]:
    base, right = _HEIGHT - 24, _WIDTH - 12
    took_s = found.interval_s * len(found.workers[0].chunks)
    parts = [f'<path d="M{_LEFT} {_TOP}V{base}H{right}" fill="none" stroke="#888"/>']
    for share in (0.0, 0.5, 1.0):
        y, x = base - share * (base - _TOP), _LEFT + share * (right - _LEFT)
        anchor = ("start", "middle", "end")[round(2 * share)]
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:g}" text-anchor="end">{share * most:,.0f}</text>'
        )
        parts.append(
            f'<text x="{x:g}" y="{base + 17}" text-anchor="{anchor}">'
            f"{_clock(share * took_s)}</text>"
        )
    return parts


def _line(values: Sequence[float], most: float, colour: str, width: float) -> str:
    base, right = _HEIGHT - 24, _WIDTH - 12
    step = (right - _LEFT) / max(len(values) - 1, 1)
    points = " ".join(
        f"{_LEFT + n * step:.1f},{base - value / most * (base - _TOP):.1f}"
        for n, value in enumerate(values)
    )
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round"/>'
    )


def _legend(number: int, name: str) -> str:
    y = _HEIGHT + 18 * number
    return (
        f'<rect x="{_LEFT}" y="{y}" width="10" height="10" fill="{_look(number, name)[0]}"/>'
        f'<text x="{_LEFT + 16}" y="{y + 9}">{escape(name)}</text>'
    )
