"""The embedder that runs a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import FloatArray, IntArray, normalized, shortened
from embedwell.engines.protocol import Engine
from embedwell.runtime.batcher import Batcher, Ids
from embedwell.runtime.batching import TOKENS_PER_BATCH, pad
from embedwell.runtime.build import build_record
from embedwell.runtime.tokenizer import Tokenizer
from embedwell.runtime.windows import windows

# Texts are tokenized and sorted this many at a time, which bounds the memory of any call.
_WINDOW_TEXTS = 2048
_WINDOW_CHARACTERS = 1 << 22


class LocalEmbedder:
    """Tokenizes, batches, runs an engine and normalizes; its threads' texts share batches.

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
        self.build = build_record(artifact, engine.build)
        self._engine = engine
        self._batcher = Batcher(self._compute, tokens_per_batch, artifact.name)
        self._tokenizer = Tokenizer(artifact.tokenizer_file, artifact.space.max_tokens)

    @property
    def space(self) -> Space:
        """The space of its vectors."""
        return self.artifact.space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            EngineMemoryError: There was no memory even for one text at a time.
            TaskCancelledError: `watch` was asked to stop.
        """
        vectors = np.empty((len(texts), self.space.dimensions), dtype=np.float32)
        n_tokens = np.zeros(len(texts), dtype=np.int64)
        failures: dict[int, str] = {}
        for begin, end in windows(texts, _WINDOW_TEXTS, _WINDOW_CHARACTERS):
            watch.progress("embed", begin, len(texts), "texts")
            rows = slice(begin, end)
            failed = self._embed_window(texts[rows], kind, vectors[rows], n_tokens[rows], watch)
            failures |= {begin + position: reason for position, reason in failed.items()}
        watch.progress("embed", len(texts), len(texts), "texts")
        n_truncated = int((n_tokens > self.space.max_tokens).sum())
        embedded = Embedded(vectors, n_tokens, n_truncated, self.build)
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
        failures = self._batcher.run([text.ids for text in tokens], vectors, watch) | failures
        vectors[list(failures)] = np.nan
        return failures

    def _compute(self, ids: Sequence[Ids]) -> FloatArray:
        vectors = self._engine.run(pad(ids))
        if self.artifact.cut:
            centred = self.artifact.cut == "centred"
            vectors = shortened(vectors, self.space.dimensions, centred=centred)
        return normalized(vectors) if self.space.normalized else vectors
