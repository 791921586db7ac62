"""Sizes as people write them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$")


def parse_bytes(text: str) -> int:
    """Bytes in `2MiB`, `1.5GB` or `4096`.

    Raises:
        ValueError: The text is no size.
    """
    match = _SIZE.match(text)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is no size such as 2MiB or 4096")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def parse_budget(text: str, total_bytes: int) -> int:
    """Bytes in a size or in a share such as `80%` of a total."""
    if text.endswith("%"):
        return int(float(text[:-1]) / 100 * total_bytes)
    return min(parse_bytes(text), total_bytes)


def format_bytes(n_bytes: float) -> str:
    """A size for people, such as `512 B` or `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} GiB"
