"""Published weights as tensors by name, whatever file they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.vectors import FloatArray
from embedwell.models.networks.config import Shape

_ELEMENTS = frozenset({"F64", "F32", "F16", "BF16"})


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
            ConversionError: Its elements are of a type that is not known.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class SafetensorsFile:
    """See `Published`.

    Args:
        path: The file.

    Raises:
        WrongBytesError: It is not safetensors, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        self.label = path.name
        try:
            self._file: Any = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise WrongBytesError(
                f"'{path}' cannot be read as safetensors ({error}).",
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
        if tensor.get_dtype() not in _ELEMENTS:
            raise ConversionError(
                f"The tensor '{name}' in '{self.label}' has elements of the type "
                f"{tensor.get_dtype()}, expected one of {', '.join(sorted(_ELEMENTS))}.",
                "Use the model's weights as they were before they were quantized.",
            )
        return np.asarray(tensor[start:stop], np.float32)

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


def open_safetensors(paths: Sequence[Path]) -> Published:
    """The tensors of one file, or of all files of a model that is published in several.

    Raises:
        WrongBytesError: A file is not safetensors, or is cut short.
    """
    files = [SafetensorsFile(path) for path in sorted(paths)]
    return files[0] if len(files) == 1 else Shards(files)
