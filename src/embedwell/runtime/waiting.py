"""Who waits for a model to be loaded, in the order of coming."""

from __future__ import annotations

from dataclasses import dataclass, field

from embedwell.core.artifact import Artifact
from embedwell.runtime.model import Model


@dataclass(eq=False)
class Ticket:
    """All who wait for one artifact; they go in together.

    Attributes:
        artifact: What they wait for.
        n_waiting: How many they are.
        claims: Keys of models in use that have to go for it: whoever comes now waits behind.
        model: The artifact once it is there; each of them is counted as a user of it already.
        trimmed: Whether freed memory was given back since they came.
        n_tries: How often it was loaded and took more than was expected.
    """

    artifact: Artifact
    n_waiting: int = 0
    claims: frozenset[str] = frozenset()
    model: Model | None = None
    trimmed: bool = False
    n_tries: int = 0


@dataclass
class Queue:
    """Tickets, first come first served; guarded by the lock of whoever holds it."""

    tickets: list[Ticket] = field(default_factory=list)

    def join(self, artifact: Artifact) -> Ticket:
        """Stand in line, with those who wait for the same artifact if there are any."""
        found = next((t for t in self.tickets if t.artifact.key == artifact.key), None)
        if found is None:
            found = Ticket(artifact)
            self.tickets.append(found)
        found.n_waiting += 1
        return found

    def leave(self, ticket: Ticket) -> None:
        """One of a ticket waits no more."""
        ticket.n_waiting -= 1
        if ticket.n_waiting == 0 and ticket in self.tickets:
            self.tickets.remove(ticket)

    def claimed(self, key: str, before: Ticket | None = None) -> bool:
        """Whether somebody waits, ahead of a ticket or at all, for this model to go."""
        for ticket in self.tickets:
            if ticket is before:
                return False
            if key in ticket.claims:
                return True
        return False

    def is_first(self, ticket: Ticket) -> bool:
        """Whether it is this ticket's turn."""
        return bool(self.tickets) and self.tickets[0] is ticket

    def admit(self, ticket: Ticket, model: Model) -> None:
        """Let all of a ticket in; each counts as a user from now on."""
        model.in_use += ticket.n_waiting
        ticket.model = model
        self.tickets.remove(ticket)
