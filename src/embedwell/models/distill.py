"""A table of token vectors that stands in for a whole network: a static model, without torch.

The table begins with what the network gives for each token alone, as in Model2Vec
(https://github.com/MinishLab/model2vec). Alone a token says little of what it adds to a text, so
the table is then fitted: short random sequences of tokens go through the network, and the mean of
their rows is to come near the network's vector. No text is needed. Principal components of those
vectors give the dimensions, and rare tokens weigh more: smooth inverse frequency (Arora et al.,
https://openreview.net/forum?id=SyK00v5xx), counted by Zipf's law over the vocabulary's order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray, normalized
from embedwell.models.tokenizer_file import open_tokenizer

EmbedIds: TypeAlias = Callable[[IntArray], FloatArray]
"""Vectors of token ids with special tokens: from int64, shape (n, s), to float32, shape (n, d)."""

_SEQUENCE_TOKENS = 4
_SEQUENCES_PER_TOKEN = 2
_BATCH_TOKENS = 256
_RIDGE = 0.5  # how strongly a row is held to what the network gives for its token alone
_STEPS = 6  # of conjugate gradients; quality no longer rises then
_COLUMNS_AT_ONCE = 32  # bounds the memory of the fit
# Sequences of 6 and 10 tokens gave 0.2 and 0.6 points less over five data sets.
# A token at rank r of the vocabulary is drawn with a probability of 1/sqrt(r + this): between its
# frequency by Zipf's law and fair shares for all.
_RANK_OFFSET = 50
_SIF = 2e-4  # a of a/(a + p)
_ROWS_AT_ONCE = 4096
_UNUSED = re.compile(r"\[unused\d+\]")  # BERT's, which no text has
HalfArray: TypeAlias = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a network.

    Attributes:
        size: How many there are, special ones included.
        ordinary: Ids that texts are made of, the most frequent first: int64, shape (n,).
        begin: Ids that the network expects before a text.
        end: Ids that it expects behind one.
    """

    size: int
    ordinary: IntArray
    begin: tuple[int, ...]
    end: tuple[int, ...]


def distill(
    embed: EmbedIds, vocabulary: Vocabulary, dimensions: int, watch: Watch, seed: int = 0
) -> FloatArray:
    """Make the table of a static model.

    Args:
        embed: The network: its pooled vectors.
        vocabulary: Its tokens.
        dimensions: Length of a row, at most the network's.
        watch: Told of progress in sequences; may stop the task.
        seed: Of the random sequences.

    Returns:
        float32, shape (vocabulary.size, dimensions): the vector of a text is the mean of the rows
        of its tokens. Rows of special tokens are zero.

    Raises:
        TaskCancelledError: `watch` was asked to stop.
    """
    ordinary = vocabulary.ordinary
    sequences = _sequences(np.random.default_rng(seed), len(ordinary))
    total = len(ordinary) + len(sequences)
    alone = _vectors(embed, vocabulary, ordinary[:, None], watch, (0, total))
    mixed = _vectors(embed, vocabulary, ordinary[sequences], watch, (len(ordinary), total))
    basis = _components(mixed, dimensions)
    rows = np.empty((len(ordinary), dimensions), np.float32)
    for begin in range(0, dimensions, _COLUMNS_AT_ONCE):
        watch.check("distill")
        part = slice(begin, begin + _COLUMNS_AT_ONCE)
        first, wanted = (_projected(found, basis[:, part]) for found in (alone, mixed))
        rows[:, part] = _fitted(first, wanted, sequences)
    rows -= rows.mean(axis=0)
    table = np.zeros((vocabulary.size, dimensions), np.float32)
    table[ordinary] = rows * _weights(len(ordinary))[:, None]
    return table


def read_vocabulary(file: Path, prompt: str = "") -> Vocabulary:
    """The vocabulary of a tokenizer.

    Args:
        file: `tokenizer.json`.
        prompt: What the network expects before a text, special tokens aside.

    Raises:
        WrongBytesError: The file cannot be read.
    """
    tokenizer = open_tokenizer(file)
    tokens = tokenizer.get_vocab(with_added_tokens=True)
    special = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    ordinary = [id_ for token, id_ in tokens.items() if not _UNUSED.fullmatch(token)]
    around = tokenizer.encode("a")
    n_before = around.special_tokens_mask.index(0)
    n_behind = around.special_tokens_mask[::-1].index(0)
    return Vocabulary(
        size=1 + max(tokens.values()),
        ordinary=np.array(sorted(set(ordinary) - special), np.int64),
        begin=(*around.ids[:n_before], *tokenizer.encode(prompt, add_special_tokens=False).ids),
        end=tuple(around.ids[len(around.ids) - n_behind :]),
    )


def _sequences(rng: np.random.Generator, n_tokens: int) -> IntArray:
    """Ranks of the tokens of random sequences: int64, shape (n, _SEQUENCE_TOKENS)."""
    shares = 1 / np.sqrt(np.arange(n_tokens) + _RANK_OFFSET)
    size = (_SEQUENCES_PER_TOKEN * n_tokens, _SEQUENCE_TOKENS)
    return rng.choice(n_tokens, size=size, p=shares / shares.sum())


def _vectors(
    embed: EmbedIds,
    vocabulary: Vocabulary,
    ids: IntArray,
    watch: Watch,
    progress: tuple[int, int],
) -> HalfArray:
    """Unit vectors of sequences of one length: float16, shape (len(ids), d)."""
    done, total = progress
    begin, end = (np.array(part, np.int64) for part in (vocabulary.begin, vocabulary.end))
    step = max(1, _BATCH_TOKENS // (len(begin) + ids.shape[1] + len(end)))
    found: list[HalfArray] = []
    for at in range(0, len(ids), step):
        watch.progress("distill", done + at, total, "sequences")
        batch = ids[at : at + step]
        before, behind = (np.tile(part, (len(batch), 1)) for part in (begin, end))
        vectors = normalized(embed(np.concatenate([before, batch, behind], axis=1)))
        found.append(vectors.astype(np.float16))
    watch.progress("distill", done + len(ids), total, "sequences")
    return np.concatenate(found)


def _components(vectors: HalfArray, n: int) -> FloatArray:
    """The n principal components: float32, shape (d, n)."""
    mean = vectors.mean(axis=0, dtype=np.float32)
    square = np.zeros((len(mean), len(mean)), np.float32)
    for begin in range(0, len(vectors), _ROWS_AT_ONCE):
        centred = vectors[begin : begin + _ROWS_AT_ONCE] - mean
        square += centred.T @ centred
    _, components = np.linalg.eigh(square)
    strongest: FloatArray = components[:, ::-1][:, :n].astype(np.float32)
    return strongest


def _projected(vectors: HalfArray, basis: FloatArray) -> FloatArray:
    """Centred vectors along some components: float32, shape (n, columns)."""
    mean = vectors.mean(axis=0, dtype=np.float32)
    blocks = range(0, len(vectors), _ROWS_AT_ONCE)
    return np.concatenate([(vectors[at : at + _ROWS_AT_ONCE] - mean) @ basis for at in blocks])


def _fitted(rows: FloatArray, wanted: FloatArray, sequences: IntArray) -> FloatArray:
    """Ridge regression of rows towards themselves, by conjugate gradients, each column alone.

    Minimizes |mean of each sequence's rows - wanted|^2 + _RIDGE * |change of rows|^2.
    """
    means = _Means(sequences, len(rows))
    change = np.zeros_like(rows)
    residual = means.transposed(wanted - means.of(rows))
    direction, square = residual, _squares(residual)
    for _ in range(_STEPS):
        image = means.transposed(means.of(direction)) + _RIDGE * direction
        step = square / np.maximum((direction * image).sum(axis=0), 1e-12)
        change += step * direction
        residual = residual - step * image
        before, square = square, _squares(residual)
        direction = residual + square / np.maximum(before, 1e-12) * direction
    return rows + change


class _Means:
    """The linear map from rows of tokens to means over sequences, and its transpose."""

    def __init__(self, sequences: IntArray, n_rows: int) -> None:
        self._sequences = sequences
        flat = sequences.ravel()
        self._order = np.argsort(flat, kind="stable") // sequences.shape[1]
        counts = np.bincount(flat, minlength=n_rows)
        self._used = counts > 0
        self._starts = (np.cumsum(counts) - counts)[self._used]

    def of(self, rows: FloatArray) -> FloatArray:
        """float32, shape (n_sequences, columns)."""
        total = rows[self._sequences[:, 0]]
        for column in range(1, self._sequences.shape[1]):
            total += rows[self._sequences[:, column]]
        mean: FloatArray = total / np.float32(self._sequences.shape[1])
        return mean

    def transposed(self, means: FloatArray) -> FloatArray:
        """float32, shape (n_rows, columns)."""
        sums = np.zeros((len(self._used), means.shape[1]), np.float32)
        sums[self._used] = np.add.reduceat(means[self._order], self._starts, axis=0)
        return sums / np.float32(self._sequences.shape[1])


def _squares(values: FloatArray) -> FloatArray:
    found: FloatArray = np.square(values).sum(axis=0)
    return found


def _weights(n: int) -> FloatArray:
    """Weight of each token by its rank, from 0 to 1: float32, shape (n,)."""
    shares = 1 / np.arange(1, n + 1)
    weights: FloatArray = (_SIF / (_SIF + shares / shares.sum())).astype(np.float32)
    return weights
