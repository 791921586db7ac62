"""Static models: a table of token vectors, as Model2Vec publishes them, read and written.

Their form: `model.safetensors` with `embeddings`, shape (rows, d), and sometimes `mapping`, the row
of each token, and `weights`, what each token's row is multiplied by; `config.json`;
`tokenizer.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from embedwell.core.artifact import Quantization
from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.models.published import Published, open_safetensors
from embedwell.models.quantize import row_scales, to_int8
from embedwell.models.source import SourceFiles

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
MODEL_TYPE = "model2vec"
TABLE_FILE, SCALES_FILE = "table.npy", "scales.npy"  # as the static engine reads them

_TABLES = ("embeddings", "embedding.weight")  # the second is sentence-transformers'
_ROWS_AT_ONCE = 4096
_TYPES: Mapping[Quantization, type[np.generic]] = {
    "q8": np.int8,
    "q16": np.float16,
    "q32": np.float32,
}


def write_static(
    source: SourceFiles, quantization: Quantization, folder: Path, watch: Watch
) -> None:
    """Write the files of a static artifact into an existing, empty folder.

    Rows of special tokens become zero: they are put around every text and say nothing. A last row,
    the mean of all, is for texts of which the table knows no token.

    Args:
        source: The published files, their hashes checked.
        quantization: `q8`, `q16` or `q32`.
        folder: Where to write; what is there after an error is the caller's to remove.
        watch: Told of each block of rows that was written.

    Raises:
        WrongBytesError: A published file is not what its name says.
        ConversionError: Table and tokenizer do not fit each other, or the level does not exist.
        TaskCancelledError: The watch asked to stop.
    """
    dtype = _TYPES.get(quantization)
    if dtype is None:
        raise ConversionError(
            f"A static model has no {quantization}.", f"Choose one of: {', '.join(_TYPES)}."
        )
    tokenizer = _read_tokenizer(source.paths[TOKENIZER])
    silent = _special_ids(tokenizer)
    published = open_safetensors(source.paths)
    try:
        table = _Table(published, _n_tokens(tokenizer))
        shape = (table.n_tokens, source.card.full_dimensions or source.card.dimensions)
        _check(table, shape)
        written = open_memmap(folder / TABLE_FILE, "w+", dtype, (table.n_tokens + 1, shape[1]))
        scales = np.ones(len(written), np.float32)
        mean = np.zeros((1, shape[1]), np.float32)
        for begin, rows in chain(table.blocks(), [(table.n_tokens, mean)]):
            watch.progress("convert", begin, table.n_tokens, "rows")
            end = begin + len(rows)
            rows[[token - begin for token in silent if begin <= token < end]] = 0
            if quantization == "q8":
                scales[begin:end] = row_scales(rows)[:, 0]
            written[begin:end] = _stored(rows, scales[begin:end], dtype)
            mean += rows.sum(axis=0) / table.n_tokens
        written.flush()
    finally:
        published.close()
    np.save(folder / SCALES_FILE, scales)
    (folder / TOKENIZER).write_text(json.dumps(_with_an_end(tokenizer)), "utf-8")


def _stored(
    rows: FloatArray, scales: FloatArray, dtype: type[np.generic]
) -> npt.NDArray[np.generic]:
    return to_int8(rows, scales[:, None]) if dtype is np.int8 else rows.astype(dtype)


def write_published(
    folder: Path, table: FloatArray, tokenizer: Path, told: Mapping[str, Any], readme: str
) -> None:
    """Write a static model in the form in which others publish them.

    Args:
        folder: An existing folder.
        table: float32, shape (n_tokens, d).
        tokenizer: Of the network that the table stands in for.
        told: More entries of `config.json`.
        readme: What people and hubs are told of it.
    """
    from safetensors.numpy import save_file  # noqa: PLC0415 - only to distill

    config = {
        "model_type": MODEL_TYPE,
        "architectures": ["StaticModel"],
        "hidden_dim": table.shape[1],
        "normalize": True,
        **told,
    }
    save_file({"embeddings": table}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / TOKENIZER).write_bytes(tokenizer.read_bytes())
    (folder / "README.md").write_text(readme, "utf-8")


class _Table:
    """The rows of all tokens, in blocks."""

    def __init__(self, published: Published, n_tokens: int) -> None:
        names = published.names()
        found = next((name for name in _TABLES if name in names), None)
        if found is None:
            raise ConversionError(
                f"'{published.label}' has none of {', '.join(_TABLES)}.",
                "Name a static model as Model2Vec publishes them.",
            )
        self.n_tokens = n_tokens
        self.shape = published.shape(found)
        self._published = published
        self._name = found
        self.weights = _column(published, "weights")
        mapping = _column(published, "mapping")
        self.mapping = None if mapping is None else mapping.astype(np.int64)

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """The first token of each block, and its rows."""
        for begin in range(0, self.n_tokens, _ROWS_AT_ONCE):
            end = min(begin + _ROWS_AT_ONCE, self.n_tokens)
            rows = self._rows(begin, end)
            if self.weights is not None:
                rows = rows * self.weights[begin:end, None]
            yield begin, rows

    def _rows(self, begin: int, end: int) -> FloatArray:
        if self.mapping is None:
            return self._published.rows(self._name, begin, end).copy()
        wanted = self.mapping[begin:end]
        return self._published.rows(self._name, 0, self.shape[0])[wanted]


def _column(published: Published, name: str) -> npt.NDArray[Any] | None:
    if name not in published.names():
        return None
    shape = published.shape(name)
    return published.rows(name, 0, shape[0]) if shape else np.empty(0, np.float32)


def _check(table: _Table, shape: tuple[int, int]) -> None:
    """Refuse what does not have a row for each token, as long as the model's vectors."""
    n_rows = table.shape[0]
    lists = [one for one in (table.mapping, table.weights) if one is not None]
    is_whole = all(one.shape == shape[:1] for one in lists)
    if table.mapping is not None and is_whole:
        is_whole = 0 <= table.mapping.min(initial=0) <= table.mapping.max(initial=0) < n_rows
        n_rows = shape[0]
    if not is_whole or (n_rows, *table.shape[1:]) != shape:
        wide = " x ".join(map(str, table.shape[1:]))
        told = "".join(f", a list of {len(one):,}" for one in lists)
        raise ConversionError(
            f"The table has {table.shape[0]} rows of {wide} values{told}, and the tokenizer "
            f"has {shape[0]} tokens, the model {shape[1]} dimensions.",
            "Fetch all files of the model again, of the same revision.",
        )


def _read_tokenizer(path: Path) -> dict[str, Any]:
    try:
        tokenizer: dict[str, Any] = json.loads(path.read_bytes())
        _special_ids(tokenizer)
        _n_tokens(tokenizer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongBytesError(
            f"'{path}' is no tokenizer ({type(error).__name__}: {error}).",
            "Fetch all files of the model again, of the same revision.",
        ) from error
    return tokenizer


def _n_tokens(tokenizer: Mapping[str, Any]) -> int:
    vocabulary = tokenizer["model"]["vocab"]
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else range(len(vocabulary))
    added = [token["id"] for token in tokenizer.get("added_tokens") or ()]
    return 1 + max((*ids, *added), default=-1)


def _special_ids(tokenizer: Mapping[str, Any]) -> list[int]:
    """Ids of special tokens, and of what stands for unknown words."""
    found = {token["id"] for token in tokenizer.get("added_tokens") or () if token.get("special")}
    vocabulary, unknown = tokenizer["model"]["vocab"], tokenizer["model"].get("unk_token")
    if isinstance(vocabulary, dict) and unknown in vocabulary:
        found.add(vocabulary[unknown])
    if isinstance(tokenizer["model"].get("unk_id"), int):
        found.add(tokenizer["model"]["unk_id"])
    return sorted(found)


def _with_an_end(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer, with a special token behind every text: no text is without tokens then."""
    special = _special_ids(tokenizer)
    if tokenizer.get("post_processor") or not special:
        return tokenizer
    names = {token["id"]: token["content"] for token in tokenizer.get("added_tokens") or ()}
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, dict):
        names |= {id_: token for token, id_ in vocabulary.items() if id_ == special[0]}
    name = names.get(special[0])
    if name is None:
        return tokenizer
    text, end = (
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": name, "type_id": 0}},
    )
    return tokenizer | {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [text, end],
            "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}, end],
            "special_tokens": {name: {"id": name, "ids": [special[0]], "tokens": [name]}},
        }
    }
