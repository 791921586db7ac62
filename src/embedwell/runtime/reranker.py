"""The reranker that runs a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EngineError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.engines.protocol import Engine, TokenBatch
from embedwell.runtime.batcher import Batcher, Ids
from embedwell.runtime.batching import TOKENS_PER_BATCH, pad
from embedwell.runtime.pair_tokenizer import PairTokenizer
from embedwell.runtime.relevance import Relevance
from embedwell.runtime.windows import windows

# Pairs are tokenized and sorted this many at a time, which bounds the memory of any call.
_WINDOW_TEXTS = 1024
_WINDOW_CHARACTERS = 1 << 22


class LocalReranker:
    """Tokenizes pairs, batches them by their tokens and runs an engine; see `TextReranker`.

    Args:
        artifact: What the engine has loaded: of the head `rerank`.
        engine: The loaded engine; owned from now on.
        tokens_per_batch: Most padded tokens of the next batch; asked before each.
    """

    def __init__(
        self,
        artifact: Artifact,
        engine: Engine,
        tokens_per_batch: Callable[[], int] = lambda: TOKENS_PER_BATCH,
    ) -> None:
        self.artifact = artifact
        self._engine = engine
        self._batcher = Batcher(self._compute, tokens_per_batch, artifact.name)
        self._tokenizer = PairTokenizer(artifact.tokenizer_file, artifact.space.max_tokens)

    def score(self, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """Score texts of any number and length.

        Raises:
            QueryError: The query leaves no room for a text.
            EngineError: Some texts could not be scored.
            EngineMemoryError: There was no memory even for one text at a time.
            TaskCancelledError: `watch` was asked to stop.
        """
        logits = np.empty((len(texts), 1), np.float32)
        n_tokens = np.zeros(len(texts), np.int64)
        for begin, end in windows(texts, _WINDOW_TEXTS, _WINDOW_CHARACTERS):
            watch.progress("rerank", begin, len(texts), "texts")
            pairs = self._tokenizer.encode(query, texts[begin:end])
            n_tokens[begin:end] = [pair.n_tokens for pair in pairs]
            failures = self._batcher.run([pair.ids for pair in pairs], logits[begin:end], watch)
            if failures:
                position, why = min(failures.items())
                raise EngineError(
                    f"{len(failures)} texts could not be scored; text {begin + position}: {why}.",
                    "Leave them out, or rank them with another model.",
                )
        watch.progress("rerank", len(texts), len(texts), "texts")
        most = self.artifact.space.max_tokens
        n_read, n_truncated = int(np.minimum(n_tokens, most).sum()), int((n_tokens > most).sum())
        return Relevance(sigmoid(logits[:, 0]), n_read, n_truncated)

    def close(self) -> None:
        """Give the memory back."""
        self._engine.close()

    def _compute(self, pairs: Sequence[Ids]) -> FloatArray:
        ids, types = ([pair[:, column] for pair in pairs] for column in (0, 1))
        batch = pad(ids)
        return self._engine.run(TokenBatch(batch.ids, batch.mask, pad(types).ids))


def sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow: float32, 0 to 1."""
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    scores: FloatArray = np.where(wide < 0, small, 1.0) / (1 + small)
    return scores.astype(np.float32)
