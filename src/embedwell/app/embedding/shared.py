"""One runtime for all embedders and indexes of a process that want the same of it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import NamedEmbedder, Runtime
from embedwell.core.events import Event, Listener, Watch, ignore_events
from embedwell.runtime.states import ModelState

_lock = threading.Lock()
_shared: dict[tuple[int, Settings], _Shared] = {}


class _Shared:
    """A runtime, and who holds it; guarded by the module's lock."""

    def __init__(self, settings: Settings) -> None:
        self.listeners: list[Listener] = []
        self.n_holders = 0
        self.runtime = Runtime(settings, self.tell)

    def tell(self, event: Event) -> None:
        for listener in list(self.listeners):
            listener(event)


class SharedEmbedder(NamedEmbedder):
    """A `NamedEmbedder` of the process's runtime, which is closed with the last of them.

    One that is dropped without being closed is closed when it is collected. In a forked child the
    parent's model is left as it is: the threads that its engine would wait for are not there.
    """

    def __init__(self, runtime: Runtime, model: str, on_close: Callable[[], None]) -> None:
        super().__init__(runtime, model)
        process = os.getpid()

        def let_go() -> None:
            if os.getpid() != process:
                return
            runtime.return_handle(model)
            on_close()

        # Collecting may happen inside of anything, with any lock held: another thread does it.
        self._dropped = weakref.finalize(self, _in_a_thread, let_go)
        self._dropped.atexit = False
        self._let_go = let_go

    def close(self) -> None:
        """Let go of the model; it is unloaded if this was the last handle of it."""
        self._is_open = False
        if self._dropped.detach():
            self._let_go()


def shared_embedder(
    settings: Settings, model: str, watch: Watch, on_event: Listener = ignore_events
) -> SharedEmbedder:
    """A model in this process, loaded now; whoever asks with equal settings shares the load.

    Which model the settings name does not matter: models are named one by one.

    Args:
        settings: What the user chose.
        model: Its name.
        watch: Told of progress, asked to stop.
        on_event: Told of all that happens to the models, until the embedder is closed.

    Raises:
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
        OverBudgetError: It does not fit the memory budget.
        PressureError: Memory is nearly full and it was not loaded.
        EmbeddingsOffError: The settings switch embeddings off.
    """
    common = structs.replace(settings, model=Settings().model)
    key = (os.getpid(), common)  # threads and locks do not survive a fork
    with _lock:
        shared = _shared.get(key) or _shared.setdefault(key, _Shared(common))
        shared.n_holders += 1
        shared.listeners.append(on_event)

    def let_go() -> None:
        with _lock:
            shared.n_holders -= 1
            shared.listeners.remove(on_event)
            is_last = shared.n_holders == 0
            if is_last:
                _shared.pop(key, None)
        if is_last:
            shared.runtime.close()

    embedder = SharedEmbedder(shared.runtime, model, let_go)
    try:
        shared.runtime.load(model, watch)
    except BaseException:
        embedder.close()
        raise
    return embedder


def shared_states() -> list[ModelState]:
    """Every model of this process that is loaded or loading for embedders and indexes."""
    with _lock:
        own = [one for (process, _), one in _shared.items() if process == os.getpid()]
    return [state for one in own for state in one.runtime.states()]


def _in_a_thread(do: Callable[[], None]) -> None:
    threading.Thread(target=do, name="embedwell-close", daemon=True).start()
