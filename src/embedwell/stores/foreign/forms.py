"""The forms in which applications store vectors, and reading them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from embedwell.core.errors import SpaceMismatchError
from embedwell.core.vectors import FloatArray

FORMS = {"float32": "<f4", "float16": "<f2", "float64": "<f8"}
"""Blobs by the name of their values, little-endian."""
JSON = "JSON text"


def form_of(values: Sequence[Any], dimensions: int, place: str) -> str:
    """The form of stored vectors, judged by some of them.

    Args:
        values: What is stored, NULLs included.
        dimensions: How long the vectors are that they will be compared with.
        place: What holds them, for people.

    Returns:
        One of `FORMS`, or `JSON`; empty where no value tells.

    Raises:
        SpaceMismatchError: They have another length, or no known form.
    """
    told = [value for value in values if value is not None]
    if not told:
        return ""
    for name, code in FORMS.items():
        n_bytes = np.dtype(code).itemsize * dimensions
        if _share(isinstance(value, bytes) and len(value) == n_bytes for value in told):
            return name
    lists = [_from_json(value) for value in told]
    if _share(row is not None and len(row) == dimensions for row in lists):
        return JSON
    raise SpaceMismatchError(
        f"{place} does not hold vectors of {dimensions} dimensions: it has {_seen(told[0])}.",
        f"Name the model that made them with `model=`. Read are little-endian blobs of "
        f"{', '.join(FORMS)}, and JSON lists of numbers.",
    )


def rows_of(values: Sequence[Any], form: str, dimensions: int) -> FloatArray:
    """Stored vectors at length 1: float32, shape (n, d); NaN rows where one cannot be used.

    Those are NULL, of another length or form, not finite, or all zero.
    """
    code = np.dtype(FORMS.get(form, "<f8"))
    n_bytes = code.itemsize * dimensions
    if form != JSON and all(isinstance(one, bytes) and len(one) == n_bytes for one in values):
        return unit_rows(np.frombuffer(b"".join(values), code).reshape(-1, dimensions))
    rows = np.full((len(values), dimensions), np.nan, np.float64)
    for at, value in enumerate(values):
        found = _from_json(value) if form == JSON else _from_blob(value, code)
        if found is not None and len(found) == dimensions:
            rows[at] = found
    return unit_rows(rows)


def unit_rows(rows: np.ndarray[tuple[int, ...], Any]) -> FloatArray:
    """Rows scaled to length 1: float32, shape (n, d); NaN where that cannot be done."""
    wide = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        largest = np.abs(wide).max(axis=1, keepdims=True, initial=0)
        scaled = wide / largest  # so that no square overflows
        unit = scaled / np.sqrt(np.einsum("nd,nd->n", scaled, scaled))[:, None]
    unit[~np.isfinite(unit).all(axis=1)] = np.nan
    out: FloatArray = unit.astype(np.float32)
    return out


def _from_blob(value: object, code: np.dtype[Any]) -> Any:  # noqa: ANN401 - an array of some type
    if not isinstance(value, bytes) or len(value) % code.itemsize:
        return None
    return np.frombuffer(value, code)


def _from_json(value: object) -> list[float] | None:
    if not isinstance(value, str):
        return None
    try:
        row = json.loads(value)
        return [float(number) for number in row] if isinstance(row, list) else None
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None


def _share(matches: Iterable[bool]) -> bool:
    """Whether most do: a broken row among them is skipped later."""
    found = list(matches)
    return sum(found) * 2 > len(found)


def _seen(value: object) -> str:
    if isinstance(value, bytes):
        return f"blobs of {len(value)} bytes"
    if isinstance(value, str):
        row = _from_json(value)
        return f"JSON lists of {len(row)} numbers" if row is not None else "text that is not JSON"
    return f"values such as {value!r}"
