"""Markdown tables whose columns say what they show of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], Any]]


def table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """A heading and what it shows of each row, for each column."""
    lines = [[name for name, _ in columns], ["---"] * len(columns)]
    lines += [[str(show(row)) for _, show in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(name: str, digits: int) -> Callable[[Row], str]:
    """Show a value with so many digits after the point, and `-` where there is none."""

    def show(row: Row) -> str:
        value = row.get(name)
        return "-" if value is None else f"{value:,.{digits}f}"

    return show


def numbers(names: Sequence[str], digits: int) -> Callable[[Row], str]:
    """Show several values with ` / ` between them."""
    return lambda row: " / ".join(number(name, digits)(row) for name in names)


def value(name: str) -> Callable[[Row], Any]:
    """Show a value as it is."""
    return lambda row: row[name]
