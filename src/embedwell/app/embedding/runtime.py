"""The runtime that programs and the service hold: models by name, within the memory budget."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from embedwell.app.config.configuration import load
from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import parse_bytes
from embedwell.app.models.choose import engine_for, machine, quantization_for
from embedwell.app.models.obtain import artifact
from embedwell.core.artifact import QUANTIZATIONS, Artifact
from embedwell.core.device import available_cpus, resident_bytes
from embedwell.core.embedded import Embedded
from embedwell.core.errors import (
    CodeMemoryError,
    EmbeddingsOffError,
    EngineError,
    UnknownModelError,
)
from embedwell.core.events import Event, Listener, Progress, Watch, ignore_events
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray
from embedwell.engines.registry import runs
from embedwell.models.catalogue import ModelCard
from embedwell.models.heads import check_head
from embedwell.models.known import Known
from embedwell.runtime import managed
from embedwell.runtime.cache import VectorCache
from embedwell.runtime.cached import ComputedOnce
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.model import as_embedder
from embedwell.runtime.profile import profile_for
from embedwell.runtime.relevance import Relevance
from embedwell.runtime.remembered import FILE as MEASURED_FILE
from embedwell.runtime.remembered import Remembered
from embedwell.runtime.states import Limits, MemoryState, ModelState

# A lower quantization stands in for a model only where the catalogue says that its vectors keep
# at least this mean cosine to the full weights'.
_LEAST_AGREEMENT = 0.99
_log = logging.getLogger("embedwell")

MakeArtifact: TypeAlias = Callable[[Settings, str, Watch], Artifact]
"""From a model's name to an artifact that can run; made now if it is not there."""


class Runtime:
    """Models by name, loaded when they are first needed, shared by all threads.

    A model is named as `all-MiniLM-L6-v2`, or with its quantization as `all-MiniLM-L6-v2@q8`.

    Args:
        settings: What the user chose; read from all sources where left out.
        on_event: Called with everything that happens to the models; see `embedwell.Event`.
        make_artifact: Pulls and converts what is not there; in this process where left out.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        on_event: Listener = ignore_events,
        make_artifact: MakeArtifact = artifact,
    ) -> None:
        self.settings = settings or load().settings
        self.known = Known(self.settings.cache)
        """The models that can be named."""
        self._on_event = on_event
        self._make_artifact = make_artifact
        self._models = LoadedModels(
            _limits(self.settings),
            self._heard,
            lower=self._lower,
            remembered=Remembered(self.settings.cache / MEASURED_FILE),
        )
        self._artifacts: dict[str, Artifact] = {}
        self._handles: Counter[str] = Counter()
        self._code_models = {self.settings.code_model} - {""}
        self._lock = threading.Lock()
        self.cache = _cache(self.settings)
        """Vectors of recent texts: what it did, and how to make it forget."""
        self._once = ComputedOnce(self.cache)

    def embed(self, model: str, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length, those that are not known yet.

        Raises:
            UnknownModelError: The catalogue has no such model.
            WrongTaskError: The model scores pairs of texts.
            ModelError: The model cannot be had, or its bytes are wrong.
            OverBudgetError: It cannot fit, whatever is unloaded for it.
            CodeMemoryError: It is the code model, and the process is too large for that.
            PressureError: Memory is nearly full and it is not loaded.
            EmbeddingsOffError: The settings switch embeddings off.
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            TaskCancelledError: `watch` was asked to stop.
        """
        check_head(self.card(model), "embedding")
        artifact = self._loadable(model, watch)

        def compute(unknown: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
            return managed.embed(self._models, artifact, unknown, kind, watch)

        return self._once.embed(artifact, compute, texts, kind, watch)

    def score(self, model: str, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """Score texts for a query, with a model that scores pairs.

        Raises:
            WrongTaskError: The model gives vectors.
            QueryError: The query leaves no room for a text.
            EmbedwellError: As `embed` does.
        """
        check_head(self.card(model), "rerank")
        return managed.score(self._models, self._loadable(model, watch), query, texts, watch)

    def token_starts(self, model: str, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out.

        Raises:
            WrongTaskError: The model scores pairs of texts.
            EmbedwellError: As `embed` does.
        """
        check_head(self.card(model), "embedding")
        with self._models.using(self._loadable(model, Watch()), Watch()) as local:
            return as_embedder(local).token_starts(text)

    def embedder(self, model: str, *, of_code: bool = False) -> NamedEmbedder:
        """A `TextEmbedder` for one model, which is loaded when it is first used.

        With the last of them that is closed, the model is unloaded unless it is pinned.

        Args:
            model: Its name.
            of_code: Whether it embeds code beside a model for text: then it is not loaded from
                `code_memory_limit_mb` on, as the one that the settings name.
        """
        if of_code:
            self._code_models.add(model)
        return NamedEmbedder(self, model)

    def load(self, model: str, watch: Watch, *, pinned: bool = False, priority: int = 0) -> None:
        """Load a model now.

        Raises:
            EmbedwellError: As `embed` does.
        """
        artifact = self._loadable(model, watch)
        self._models.set(artifact, pinned=pinned, priority=priority)
        with self._models.using(artifact, watch):
            pass

    def pull(self, model: str, watch: Watch) -> Artifact:
        """Bring a model onto this machine without loading it, where it is not there already.

        Raises:
            ModelError: The model is unknown, cannot be had, or its bytes are wrong.
            EngineError: The settings have another program's server embed.
            TaskCancelledError: `watch` was asked to stop.
        """

        def tell(step: Progress) -> None:
            watch.listener(step)
            self._on_event(_loading(self.artifact_name(model), step))

        if engine_for(self.settings, self.card(model)) == "http":
            raise EngineError(
                "`engine = http` has another program's server embed, and the service and "
                "`embedwell.Runtime` hold models themselves.",
                "Use `embedwell.Embedder` or `embedwell.open`, or set `engine` to one that runs "
                "here.",
            )
        made = self._make_artifact(self.settings, model, Watch(tell, watch.cancelled))
        found = replace(made, engine=engine_for(self.settings, self.card(model)))
        self._artifacts[model] = found
        return found

    def keep(self, model: str, idle_s: float | None) -> None:
        """How long a model stays loaded from now on when nobody uses it.

        Args:
            model: Its name.
            idle_s: Seconds; 0 for as long as there is room; None for what the settings say.

        Raises:
            ModelError: The model is unknown, cannot be had, or its bytes are wrong.
        """
        self._models.keep(self._artifact(model, Watch()), idle_s)

    def unload(self, model: str) -> bool:
        """Give a model's memory back once nobody uses it; false where it was not loaded."""
        return self._models.unload(self._artifact(model, Watch()))

    def check_idle(self) -> bool:
        """Unload what has been idle for too long; whether anything was.

        For programs that have a loop of their own; the service has a timer.
        """
        return self._models.check_idle()

    def states(self) -> list[ModelState]:
        """Every model that is loaded or loading."""
        return self._models.states()

    def memory(self) -> MemoryState:
        """The process's memory beside its budget, what its models take, and the pressure."""
        return MemoryState(
            rss_bytes=resident_bytes(),
            budget_bytes=self._models.limits.budget_bytes,
            models_bytes=sum(state.size_bytes for state in self._models.states()),
            pressure=self._models.gauge.now(),
        )

    def close(self) -> None:
        """Unload everything."""
        self._models.close()

    def take_handle(self, model: str) -> None:
        """One more handle of a model is held."""
        with self._lock:
            self._handles[model] += 1

    def return_handle(self, model: str) -> None:
        """One handle less; with the last, the model is unloaded unless it is pinned."""
        with self._lock:
            self._handles[model] -= 1
            is_last = self._handles[model] == 0
        artifact = self._artifacts.get(model)
        if is_last and artifact is not None and not self._models.is_pinned(artifact):
            self._models.unload(artifact, "closed")

    def artifact_name(self, model: str) -> str:
        """What a model's name stands for here, such as `all-MiniLM-L6-v2@q8`.

        Raises:
            UnknownModelError: The catalogue has no such model.
        """
        card, level = self.known.named(model)
        return f"{card.called}@{level or quantization_for(self.settings, card).quantization}"

    def card(self, model: str) -> ModelCard:
        """What is known of a model.

        Raises:
            UnknownModelError: The catalogue has no such model.
        """
        return self.known.card(model)

    def _artifact(self, model: str, watch: Watch) -> Artifact:
        if not self.settings.embeddings:
            raise EmbeddingsOffError(
                "Embeddings are switched off (`embeddings = false`).",
                "Search with `--mode lexical`, or switch them on.",
            )
        return self._artifacts.get(model) or self.pull(model, watch)

    def _loadable(self, model: str, watch: Watch) -> Artifact:
        """The artifact, unless it is a code model's and the process is too large for that."""
        artifact = self._artifact(model, watch)
        if not any(self._is_called(artifact, name) for name in tuple(self._code_models)):
            return artifact
        rss_mb, limit_mb = resident_bytes() / 1e6, self.settings.code_memory_limit_mb
        if rss_mb < limit_mb or any(one.artifact.key == artifact.key for one in self.states()):
            return artifact
        error = CodeMemoryError(
            f"The code model {artifact.name} is not loaded: this process has {rss_mb:.0f} MB, and "
            f"from {limit_mb} MB it stays with the text model.",
            "Unload other models, or raise `code_memory_limit_mb`.",
        )
        _log.warning("%s", error.problem)
        raise error

    def _is_called(self, artifact: Artifact, name: str) -> bool:
        """Whether an artifact is of the model of that name; one that nobody had yet is no other."""
        try:
            return artifact.space.model == self.card(name).name
        except UnknownModelError:
            return False

    def _heard(self, event: Event) -> None:
        if event.kind == "pressure":
            self.cache.set_share(self._models.gauge.now().action.cache_share)
        self._on_event(event)

    def _lower(self, artifact: Artifact) -> Artifact | None:
        """The next lower quantization of the same model that is known to agree; None if none is."""
        card = self.card(self.known.name_of(artifact.space))
        below = QUANTIZATIONS[: QUANTIZATIONS.index(artifact.quantization)]
        for level in reversed(below):
            agreement = card.agreement.get(level)
            agrees = agreement is not None and agreement.mean >= _LEAST_AGREEMENT
            if agrees and runs(artifact.engine, level):
                return self._artifact(f"{card.called}@{level}", Watch())
        return None


class NamedEmbedder:
    """A handle of one model of a runtime: a `TextEmbedder`, or a `TextReranker`, by its head.

    Args:
        runtime: Who loads the model.
        model: Its name.
    """

    def __init__(self, runtime: Runtime, model: str) -> None:
        self._runtime = runtime
        self._model = model
        self._is_open = True
        runtime.take_handle(model)

    @property
    def space(self) -> Space:
        """The space of its vectors; known without loading anything."""
        return self._runtime.card(self._model).space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """See `Runtime.embed`."""
        return self._open().embed(self._model, texts, kind, watch)

    def token_starts(self, text: str) -> IntArray:
        """See `Runtime.token_starts`."""
        return self._open().token_starts(self._model, text)

    def score(self, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """See `Runtime.score`."""
        return self._open().score(self._model, query, texts, watch)

    def check_idle(self) -> bool:
        """See `Runtime.check_idle`."""
        return self._open().check_idle()

    def close(self) -> None:
        """Let go of the model; with the last handle of it, it is unloaded unless it is pinned."""
        if self._is_open:
            self._is_open = False
            self._runtime.return_handle(self._model)

    def _open(self) -> Runtime:
        if not self._is_open:
            raise EngineError(
                f"This embedder of '{self._model}' is closed.", "Make another one to go on."
            )
        return self._runtime


def _loading(name: str, step: Progress) -> Event:
    detail: dict[str, str | float | None] = {
        "stage": step.stage,
        "done": step.done,
        "total": step.total,
        "unit": step.unit,
    }
    return Event("loading", name, detail)


def _cache(settings: Settings) -> VectorCache:
    return VectorCache(
        settings.vector_cache_entries,
        parse_bytes(settings.vector_cache_size),
        settings.vector_cache_ttl_s,
        half=settings.vector_cache_float16,
    )


def _limits(settings: Settings) -> Limits:
    budget_bytes, ram_bytes = machine(settings)
    profile = profile_for(ram_bytes)
    return Limits(
        budget_bytes=budget_bytes,
        n_models=settings.models_at_once or profile.n_models,
        idle_s=profile.idle_s if settings.idle_s is None else settings.idle_s,
        n_threads=settings.threads or available_cpus(),
    )
