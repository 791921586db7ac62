"""Published weights, read from a safetensors file one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError, safe_open

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.vectors import FloatArray

Shape = tuple[int, ...]

# Rows are read in blocks of about this many bytes, so that no big table is ever whole in memory.
_BLOCK_BYTES = 4 << 20


class Tensors:
    """The tensors of one safetensors file. Nothing is read before it is asked for.

    Args:
        path: The file.
        shapes: Shape by name of every tensor that will be read. A prefix that all published
            names share, such as `bert.`, is found and put before each name.
        on_read: Called after each whole tensor was read.

    Raises:
        WrongBytesError: The file is not safetensors, or is cut short.
        ConversionError: A tensor is missing or has another shape.
    """

    def __init__(
        self, path: Path, shapes: Mapping[str, Shape], on_read: Callable[[], None] = lambda: None
    ) -> None:
        self._shapes = shapes
        self._on_read = on_read
        self._file = _open(path)
        self._prefix = _common_prefix(set(self._file.keys()), next(iter(shapes)))
        self._check(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, at)

    def read(self, name: str) -> FloatArray:
        """One whole tensor as float32."""
        tensor: FloatArray = np.asarray(self._file.get_tensor(self._prefix + name), np.float32)
        self._on_read()
        return tensor

    def blocks(self, name: str) -> Iterator[FloatArray]:
        """A matrix as consecutive blocks of rows, float32, a few megabytes each."""
        n_rows, width = self._shapes[name]
        step = max(1, _BLOCK_BYTES // (4 * width))
        rows = self._file.get_slice(self._prefix + name)
        for start in range(0, n_rows, step):
            yield np.asarray(rows[start : min(start + step, n_rows)], np.float32)
        self._on_read()

    def _check(self, path: Path) -> None:
        names = set(self._file.keys())
        for name, expected in self._shapes.items():
            if self._prefix + name not in names:
                raise ConversionError(
                    f"'{path.name}' has no tensor '{name}', which its config.json asks for.",
                    "Check that the catalogue names the right architecture for these weights.",
                )
            shape = tuple(self._file.get_slice(self._prefix + name).get_shape())
            if shape != expected:
                raise ConversionError(
                    f"The tensor '{name}' in '{path.name}' has shape {shape}, "
                    f"but config.json asks for {expected}.",
                    "Fetch config.json and the weights again, of the same revision.",
                )


def _open(path: Path) -> Any:  # noqa: ANN401 - safetensors publishes no types
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise WrongBytesError(
            f"'{path}' cannot be read as safetensors ({error}).",
            "Remove the model with `embedwell models remove` and fetch it again.",
        ) from error


def _common_prefix(names: set[str], first: str) -> str:
    """What stands before the first expected name; empty where it is missing altogether."""
    return next((name.removesuffix(first) for name in names if name.endswith(first)), "")
