"""What every dialect does: say what to ask a server, and read strictly what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np

from embedwell.core.errors import RemoteAnswerError
from embedwell.core.vectors import FloatArray

Decoded = TypeVar("Decoded")

Ask: TypeAlias = Callable[[str, str, bytes], bytes]
"""Sends one request (method, path, JSON or nothing) and gives the body of the answer.

Raises:
    RemoteError: No server answers, or it refuses.
"""

_REMEDY = "Check `remote_url` and `remote_dialect`: something else seems to answer there."
_SHOWN = 80


@dataclass(frozen=True)
class Told:
    """What a server says of itself and of its model.

    Attributes:
        model: The name that the model is asked for by; may be empty where the server has one only.
        version: Of the server; empty where it does not say.
        digest: Of the served weights, or their commit; empty where it does not say.
        max_texts: Most texts of one request.
        max_tokens: Longest input; 0 where it does not say.
    """

    model: str
    version: str = ""
    digest: str = ""
    max_texts: int = 256
    max_tokens: int = 0


@dataclass(frozen=True)
class Rows:
    """What a server made of some texts.

    Attributes:
        vectors: float32, shape (n, d); NaN in the rows of texts that it could not embed.
        model: What it calls the model that made them; empty where it does not say.
    """

    vectors: FloatArray
    model: str = ""


class Dialect(Protocol):
    """How one kind of server is spoken to. Holds no state."""

    @property
    def name(self) -> str:
        """As in the setting `remote_dialect`."""
        ...

    @property
    def path(self) -> str:
        """Where texts are sent to."""
        ...

    @property
    def cuts(self) -> bool:
        """Whether a request says if long texts lose their end; where not, they are refused."""
        ...

    def is_spoken(self, ask: Ask) -> bool:
        """Whether a server speaks it.

        Raises:
            RemoteRefusedError: It does not have the path that tells.
            RemoteAnswerError: Something else answers there.
        """
        ...

    def look(self, ask: Ask, names: Sequence[str]) -> Told:
        """Ask a server about itself and about a model.

        Args:
            ask: Asks it.
            names: What the model may be called there, the likeliest first.

        Raises:
            RemoteError: It does not answer as it must, or has no model that embeds.
        """
        ...

    def body(self, model: str, texts: Sequence[str], *, cut: bool) -> bytes:
        """The request for the vectors of some texts.

        Args:
            model: As the server calls it.
            texts: None of them empty.
            cut: Whether texts that are too long lose their end, where that can be said.
        """
        ...

    def read(self, answer: bytes, n_texts: int) -> Rows:
        """The vectors of an answer, in the order of the texts.

        Raises:
            RemoteAnswerError: It is not an answer to that many texts.
        """
        ...


def decoded(answer: bytes, form: type[Decoded]) -> Decoded:
    """An answer in JSON.

    Raises:
        RemoteAnswerError: It is not JSON, or of another form.
    """
    try:
        return msgspec.json.decode(answer, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteAnswerError(
            f"The server's answer cannot be read: {error} (it begins with {shown(answer)}).",
            _REMEDY,
        ) from error


def rows(values: Sequence[Sequence[float | None]], n_texts: int) -> FloatArray:
    """Vectors as an array, once they are one for each text and all of one length.

    Args:
        values: The vectors; an empty one is that of a text that the server could not embed, and
            None is a number that JSON cannot write.
        n_texts: How many texts were sent.

    Returns:
        float32, shape (n_texts, d).

    Raises:
        RemoteAnswerError: They are fewer or more, or of several lengths.
    """
    if len(values) != n_texts:
        raise wrong(f"it has {len(values)} vectors for {n_texts} texts")
    lengths = {len(row) for row in values} - {0}
    if len(lengths) != 1:
        raise wrong(f"its vectors have the lengths {sorted(lengths) or [0]}")
    found = np.full((n_texts, lengths.pop()), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as that
        for row, value in enumerate(values):
            if value:
                found[row] = np.array(value, dtype=np.float32)
    return found


def in_order(indexes: Sequence[int], n_texts: int) -> Sequence[int]:
    """Where each text's vector stands in an answer that numbers them.

    Raises:
        RemoteAnswerError: A number is missing, comes twice or is not a text's.
    """
    if sorted(indexes) != list(range(n_texts)):
        raise wrong(f"it numbers {len(indexes)} vectors for {n_texts} texts as {indexes[:8]}…")
    return sorted(range(n_texts), key=indexes.__getitem__)


def wrong(why: str) -> RemoteAnswerError:
    """The error for an answer that is JSON and still nonsense."""
    return RemoteAnswerError(f"The server's answer is wrong: {why}.", _REMEDY)


def shown(answer: bytes) -> str:
    """The beginning of an answer, for people."""
    text = " ".join(answer[:_SHOWN].decode("utf-8", "replace").split())
    return repr(text) if text else "nothing"
