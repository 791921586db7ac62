"""Published weights as tensors by name, whatever file they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.vectors import FloatArray
from embedwell.models.networks.config import Shape

_ELEMENTS = frozenset({"F64", "F32", "F16", "BF16"})
_COUNTS = frozenset({"I32", "I64"})  # of lists, such as the rows that tokens share


class Published(Protocol):
    """Tensors under their published names. Nothing is read before it is asked for."""

    @property
    def label(self) -> str:
        """The file's name, for messages."""
        ...

    def names(self) -> frozenset[str]:
        """Names of all tensors."""
        ...

    def shape(self, name: str) -> Shape:
        """A tensor's shape."""
        ...

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """A part of a tensor along its first axis, as float32.

        Raises:
            ConversionError: Its elements are of a type that is not known, or some are no numbers.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class SafetensorsFile:
    """See `Published`.

    Args:
        path: The file.
        label: What messages call it: in a cache, files are named by their hash.

    Raises:
        WrongBytesError: It is not safetensors, or is cut short.
    """

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        try:
            self._file: Any = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise WrongBytesError(
                f"'{label}' cannot be read as safetensors ({error}).",
                "Remove the model with `embedwell models remove` and fetch it again.",
            ) from error

    def names(self) -> frozenset[str]:
        """See `Published`."""
        return frozenset(self._file.keys())

    def shape(self, name: str) -> Shape:
        """See `Published`."""
        return tuple(self._file.get_slice(name).get_shape())

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """See `Published`."""
        tensor = self._file.get_slice(name)
        if tensor.get_dtype() == "BF16":
            import ml_dtypes  # noqa: F401, PLC0415 - a type that numpy learns by it
        is_list = len(tensor.get_shape()) == 1
        if tensor.get_dtype() not in (_ELEMENTS | _COUNTS if is_list else _ELEMENTS):
            raise ConversionError(
                f"The tensor '{name}' in '{self.label}' has elements of the type "
                f"{tensor.get_dtype()}, expected one of {', '.join(sorted(_ELEMENTS))}.",
                "Use the model's weights as they were before they were quantized.",
            )
        rows = np.asarray(tensor[start:stop], np.float32)
        if not np.isfinite(rows).all():
            raise ConversionError(
                f"The tensor '{name}' in '{self.label}' has values that are no numbers.",
                "Use weights of which all are finite, as before a training that went wrong.",
            )
        return rows

    def close(self) -> None:
        """See `Published`."""
        self._file.__exit__(None, None, None)


class Shards:
    """Several files of one model's tensors; see `Published`.

    Args:
        files: Each with some of the tensors.
    """

    def __init__(self, files: Sequence[Published]) -> None:
        self.label = files[0].label
        self._files = files
        self._by_name = {name: file for file in files for name in file.names()}

    def names(self) -> frozenset[str]:
        """See `Published`."""
        return frozenset(self._by_name)

    def shape(self, name: str) -> Shape:
        """See `Published`."""
        return self._by_name[name].shape(name)

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """See `Published`."""
        return self._by_name[name].rows(name, start, stop)

    def close(self) -> None:
        """See `Published`."""
        for file in self._files:
            file.close()


def open_safetensors(paths: Mapping[str, Path]) -> Published:
    """The tensors of a model's one or several files of weights.

    Args:
        paths: Where its published files lie, by name; the others are passed over.

    Raises:
        WrongBytesError: A file is not safetensors, or is cut short.
    """
    names = sorted(name for name in paths if name.endswith(".safetensors"))
    files = [SafetensorsFile(paths[name], name) for name in names]
    return files[0] if len(files) == 1 else Shards(files)
