"""The tensors of a GGUF file under their published names, as float32, a few rows at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.vectors import FloatArray
from embedwell.models.gguf.header import REMEDY, GgufHeader, TensorPlace
from embedwell.models.gguf.names import Part, published_parts

_TYPES = "embeddings.token_type_embeddings.weight"


class GgufTensors:
    """Reads rows where they are asked for; the file is never mapped, so memory stays small.

    Attributes:
        label: The file's name, for messages.

    Args:
        header: What the file says of itself.

    Raises:
        WrongBytesError: The file cannot be opened.
    """

    def __init__(self, header: GgufHeader) -> None:
        self.label = header.path.name
        self._header = header
        self._parts = published_parts(header)
        try:
            self._file = header.path.open("rb")
        except OSError as error:
            raise _unreadable(header.path, str(error.strerror)) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> frozenset[str]:
        """The published names of what there is."""
        return frozenset({_TYPES, *self._parts} if self._lacks_types() else self._parts)

    def shape(self, name: str) -> tuple[int, ...]:
        """The published tensor's shape."""
        if name == _TYPES and self._lacks_types():
            return (1, self._header.count(f"{self._header.architecture}.embedding_length"))
        places = [self._header.tensors[part.name] for part in self._parts[name]]
        return (sum(part.n_rows for part in self._parts[name]), *places[0].shape[1:])

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Some rows of a tensor; of a vector, some elements.

        Raises:
            ConversionError: The package `gguf` cannot read the tensor's type, or some values are
                no numbers.
            WrongBytesError: The file has become shorter.
        """
        if name == _TYPES and self._lacks_types():
            return np.zeros((stop - start, self.shape(name)[1]), np.float32)
        found = []
        for part in self._parts[name]:
            first, last = max(start, 0), min(stop, part.n_rows)
            if first < last:
                found.append(self._read(part, first, last))
            start, stop = start - part.n_rows, stop - part.n_rows
        rows = found[0] if len(found) == 1 else np.concatenate(found)
        if not np.isfinite(rows).all():
            raise self._header.wrong(f"its tensor '{name}' has values that are no numbers")
        return rows

    def _lacks_types(self) -> bool:
        """llama.cpp lets the table of token types be left out: it then adds nothing."""
        return self._header.architecture != "modern-bert" and _TYPES not in self._parts

    def _read(self, part: Part, start: int, stop: int) -> FloatArray:
        place = self._header.tensors[part.name]
        first, n_rows = part.first + start, stop - start
        if len(place.shape) == 1:  # one row of elements, all of which are read
            return self._dequantized(place, 0, 1)[0, first : first + n_rows]
        return self._dequantized(place, first, n_rows)

    def _dequantized(self, place: TensorPlace, first: int, n_rows: int) -> FloatArray:
        """float32, shape (n_rows, width)."""
        from gguf.constants import GGMLQuantizationType  # noqa: PLC0415 - 35 ms
        from gguf.quants import dequantize  # noqa: PLC0415 - the same

        kind = GGMLQuantizationType(place.kind)
        data = self._bytes(place.start + first * place.row_bytes, n_rows * place.row_bytes)
        try:
            with np.errstate(all="ignore"):  # what is no number is refused by name
                rows = dequantize(data.reshape(n_rows, place.row_bytes), kind)
        except NotImplementedError as error:
            raise ConversionError(
                f"'{self.label}' has tensors of the type {kind.name}, which cannot be read.",
                "Take a file of another type, such as Q8_0.",
            ) from error
        return np.asarray(rows, np.float32)

    def _bytes(self, start: int, n_bytes: int) -> np.ndarray:
        self._file.seek(start)
        data = np.fromfile(self._file, np.uint8, n_bytes)
        if len(data) < n_bytes:
            raise _unreadable(self._header.path, "it has become shorter")
        return data


def _unreadable(path: Path, reason: str) -> WrongBytesError:
    return WrongBytesError(f"'{path}' cannot be read ({reason}).", REMEDY)
