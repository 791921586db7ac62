"""A grouped bar chart as SVG, small enough to commit and readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#4c78a8", "#f58518", "#54a24b")
NAME_WIDTH, BAR_WIDTH, VALUE_WIDTH = 230, 420, 70
BAR_HEIGHT, GROUP_GAP, TOP = 9, 8, 56


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """A row of bars for each name, one bar for each label, longest value filling the width."""
    highest = max(max(values) for values in series.values())
    group = BAR_HEIGHT * len(labels) + GROUP_GAP
    width = NAME_WIDTH + BAR_WIDTH + VALUE_WIDTH
    height = TOP + group * len(series)
    shape = f'viewBox="0 0 {width} {height}" width="{width}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {shape} font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="20" font-size="15" font-weight="bold">{escape(title)}</text>',
        *(_legend(i, label) for i, label in enumerate(labels)),
    ]
    for row, (name, values) in enumerate(series.items()):
        y = TOP + row * group
        weight = ' font-weight="bold"' if name.startswith("embedwell") else ""
        middle = y + BAR_HEIGHT * len(labels) / 2 + 4
        parts.append(
            f'<text x="{NAME_WIDTH - 8}" y="{middle:g}" text-anchor="end"{weight}>'
            f"{escape(name)}</text>"
        )
        parts += [_bar(y + i * BAR_HEIGHT, v, highest, i) for i, v in enumerate(values)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(i: int, label: str) -> str:
    x = 8 + 90 * i
    return (
        f'<rect x="{x}" y="32" width="10" height="10" fill="{COLOURS[i]}"/>'
        f'<text x="{x + 15}" y="41">{escape(label)}</text>'
    )


def _bar(y: float, value: float, highest: float, i: int) -> str:
    length = BAR_WIDTH * value / highest
    return (
        f'<rect x="{NAME_WIDTH}" y="{y:g}" width="{length:.1f}" height="{BAR_HEIGHT - 1}" '
        f'fill="{COLOURS[i]}"/>'
        f'<text x="{NAME_WIDTH + length + 4:.1f}" y="{y + 8:g}" font-size="9">{value:,.0f}</text>'
    )
