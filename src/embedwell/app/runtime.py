"""The runtime that programs and the service hold: models by name, within the memory budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from embedwell.app.choose import quantization_for
from embedwell.app.configuration import load
from embedwell.app.models import artifact
from embedwell.app.settings import Settings
from embedwell.app.sizes import parse_budget, parse_bytes
from embedwell.core.artifact import Artifact
from embedwell.core.device import available_cpus, total_memory_bytes
from embedwell.core.embedded import Embedded
from embedwell.core.errors import EmbeddingsOffError
from embedwell.core.events import Event, Listener, Progress, Watch, ignore_events
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray
from embedwell.models.catalogue import ModelCard, named
from embedwell.runtime.cache import VectorCache
from embedwell.runtime.cached import ComputedOnce
from embedwell.runtime.loaded import Limits, LoadedModels, ModelState

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
        self._on_event = on_event
        self._make_artifact = make_artifact
        self._models = LoadedModels(_limits(self.settings), on_event)
        self._artifacts: dict[str, Artifact] = {}
        self.cache = _cache(self.settings)
        """Vectors of recent texts: what it did, and how to make it forget."""
        self._once = ComputedOnce(self.cache)

    def embed(self, model: str, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length, those that are not known yet.

        Raises:
            UnknownModelError: The catalogue has no such model.
            ModelError: The model cannot be had, or its bytes are wrong.
            OverBudgetError: It cannot fit, whatever is unloaded for it.
            PressureError: Memory is nearly full and it is not loaded.
            EmbeddingsOffError: The settings switch embeddings off.
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            TaskCancelledError: `watch` was asked to stop.
        """
        artifact = self._artifact(model, watch)

        def compute(unknown: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
            with self._models.using(artifact, watch) as embedder:
                return embedder.embed(unknown, kind, watch)

        return self._once.embed(artifact, compute, texts, kind, watch)

    def token_starts(self, model: str, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        with self._models.using(self._artifact(model, Watch()), Watch()) as embedder:
            return embedder.token_starts(text)

    def embedder(self, model: str) -> NamedEmbedder:
        """A `TextEmbedder` for one model, which is loaded when it is first used."""
        return NamedEmbedder(self, model)

    def load(self, model: str, watch: Watch, *, pinned: bool = False, priority: int = 0) -> None:
        """Load a model now.

        Raises:
            EmbedwellError: As `embed` does.
        """
        artifact = self._artifact(model, watch)
        self._models.set(artifact, pinned=pinned, priority=priority)
        with self._models.using(artifact, watch):
            pass

    def pull(self, model: str, watch: Watch) -> Artifact:
        """Bring a model onto this machine without loading it, where it is not there already.

        Raises:
            ModelError: The model is unknown, cannot be had, or its bytes are wrong.
            TaskCancelledError: `watch` was asked to stop.
        """

        def tell(step: Progress) -> None:
            watch.listener(step)
            self._on_event(_loading(self.artifact_name(model), step))

        found = self._make_artifact(self.settings, model, Watch(tell, watch.cancelled))
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

    def close(self) -> None:
        """Unload everything."""
        self._models.close()

    def artifact_name(self, model: str) -> str:
        """What a model's name stands for here, such as `all-MiniLM-L6-v2@q8`.

        Raises:
            UnknownModelError: The catalogue has no such model.
        """
        card, level = named(model)
        return f"{card.name}@{level or quantization_for(self.settings, card).quantization}"

    def card(self, model: str) -> ModelCard:
        """What is known of a model.

        Raises:
            UnknownModelError: The catalogue has no such model.
        """
        return named(model)[0]

    def _artifact(self, model: str, watch: Watch) -> Artifact:
        if not self.settings.embeddings:
            raise EmbeddingsOffError(
                "Embeddings are switched off (`embeddings = false`).",
                "Search with `--mode lexical`, or switch them on.",
            )
        return self._artifacts.get(model) or self.pull(model, watch)


class NamedEmbedder:
    """A `TextEmbedder` for one model of a runtime.

    Args:
        runtime: Who loads the model.
        model: Its name.
    """

    def __init__(self, runtime: Runtime, model: str) -> None:
        self._runtime = runtime
        self._model = model

    @property
    def space(self) -> Space:
        """The space of its vectors; known without loading anything."""
        return self._runtime.card(self._model).space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """See `Runtime.embed`."""
        return self._runtime.embed(self._model, texts, kind, watch)

    def token_starts(self, text: str) -> IntArray:
        """See `Runtime.token_starts`."""
        return self._runtime.token_starts(self._model, text)

    def close(self) -> None:
        """Let go of the model; the runtime unloads it when it has been idle."""


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
    return Limits(
        budget_bytes=parse_budget(settings.memory_budget, total_memory_bytes()),
        n_models=settings.models_at_once or 5,
        idle_s=settings.idle_s or 0,
        n_threads=settings.threads or available_cpus(),
    )
