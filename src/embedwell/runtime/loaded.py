"""The models loaded right now, inside a memory budget."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from embedwell.core.artifact import Artifact
from embedwell.core.device import keep_few_arenas
from embedwell.core.errors import (
    EmbedwellError,
    EngineMemoryError,
    TaskCancelledError,
)
from embedwell.core.events import Listener, Watch, ignore_events
from embedwell.runtime import refusals
from embedwell.runtime.idle import overdue, state_of
from embedwell.runtime.model import Local, Machine, Model, close_doors
from embedwell.runtime.opening import Opener
from embedwell.runtime.placing import Load, Memory, Placing, Wait, place
from embedwell.runtime.pressure import Pressure, PressureGauge
from embedwell.runtime.remembered import Remembered
from embedwell.runtime.states import Limits, ModelState, Wish
from embedwell.runtime.waiting import Queue, Ticket

# How often a caller that waits looks whether it was asked to stop, or whether memory was freed.
_LOOK_S = 0.1
# A model that takes more than was expected is unloaded again, to be placed by what it took. This
# often; then it stays: something else in the process takes memory at the same moments.
_MOST_TRIES = 2

Refusal = TypeVar("Refusal", bound=EmbedwellError)
Lower: TypeAlias = Callable[[Artifact], Artifact | None]
"""From an artifact to one of the same space that takes less; None where there is none."""


class LoadedModels:
    """Loads each artifact once, however many threads ask, and keeps to its limits.

    One model is loaded at a time, by the thread of a caller that wants it; models that are loaded
    already are used meanwhile. Callers that need room wait in the order of their coming.

    Args:
        limits: What to stay inside of.
        listener: Told of everything that happens to the models.
        lower: What to take in place of an artifact that cannot fit, if there is anything.
        remembered: What artifacts were measured to need.
        machine: What is asked of the world.
        patience_s: Longest wait for models in use to be let go.
    """

    def __init__(
        self,
        limits: Limits,
        listener: Listener = ignore_events,
        *,
        lower: Lower | None = None,
        remembered: Remembered | None = None,
        machine: Machine | None = None,
        patience_s: float = 60.0,
    ) -> None:
        keep_few_arenas()  # else what is unloaded does not all go back to the system
        self.limits = limits
        self.lower: Lower = lower or (lambda artifact: None)  # noqa: ARG005 - the one that gives none
        self._machine = machine or Machine()
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._models: dict[str, Model] = {}
        self._wishes: dict[str, Wish] = {}
        self._queue = Queue()
        self._loading: Ticket | None = None
        self._stage = ""
        self._floor = self._machine.resident_bytes()
        clock = self._machine.clock
        self._teller = refusals.Teller(listener, clock)
        self.gauge = PressureGauge(self._machine.read_pressure, self._teller.pressure, clock)
        self._opener = Opener(
            limits, self._machine, remembered or Remembered(None), self.gauge, self.resident_bytes
        )

    @contextmanager
    def using(self, artifact: Artifact, watch: Watch) -> Iterator[Local]:
        """The model of an artifact, loaded now if it was not; it stays for the `with` block.

        Where the artifact cannot fit and a lower quantization of the same model can, it is that
        one's: its `artifact` says so.

        Raises:
            OverBudgetError: It cannot fit, whatever is unloaded for it.
            PressureError: Memory is nearly full and it was not loaded.
            EngineError: It cannot be loaded.
            TaskCancelledError: `watch` was asked to stop.
        """
        self._teller.warn_when_full(self.gauge.now())
        model = self._acquire(artifact, watch)
        try:
            yield model.local
        finally:
            self._release(model)

    def set(self, artifact: Artifact, *, pinned: bool, priority: int = 0) -> None:
        """How hard to hold on to an artifact, loaded or not yet."""
        with self._changed:
            wish = self._wish(artifact.key)
            self._wishes[artifact.key] = replace(wish, pinned=pinned, priority=priority)
            self._changed.notify_all()

    def is_pinned(self, artifact: Artifact) -> bool:
        """Whether it is never unloaded by itself."""
        with self._changed:
            return self._wish(artifact.key).pinned

    def keep(self, artifact: Artifact, idle_s: float | None) -> None:
        """How long an artifact stays when unused: 0 for ever, None for what the limits say."""
        with self._changed:
            self._wishes[artifact.key] = replace(self._wish(artifact.key), idle_s=idle_s)

    def unload(self, artifact: Artifact, reason: str = "asked") -> bool:
        """Give its memory back once nobody uses it; false where it was not loaded.

        Args:
            artifact: Which.
            reason: For the event.
        """
        with self._changed:
            model = self._models.get(artifact.key)
            if model is None or model.closing:
                return False
            model.leaving = reason
            model.closing = model.in_use == 0
        if model.closing:
            self._unload([model], reason)
        return True

    def unload_idle(self, reason: str, but: Artifact | None = None) -> bool:
        """Unload every model that nobody uses and that is not pinned; whether there was one.

        Args:
            reason: For the events.
            but: Stays.
        """
        with self._changed:
            found = [m for m in self._idle() if but is None or m.artifact.key != but.key]
            close_doors(found)
        self._unload(found, reason)
        return bool(found)

    def check_idle(self) -> bool:
        """Unload what has been idle for too long; whether anything was."""
        at_most = self.gauge.now().action.idle_s
        now = self._machine.clock()
        with self._changed:
            idle = [(model, self._wish(model.artifact.key)) for model in self._idle()]
            late = overdue(idle, self.limits, at_most, now)
            close_doors([*late["idle"], *late["pressure"]])
        for reason, models in late.items():
            self._unload(models, reason)
        return any(late.values())

    def states(self) -> list[ModelState]:
        """Every model that is loaded or loading."""
        at_most, now = self.gauge.now().action.idle_s, self._machine.clock()
        with self._changed:
            found = [
                state_of(model, self._wish(key), self.limits, at_most, now)
                for key, model in self._models.items()
            ]
            if self._loading is not None:
                artifact = self._loading.artifact
                need = self._opener.need_bytes(artifact)
                found.append(ModelState(artifact, "loading", need, stage=self._stage))
            return found

    def resident_bytes(self) -> int:
        """Memory of this process, what runs of its models may still add included."""
        models = list(self._models.values())
        return self._machine.resident_bytes() + sum(m.unspent_bytes for m in models)

    def close(self) -> None:
        """Unload everything; models in use as soon as they are let go."""
        for model in list(self._models.values()):
            self.unload(model.artifact, "closed")

    def _acquire(self, artifact: Artifact, watch: Watch) -> Model:
        try:
            return self._enter(artifact, watch)
        except refusals.NoRoomError as refused:
            lower = self.lower(artifact)
            if lower is None:
                raise refused.error from refused.__cause__
            self._teller.warn_of_lower(refused.error, lower)
        return self._acquire(lower, watch)

    def _enter(self, artifact: Artifact, watch: Watch) -> Model:
        with self._changed:
            model = self._models.get(artifact.key)
            if model and not model.closing and not self._queue.claimed(artifact.key):
                model.in_use += 1
                return model
            ticket = self._queue.join(artifact)
        try:
            self._import_engine(artifact)
            return self._wait(ticket, watch)
        except BaseException:
            with self._changed:
                if ticket.model is None:
                    self._queue.leave(ticket)
                self._changed.notify_all()
            if ticket.model is not None:
                self._release(ticket.model)
            raise

    def _wait(self, ticket: Ticket, watch: Watch) -> Model:
        """Wait until a ticket is let in; whoever is first in line makes room and loads."""
        patient_until = self._machine.clock() + self._patience_s
        while True:
            watch.check("load")
            pressure = self.gauge.now()
            with self._changed:
                move = self._move(ticket, pressure, watch)
                if ticket.model is not None:
                    return ticket.model
                if move is None:
                    if self._loading is not ticket and self._machine.clock() >= patient_until:
                        raise self._refused(
                            ticket.artifact, refusals.in_use(ticket.artifact, self._patience_s)
                        )
                    self._changed.wait(_LOOK_S)
                    continue
            move()

    def _move(self, ticket: Ticket, pressure: Pressure, watch: Watch) -> Callable[[], None] | None:
        """What the thread of a ticket does next, without the lock; None where it waits."""
        key = ticket.artifact.key
        model = self._models.get(key)
        if ticket.model is not None:
            return None
        if model is not None and not model.closing:
            if not self._queue.claimed(key, before=ticket):
                self._queue.admit(ticket, model)
                self._changed.notify_all()
            return None
        if model is not None or self._loading or not self._queue.is_first(ticket):
            return None
        if not pressure.action.loads:
            return partial(self._relieve, ticket.artifact)
        return self._make_room(ticket, self._place(ticket.artifact), watch)

    def _make_room(
        self, ticket: Ticket, placing: Placing, watch: Watch
    ) -> Callable[[], None] | None:
        if isinstance(placing, Load):
            ticket.claims = frozenset()
            if not placing.victims:
                self._loading = ticket
                return partial(self._load, ticket, watch)
            victims = [self._models[key] for key in placing.victims]
            close_doors(victims)
            return partial(self._unload, victims, "room")
        if not ticket.trimmed:  # what was freed and not given back makes room as well
            ticket.trimmed = True
            return self._machine.return_freed_memory
        if isinstance(placing, Wait):
            ticket.claims = frozenset(placing.claims)
            return None
        return partial(self._refuse, ticket.artifact, placing.reason)

    def _place(self, artifact: Artifact) -> Placing:
        memory = Memory(self.limits.budget_bytes, self.resident_bytes(), self._floor)
        held = [model.held(self._wish(key)) for key, model in self._models.items()]
        return place(self._opener.need_bytes(artifact), memory, held, self.limits.n_models)

    def _refuse(self, artifact: Artifact, reason: str) -> None:
        need, budget = self._opener.need_bytes(artifact), self.limits.budget_bytes
        resident = self._machine.resident_bytes()
        error = refusals.over_budget(artifact, need, budget, resident, reason)
        raise refusals.NoRoomError(self._refused(artifact, error))

    def _relieve(self, artifact: Artifact) -> None:
        """At critical pressure, give up what is idle and look again before refusing to load."""
        unloaded = self.unload_idle("pressure")
        pressure = self.gauge.now(fresh=True)
        if not unloaded and not pressure.action.loads:
            raise self._refused(artifact, refusals.under_pressure(artifact, pressure.fraction))

    def _load(self, ticket: Ticket, watch: Watch) -> None:
        """Load what a ticket waits for and let all of it in."""
        artifact, model = ticket.artifact, None
        began = self._machine.clock()
        try:
            model = self._fitting(ticket, self._opened(artifact, watch))
        except EngineMemoryError as error:
            raise refusals.NoRoomError(
                self._refused(artifact, refusals.no_memory(artifact))
            ) from error
        except TaskCancelledError:
            raise
        except EmbedwellError as error:
            raise self._refused(artifact, error)  # noqa: B904 - the same error
        finally:
            with self._changed:
                self._loading = None
                if model is not None:
                    self._models[artifact.key] = model
                    self._queue.admit(ticket, model)
                self._changed.notify_all()
        if model is not None:
            took_s = self._machine.clock() - began
            self._teller.tell("loaded", artifact, bytes=model.size_bytes, took_s=took_s)

    def _opened(self, artifact: Artifact, watch: Watch) -> Model:
        stage = partial(self._begin, artifact)
        try:
            return self._opener.open(artifact, watch, stage)
        except EngineMemoryError:
            self.unload_idle("memory")
            self._machine.return_freed_memory()
            return self._opener.open(artifact, watch, stage)

    def _begin(self, artifact: Artifact, stage: str) -> None:
        self._stage = stage
        self._teller.loading(artifact, stage)

    def _fitting(self, ticket: Ticket, model: Model) -> Model | None:
        """The model, or None where it is over the budget and is placed once more."""
        ticket.n_tries += 1
        fits = self._machine.resident_bytes() <= self.limits.budget_bytes
        if fits or ticket.n_tries > _MOST_TRIES:
            return model
        self._close(model)
        return None

    def _unload(self, models: Iterable[Model], reason: str) -> None:
        """Unload models whose doors are closed."""
        for model in models:
            before = self._machine.resident_bytes()
            self._close(model)
            given_back = max(0, before - self._machine.resident_bytes())
            self._teller.tell("unloaded", model.artifact, reason=reason, bytes=given_back)
            with self._changed:
                self._models.pop(model.artifact.key, None)
                self._set_floor()
                self._changed.notify_all()

    def _close(self, model: Model) -> None:
        with suppress(EmbedwellError):
            model.close()
        gc.collect()  # an embedder and its batcher know each other
        self._machine.return_freed_memory()

    def _release(self, model: Model) -> None:
        with self._changed:
            model.in_use -= 1
            model.last_used = self._machine.clock()
            leaves = bool(model.leaving) and model.in_use == 0 and not model.closing
            model.closing = model.closing or leaves
            self._changed.notify_all()
        if leaves:
            self._unload([model], model.leaving)

    def _idle(self) -> list[Model]:
        return [
            model
            for key, model in self._models.items()
            if not model.in_use and not model.closing and not self._wish(key).pinned
        ]

    def _wish(self, key: str) -> Wish:
        return self._wishes.get(key, Wish())

    def _import_engine(self, artifact: Artifact) -> None:
        """Bring in an engine's libraries before anything is measured: they stay for good."""
        self._machine.import_engine(artifact.engine)
        with self._changed:
            self._set_floor()

    def _set_floor(self) -> None:
        """Remember what the process takes without models, while it has none; the lock is held."""
        if not self._models and self._loading is None:
            self._floor = self._machine.resident_bytes()

    def _refused(self, artifact: Artifact, error: Refusal) -> Refusal:
        """Tell of a refusal, and hand its error back to be raised."""
        need = self._opener.need_bytes(artifact)
        self._teller.refused(artifact, error, need, self.limits.budget_bytes)
        return error
