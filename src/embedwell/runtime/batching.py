"""Which texts run together: near in length, a bounded number of padded tokens a batch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from embedwell.engines.protocol import TokenBatch

# Larger batches cost memory and, past what a core's cache holds, time: on mixed lengths 512 was
# 12 % slower (docs/quantization.md).
TOKENS_PER_BATCH = 256

# Starting one more batch costs as much as this many tokens: 1 text of 4, 8, 16 and 32 tokens took
# 0.71, 0.80, 0.97 and 1.44 ms. More padding than that is not worth a batch saved.
_TOKENS_OF_A_START = 24


class Waiting(Protocol):
    """A request whose texts wait for the engine.

    Attributes:
        urgent: Whether all of it fitted one batch when it came.
        turn: Lower goes first among its kind.
        lengths: Tokens of the texts that still wait, ascending; never empty.
    """

    @property
    def urgent(self) -> bool: ...  # noqa: D102
    @property
    def turn(self) -> int: ...  # noqa: D102
    @property
    def lengths(self) -> Sequence[int]: ...  # noqa: D102


@dataclass(frozen=True)
class Share:
    """What a batch takes of one request.

    Attributes:
        request: Index of the request.
        begin: First of its `lengths` that is taken.
        end: One past the last.
    """

    request: int
    begin: int
    end: int


def is_urgent(lengths: Sequence[int], tokens_per_batch: int) -> bool:
    """Whether texts of these lengths, ascending, fit one batch: then they need not wait long."""
    return len(lengths) * lengths[-1] <= tokens_per_batch


def choose(
    waiting: Sequence[Waiting], tokens_per_batch: int, *, bulk_is_due: bool = False
) -> list[Share]:
    """Choose the next batch.

    Urgent requests come before bulk, in each kind the lowest turn first. The rest of the batch is
    filled with texts of other requests of the same kind, so that no query is held up by somebody's
    documents; and only with texts near in length.

    Args:
        waiting: At least one request.
        tokens_per_batch: Most padded tokens of a batch; a longer text runs alone.
        bulk_is_due: Whether bulk goes first for once.

    Returns:
        One share or more, of different requests; the first is of the request that goes first.
    """
    bulk_first = bulk_is_due and not all(request.urgent for request in waiting)
    urgent = any(request.urgent for request in waiting) and not bulk_first
    alike = [i for i, request in enumerate(waiting) if request.urgent == urgent]
    alike.sort(key=lambda i: waiting[i].turn)
    shares: list[Share] = []
    n_texts, longest = 0, waiting[alike[0]].lengths[0]
    for i in alike:
        begin, end, longest = _near(waiting[i].lengths, n_texts, longest, tokens_per_batch)
        if begin < end:
            shares.append(Share(i, begin, end))
            n_texts += end - begin
        if (n_texts + 1) * longest > tokens_per_batch:
            break
    return shares


def _near(
    lengths: Sequence[int], n_texts: int, longest: int, tokens_per_batch: int
) -> tuple[int, int, int]:
    """Which texts of a request to add to a batch: begin, end, and the longest text thereafter."""
    begin = end = bisect_right(lengths, longest)
    most = max(tokens_per_batch // max(longest, 1), 1)
    while begin and n_texts < most and longest - lengths[begin - 1] <= _TOKENS_OF_A_START:
        begin -= 1
        n_texts += 1
    while end < len(lengths) and (n_texts + 1) * lengths[end] <= tokens_per_batch:
        if n_texts * (lengths[end] - longest) > _TOKENS_OF_A_START:
            break
        longest = lengths[end]
        end += 1
        n_texts += 1
    return begin, end, longest


def pad(ids: Sequence[npt.NDArray[np.int32]]) -> TokenBatch:
    """Put texts side by side, padded on the right with 0 and masked."""
    lengths = np.array([len(text) for text in ids])
    is_token = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros(is_token.shape, dtype=np.int64)
    padded[is_token] = np.concatenate(ids)
    return TokenBatch(padded, is_token.astype(np.int64))
