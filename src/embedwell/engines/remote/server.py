"""One model of one server: what it is, and its vectors for a few texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from embedwell.core.events import Watch
from embedwell.engines.remote.client import Client
from embedwell.engines.remote.dialect import Ask, Dialect, Rows, Told
from embedwell.engines.remote.registry import DIALECTS, spoken

# What is asked of a server before its first texts waits less long for it than texts do.
_PATIENCE_S = 5.0


class Server:
    """Asks for one model. Safe to call from several threads.

    Args:
        client: How the server is reached.
        dialect: Its name; `auto` asks the server what it speaks.
        names: What the model may be called there, the likeliest first.
    """

    def __init__(self, client: Client, dialect: str, names: Sequence[str]) -> None:
        self._client = client
        self._dialect: Dialect | None = DIALECTS.get(dialect)
        self._names = tuple(names)

    @property
    def place(self) -> str:
        """Its address, for people."""
        return str(self._client.place)

    def dialect(self, watch: Watch) -> Dialect:
        """What it speaks; asked for once.

        Raises:
            RemoteError: It does not answer, or speaks nothing that is known.
        """
        if self._dialect is None:
            self._dialect = spoken(self._asking(watch), self.place)
        return self._dialect

    def look(self, watch: Watch) -> Told:
        """What it says of itself and of the model, asked now.

        Raises:
            RemoteError: It does not answer as it must, or has no model that embeds.
            TaskCancelledError: `watch` was asked to stop.
        """
        return self.dialect(watch).look(self._asking(watch), self._names)

    def embed(self, model: str, texts: Sequence[str], watch: Watch, *, cut: bool) -> Rows:
        """The vectors of a few texts, in one request.

        Args:
            model: As `look` gave it.
            texts: None of them empty.
            watch: Asked to stop.
            cut: Whether texts that are too long lose their end, where that can be said.

        Raises:
            RemoteError: It does not answer as it must, or refuses the texts.
            TaskCancelledError: `watch` was asked to stop.
        """
        dialect = self.dialect(watch)
        body = dialect.body(model, texts, cut=cut)
        return dialect.read(self._client.ask("POST", dialect.path, body, watch), len(texts))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _asking(self, watch: Watch) -> Ask:
        return partial(_ask, self._client, watch)


def _ask(client: Client, watch: Watch, method: str, path: str, body: bytes) -> bytes:
    return client.ask(method, path, body, watch, _PATIENCE_S)
