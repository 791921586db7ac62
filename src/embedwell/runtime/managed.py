"""Embedding with models that come and go: a lease for each window, and out of memory survived."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, EngineMemoryError
from embedwell.core.events import Progress, Watch
from embedwell.core.space import Kind
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.model import Local, as_embedder, as_reranker
from embedwell.runtime.refusals import no_memory_to_run
from embedwell.runtime.relevance import Relevance
from embedwell.runtime.windows import windows

# A model is let go after this much of a long call, so that another one gets its turn: some
# seconds of a 384-d model, half a minute of a 768-d one.
_WINDOW_TEXTS = 1024
_WINDOW_CHARACTERS = 200_000

_log = logging.getLogger(__name__)

Result = TypeVar("Result")
_Found: TypeAlias = tuple[Artifact, Relevance]


@dataclass(frozen=True)
class _Part:
    """A window's vectors, the texts that failed by position, and what computed them."""

    artifact: Artifact
    embedded: Embedded
    failures: Mapping[int, str]


def embed(
    models: LoadedModels, artifact: Artifact, texts: Sequence[str], kind: Kind, watch: Watch
) -> Embedded:
    """Embed texts of any number and length, leasing the model for a window of them at a time.

    Args:
        models: Who loads the artifact.
        artifact: What computes them. Where it cannot fit and a lower quantization of the same
            model can, that one computes all of them, also those that were done before.
        texts: Any number.
        kind: What they are.
        watch: Told of progress, asked to stop.

    Raises:
        OverBudgetError: It cannot fit, or the system gave no memory to run it.
        PressureError: Memory is nearly full and it was not loaded.
        BadTextsError: Some texts could not be embedded; the error holds the other vectors.
        EngineError: It cannot be loaded.
        TaskCancelledError: `watch` was asked to stop.
    """
    failures: dict[int, str] = {}
    vectors = np.empty((len(texts), artifact.space.dimensions), np.float32)
    n_tokens = np.zeros(len(texts), np.int64)
    n_truncated, build = 0, None
    for begin, end in list(windows(texts, _WINDOW_TEXTS, _WINDOW_CHARACTERS)) or [(0, 0)]:
        told = Watch(partial(_shifted, watch, begin, end, len(texts)), watch.cancelled)
        part = _embed_window(models, artifact, texts[begin:end], kind, told)
        if build is not None and part.artifact.key != artifact.key:
            return embed(models, part.artifact, texts, kind, watch)
        artifact, build = part.artifact, part.embedded.build
        vectors[begin:end], n_tokens[begin:end] = part.embedded.vectors, part.embedded.n_tokens
        n_truncated += part.embedded.n_truncated
        failures |= {begin + position: why for position, why in part.failures.items()}
    watch.progress("embed", len(texts), len(texts), "texts")
    embedded = Embedded(
        vectors, n_tokens, n_truncated, build or BuildRecord.of_nothing(artifact.name)
    )
    if failures:
        raise BadTextsError(failures, embedded)
    return embedded


def score(
    models: LoadedModels, artifact: Artifact, query: str, texts: Sequence[str], watch: Watch
) -> Relevance:
    """Score texts for a query, leasing the model for a window of them at a time.

    Args:
        models: Who loads the artifact.
        artifact: What scores them; a lower quantization stands in as it does in `embed`.
        query: What they may answer.
        texts: Any number.
        watch: Told of progress, asked to stop.

    Raises:
        OverBudgetError: It cannot fit, or the system gave no memory to run it.
        PressureError: Memory is nearly full and it was not loaded.
        WrongTaskError: It gives vectors.
        QueryError: The query leaves no room for a text.
        EngineError: It cannot be loaded, or some texts could not be scored.
        TaskCancelledError: `watch` was asked to stop.
    """
    scores = np.empty(len(texts), np.float32)
    n_tokens = n_truncated = 0
    for begin, end in windows(texts, _WINDOW_TEXTS, _WINDOW_CHARACTERS):
        told = Watch(partial(_shifted, watch, begin, end, len(texts)), watch.cancelled)

        def run(local: Local, part: Sequence[str] = texts[begin:end], told: Watch = told) -> _Found:
            return local.artifact, as_reranker(local).score(query, part, told)

        used, found = _run(models, artifact, run, watch)
        if begin and used.key != artifact.key:
            return score(models, used, query, texts, watch)
        artifact = used
        scores[begin:end] = found.scores
        n_tokens += found.n_tokens
        n_truncated += found.n_truncated
    return Relevance(scores, n_tokens, n_truncated)


def _embed_window(
    models: LoadedModels, artifact: Artifact, texts: Sequence[str], kind: Kind, watch: Watch
) -> _Part:
    def run(local: Local) -> _Part:
        embedder = as_embedder(local)
        try:
            return _Part(embedder.artifact, embedder.embed(texts, kind, watch), {})
        except BadTextsError as error:
            return _Part(embedder.artifact, error.embedded, error.failures)

    return _run(models, artifact, run, watch)


def _run(
    models: LoadedModels, artifact: Artifact, run: Callable[[Local], Result], watch: Watch
) -> Result:
    """Run a leased model, or a lower quantization of it where there is no memory for it."""
    try:
        return _lease(models, artifact, run, watch)
    except EngineMemoryError:
        models.unload_idle("memory", but=artifact)
    try:
        return _lease(models, artifact, run, watch)
    except EngineMemoryError as error:
        refused = no_memory_to_run(artifact)
        lower = models.lower(artifact)
        models.unload(artifact, "memory")
        if lower is None:
            raise refused from error
    _log.warning("%s %s is used instead.", refused.problem, lower.name)
    return _run(models, lower, run, watch)


def _lease(
    models: LoadedModels, artifact: Artifact, run: Callable[[Local], Result], watch: Watch
) -> Result:
    with models.using(artifact, watch) as local:
        return run(local)


def _shifted(watch: Watch, begin: int, end: int, n_texts: int, step: Progress) -> None:
    """Tell of a window's progress as that of the whole call."""
    if step.stage in {"embed", "rerank"} and step.done < end - begin:
        watch.listener(Progress(step.stage, begin + step.done, n_texts, step.unit))
