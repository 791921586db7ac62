"""What a GGUF file says of itself: its fields, and where each tensor lies.

The format is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Such a file comes
from anyone: every count, length and offset is checked against the file's size before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import ConversionError, WrongBytesError

Value = bool | int | float | str | list[str] | npt.NDArray[np.generic]

REMEDY = "Fetch the file again, or convert the model again with llama.cpp."

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_LARGEST_HEADER = 256 << 20  # the largest vocabularies known take 10 MB
_MOST_ENTRIES = 1 << 16
_MOST_STRINGS = 1 << 22
_MOST_DIMENSIONS = 4
_LONGEST_NAME = 1 << 10
_ALIGNMENT = 32  # where the file does not say

# By the number that the file has for each type.
_SCALARS = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?", "", "", "<u8", "<i8", "<f8")
_BOOL, _STRING, _ARRAY = 7, 8, 9


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in the file.

    Attributes:
        kind: The number of its element type.
        shape: Rows first, as in numpy.
        start: Its first byte in the file.
        row_bytes: Bytes of one row, the last dimension.
    """

    kind: int
    shape: tuple[int, ...]
    start: int
    row_bytes: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole tensor."""
        return prod(self.shape[:-1]) * self.row_bytes


@dataclass(frozen=True)
class GgufHeader:
    """All that stands before the tensors.

    Attributes:
        path: The file.
        fields: Value by key; arrays of numbers are numpy arrays.
        tensors: Place by name.
    """

    path: Path
    fields: Mapping[str, Value]
    tensors: Mapping[str, TensorPlace]

    @property
    def architecture(self) -> str:
        """Such as `bert`."""
        return self.text("general.architecture")

    def text(self, key: str, default: str | None = None) -> str:
        """A string.

        Raises:
            ConversionError: It is missing and there is no default, or it is none.
        """
        value = self.fields.get(key, default)
        if isinstance(value, str):
            return value
        raise self._unfit(key, "a text")

    def texts(self, key: str, default: list[str] | None = None) -> list[str]:
        """A list of strings; raises as `text` does."""
        value = self.fields.get(key, default)
        if isinstance(value, list):
            return value
        raise self._unfit(key, "a list of texts")

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean; raises as `text` does."""
        value = self.fields.get(key, default)
        if isinstance(value, bool):
            return value
        raise self._unfit(key, "true or false")

    def numbers(
        self, key: str, default: npt.NDArray[np.generic] | None = None
    ) -> npt.NDArray[np.generic]:
        """A list of numbers; raises as `text` does."""
        value = self.fields.get(key, default)
        if isinstance(value, np.ndarray):
            return value
        raise self._unfit(key, "a list of numbers")

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number; raises as `text` does."""
        value = self.fields.get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            return float(value)
        raise self._unfit(key, "a number")

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number below 2,147,483,648; raises as `text` does."""
        value = self.fields.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
        raise self._unfit(key, "a number of things")

    def wrong(self, problem: str) -> ConversionError:
        """An error about this file."""
        return ConversionError(f"'{self.path}' cannot be used: {problem}.", REMEDY)

    def _unfit(self, key: str, expected: str) -> ConversionError:
        known = key in self.fields
        return self.wrong(f"its '{key}' is not {expected}" if known else f"it has no '{key}'")


def read_header(path: Path) -> GgufHeader:
    """Read what stands before the tensors, and check where they lie.

    Takes about a second for a vocabulary of 250,000 words, and memory for that vocabulary.

    Raises:
        WrongBytesError: It cannot be read, is not GGUF, is cut short or contradicts itself.
        ConversionError: It is GGUF of a kind that is not known: of another version or byte order.
    """
    try:
        with path.open("rb") as file:
            return _read(path, _Cursor(file, path))
    except OSError as error:
        raise WrongBytesError(f"'{path}' cannot be read ({error.strerror}).", REMEDY) from error


def _read(path: Path, cursor: _Cursor) -> GgufHeader:
    _check_version(path, cursor)
    n_tensors, n_fields = cursor.u64(), cursor.u64()
    if max(n_tensors, n_fields) > _MOST_ENTRIES:
        raise cursor.wrong(f"it claims {n_tensors} tensors and {n_fields} fields")
    fields: dict[str, Value] = {}
    for _ in range(n_fields):
        key = cursor.name()
        if key in fields:
            raise cursor.wrong(f"it has two fields '{key}'")
        fields[key] = _value(cursor, cursor.u32())
    entries = [_entry(cursor) for _ in range(n_tensors)]
    alignment = fields.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or not _is_alignment(alignment):
        raise cursor.wrong(f"its alignment is {alignment}")
    start = -(-cursor.position // alignment) * alignment
    tensors = {name: _place(cursor, name, entry, start) for name, entry in entries}
    if len(tensors) < n_tensors:
        raise cursor.wrong("two of its tensors have one name")
    _refuse_overlaps(cursor, tensors)
    return GgufHeader(path, fields, tensors)


def _check_version(path: Path, cursor: _Cursor) -> None:
    if cursor.take(4) != _MAGIC:
        raise WrongBytesError(f"'{path}' is not a GGUF file.", "Name a file in the GGUF form.")
    version = cursor.u32()
    if version in _VERSIONS:
        return
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    problem = (
        "is for machines of the other byte order (big-endian)"
        if swapped in _VERSIONS
        else f"has version {version} of the GGUF form; known are {_VERSIONS[0]} and {_VERSIONS[1]}"
    )
    raise ConversionError(f"'{path}' {problem}.", "Convert the model again with llama.cpp.")


def _is_alignment(value: int) -> bool:
    return 8 <= value <= 1 << 16 and value & (value - 1) == 0


def _value(cursor: _Cursor, kind: int) -> Value:
    if kind == _ARRAY:
        return _array(cursor, cursor.u32(), cursor.u64())
    if kind == _STRING:
        return cursor.text()
    value: bool | int | float = cursor.numbers(_scalar(cursor, kind), 1)[0].item()
    return value


def _array(cursor: _Cursor, kind: int, n_values: int) -> Value:
    if kind != _STRING:
        return cursor.numbers(_scalar(cursor, kind), n_values)
    if n_values > _MOST_STRINGS:
        raise cursor.wrong(f"it claims a list of {n_values} texts")
    return [cursor.text() for _ in range(n_values)]


def _scalar(cursor: _Cursor, kind: int) -> np.dtype[Any]:
    if kind < len(_SCALARS) and _SCALARS[kind]:
        return np.dtype(_SCALARS[kind])
    raise cursor.wrong(f"it has a value of the unknown type {kind}")


def _entry(cursor: _Cursor) -> tuple[str, tuple[tuple[int, ...], int, int]]:
    """Name; then shape, type and offset of a tensor."""
    name = cursor.name()
    n_dimensions = cursor.u32()
    if not 1 <= n_dimensions <= _MOST_DIMENSIONS:
        raise cursor.wrong(f"its tensor '{name}' has {n_dimensions} dimensions")
    shape = tuple(cursor.u64() for _ in range(n_dimensions))[::-1]
    return name, (shape, cursor.u32(), cursor.u64())


def _place(
    cursor: _Cursor, name: str, entry: tuple[tuple[int, ...], int, int], start: int
) -> TensorPlace:
    shape, kind, offset = entry
    n_values, n_bytes = _block(cursor, name, kind)
    if shape[-1] % n_values or min(shape) < 1:
        raise cursor.wrong(f"its tensor '{name}' has the shape {shape}")
    place = TensorPlace(kind, shape, start + offset, shape[-1] // n_values * n_bytes)
    if place.start + place.n_bytes > cursor.n_bytes:
        raise cursor.wrong(
            f"its tensor '{name}' would end at byte {place.start + place.n_bytes}, "
            f"but the file has {cursor.n_bytes}"
        )
    return place


def _block(cursor: _Cursor, name: str, kind: int) -> tuple[int, int]:
    """How many values a block of a type has, in how many bytes."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType  # noqa: PLC0415 - 35 ms

    try:
        return GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (KeyError, ValueError) as error:
        raise cursor.wrong(f"its tensor '{name}' is of the unknown type {kind}") from error


def _refuse_overlaps(cursor: _Cursor, tensors: Mapping[str, TensorPlace]) -> None:
    in_order = sorted(tensors.items(), key=lambda item: item[1].start)
    for (name, place), (next_name, next_place) in pairwise(in_order):
        if place.start + place.n_bytes > next_place.start:
            raise cursor.wrong(f"its tensors '{name}' and '{next_name}' overlap")


class _Cursor:
    """Reads a file from its beginning, and never more than it has."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.n_bytes = path.stat().st_size
        self.position = 0

    def take(self, n_bytes: int) -> bytes:
        self.position += n_bytes
        if self.position > min(self.n_bytes, _LARGEST_HEADER):
            raise self.wrong(
                f"it is cut short or damaged at byte {self.position - n_bytes}, "
                f"where {n_bytes} bytes should follow"
            )
        return self._file.read(n_bytes)

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def text(self) -> str:
        return self.take(self.u64()).decode("utf-8", "replace")

    def name(self) -> str:
        n_bytes = self.u64()
        if n_bytes > _LONGEST_NAME:
            raise self.wrong(f"it claims a name of {n_bytes} bytes")
        return self.take(n_bytes).decode("utf-8", "replace")

    def numbers(self, kind: np.dtype[Any], n_values: int) -> npt.NDArray[np.generic]:
        return np.frombuffer(self.take(n_values * kind.itemsize), kind)

    def wrong(self, problem: str) -> WrongBytesError:
        return WrongBytesError(f"'{self._path}' is not a sound GGUF file: {problem}.", REMEDY)
