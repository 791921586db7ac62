"""What a server's refusal means, and whether asking again may help: pure decisions."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec

from embedwell.core.errors import (
    RemoteAnswerError,
    RemoteBusyError,
    RemoteError,
    RemoteGoneError,
    RemoteRefusedError,
)
from embedwell.engines.connection import Answer

_SHOWN = 200
_N_AGAIN, _FIRST_AGAIN_S = 2, 0.2
_FIRST_BUSY_S, _LONGEST_BUSY_S = 0.5, 8.0
# What servers say of texts that are too many or too long, whatever the status.
_TOO_MUCH = re.compile(
    r"too (long|large|many)|context (length|size|window)|maximum|must have (less|fewer)|exceed",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")
_LONGEST_S = 86_400.0
_BUSY = {429, 503}
_AWAY = {502, 504}
# 424 is what text-embeddings-inference says of a text that its model failed on.
_OF_TEXTS = {400, 413, 422, 424, 500}
_REMEDIES = {
    401: "Set `remote_api_key` to a key that it takes.",
    403: "Set `remote_api_key` to a key that it takes.",
    404: "Check `remote_url`, `remote_dialect` and `remote_model`.",
}


def fault_of(answer: Answer, place: str, path: str) -> RemoteError:
    """The error for an answer that is no success.

    Args:
        answer: Without anything secret in it.
        place: Where the server is, for people.
        path: What it was asked.
    """
    status, said = answer.status, said_in(answer.body)
    told = f"The server at {place} answered {path} with {status}: {said}."
    if status < 300:
        return RemoteAnswerError(told, "Check `remote_url` and `remote_dialect`.")
    if status < 400:
        return _redirected(_line(answer.headers.get("location", "nowhere")), place)
    if status in _BUSY and not _is_lasting(answer.body):
        wait_s = retry_after_s(answer.headers.get("retry-after", ""), time.time())
        wait = f"Wait {wait_s:,.0f} s" if wait_s else "Wait"
        return RemoteBusyError(told, f"{wait} and run it again; what was embedded is kept.", wait_s)
    if status in _AWAY:
        return RemoteGoneError(told, "See whether the server behind it runs.")
    is_too_much = says_too_much(said) and status not in _REMEDIES
    return RemoteRefusedError(
        told,
        _REMEDIES.get(status, "See the server's log."),
        said,
        is_of_texts=is_too_much or status in _OF_TEXTS,
        is_passing=status == 500 and not is_too_much,
    )


def pause_s(error: RemoteError, n_tries: int, chance: float) -> float | None:
    """Seconds to wait before asking again; None where that does not help.

    Args:
        error: What happened.
        n_tries: How often it was asked again already.
        chance: From 0 to 1, so that many who are refused do not come back together.
    """
    doubled: float = 2.0**n_tries
    if isinstance(error, RemoteBusyError):
        growing = min(_FIRST_BUSY_S * doubled, _LONGEST_BUSY_S) * (0.5 + chance)
        return max(error.retry_after_s, growing)
    is_passing = isinstance(error, RemoteRefusedError) and error.is_passing
    if (is_passing or isinstance(error, RemoteGoneError)) and n_tries < _N_AGAIN:
        return _FIRST_AGAIN_S * doubled * (0.5 + chance)
    return None


def _redirected(where: str, place: str) -> RemoteRefusedError:
    return RemoteRefusedError(
        f"The server at {place} sends us on to {where}.",
        "Set `remote_url` to that address, if you trust it.",
        f"redirected to {where}",
    )


def retry_after_s(header: str, now: float) -> float:
    """Seconds that `Retry-After` asks for, as a number or a date; 0 where it does not say.

    At most a day.
    """
    if not header:
        return 0.0
    if _NUMBER.fullmatch(header):
        return min(float(header), _LONGEST_S)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - for the few that send dates

    try:
        return min(max(parsedate_to_datetime(header).timestamp() - now, 0.0), _LONGEST_S)
    except (ValueError, OverflowError):
        return 0.0


def says_too_much(said: str) -> bool:
    """Whether a refusal is about texts that are too many or too long."""
    return bool(_TOO_MUCH.search(said))


def said_in(body: bytes) -> str:
    """What a server says of an error, in one line for people."""
    try:
        text = _message(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace")
        if text.lstrip()[:1] == "<":
            text = "a page of HTML"
    return _line(text).rstrip(".") or "nothing"


def _line(text: str) -> str:
    """One line for people, without what would steer a terminal."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    short = " ".join(plain.split())
    return f"{short[:_SHOWN]}…" if len(short) > _SHOWN else short


def _message(found: Any) -> str:  # noqa: ANN401 - any JSON
    """The words in `error`, `message` and the like, however deep."""
    if isinstance(found, dict):
        for name in ("error", "message", "detail", "msg", "problem"):
            if found.get(name):
                return _message(found[name])
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def _is_lasting(body: bytes) -> bool:
    """Whether waiting does not help: an account without credit."""
    return b"insufficient_quota" in body
