"""The embedder that runs a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, EngineError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import FloatArray, IntArray, normalized
from embedwell.engines.protocol import Engine
from embedwell.runtime.batching import TOKENS_PER_BATCH, pad, plan
from embedwell.runtime.tokenizer import TokenIds, Tokenizer

# Texts are tokenized and sorted this many at a time, which bounds the memory of any call.
_WINDOW_TEXTS = 2048


class LocalEmbedder:
    """Tokenizes, batches, runs an engine and normalizes.

    Args:
        artifact: What the engine has loaded.
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
        self._tokens_per_batch = tokens_per_batch
        self._tokenizer = Tokenizer(artifact.tokenizer_file, artifact.space.max_tokens)

    @property
    def space(self) -> Space:
        """The space of its vectors."""
        return self.artifact.space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            TaskCancelledError: `watch` was asked to stop.
        """
        vectors = np.empty((len(texts), self.space.dimensions), dtype=np.float32)
        n_tokens = np.zeros(len(texts), dtype=np.int64)
        failures: dict[int, str] = {}
        for begin in range(0, len(texts), _WINDOW_TEXTS):
            watch.progress("embed", begin, len(texts), "texts")
            window = texts[begin : begin + _WINDOW_TEXTS]
            rows = slice(begin, begin + len(window))
            failed = self._embed_window(window, kind, vectors[rows], n_tokens[rows], watch)
            failures |= {begin + position: reason for position, reason in failed.items()}
        watch.progress("embed", len(texts), len(texts), "texts")
        n_truncated = int((n_tokens > self.space.max_tokens).sum())
        embedded = Embedded(vectors, n_tokens, n_truncated, self.artifact.name)
        if failures:
            raise BadTextsError(failures, embedded)
        return embedded

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        return self._tokenizer.starts(text)

    def close(self) -> None:
        """Give the memory back."""
        self._engine.close()

    def _embed_window(
        self,
        texts: Sequence[str],
        kind: Kind,
        vectors: FloatArray,
        n_tokens: IntArray,
        watch: Watch,
    ) -> dict[int, str]:
        """Fill `vectors` and `n_tokens`; returns why by position for the texts that failed."""
        failures = {
            position: f"it is {type(text).__name__}, not str"
            for position, text in enumerate(texts)
            if not isinstance(text, str)
        }
        prompt = self.space.prompt(kind)
        tokens = self._tokenizer.encode(
            ["" if position in failures else prompt + text for position, text in enumerate(texts)]
        )
        n_tokens[:] = [text.n_tokens for text in tokens]
        lengths = np.array([len(text.ids) for text in tokens])
        for positions in plan(lengths, self._tokens_per_batch()):
            watch.check("embed")
            self._run(tokens, positions, vectors, failures)
        vectors[list(failures)] = np.nan
        return failures

    def _run(
        self,
        tokens: Sequence[TokenIds],
        positions: IntArray,
        vectors: FloatArray,
        failures: dict[int, str],
    ) -> None:
        """Run one batch; where the engine refuses it, run its texts alone to find the bad ones."""
        try:
            found = self._engine.run(pad([tokens[position].ids for position in positions]))
        except EngineError as error:
            if len(positions) == 1:
                failures.setdefault(int(positions[0]), str(error))
                return
            for position in positions:
                self._run(tokens, np.array([position]), vectors, failures)
            return
        vectors[positions] = normalized(found) if self.space.normalized else found
        for position in positions[~np.isfinite(found).all(axis=1)]:
            failures.setdefault(int(position), f"{self.artifact.name} gave NaN or infinite values")
