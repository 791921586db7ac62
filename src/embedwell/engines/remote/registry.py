"""The dialects by name, and which of them a server speaks."""

from __future__ import annotations

from embedwell.core.errors import RemoteAnswerError, RemoteRefusedError
from embedwell.engines.remote.dialect import Ask, Dialect
from embedwell.engines.remote.koboldcpp import KoboldCpp
from embedwell.engines.remote.ollama import Ollama
from embedwell.engines.remote.openai import OpenAI
from embedwell.engines.remote.tei import Tei

# Those that imitate others come first: KoboldCpp answers as Ollama does, and all as OpenAI.
DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (Tei(), KoboldCpp(), Ollama(), OpenAI())
}


def spoken(ask: Ask, place: str) -> Dialect:
    """The first dialect that a server speaks.

    Args:
        ask: Sends a request to it.
        place: Its address, for people.

    Raises:
        RemoteGoneError: No server answers.
        RemoteRefusedError: It refuses the key, or speaks none of them.
    """
    refusals: dict[str, list[str]] = {}
    remedy = ""
    for dialect in DIALECTS.values():
        try:
            if dialect.is_spoken(ask):
                return dialect
        except (RemoteRefusedError, RemoteAnswerError) as error:
            remedy = error.remedy
            reason = str(getattr(error, "said", error.problem)).rstrip(".")
            refusals.setdefault(reason, []).append(dialect.name)
    if len(refusals) > 1:  # else it says the same whatever it is asked
        remedy = "Check `remote_url` and `remote_api_key`, or name the dialect in `remote_dialect`."
    said = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in refusals.items())
    raise RemoteRefusedError(
        f"The server at {place} speaks none of the dialects ({said}).",
        remedy,
        said,
    )
