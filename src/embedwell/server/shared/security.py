"""Who may ask: the API key, the Host (DNS rebinding) and the Origin (other sites' pages)."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from embedwell.app.config.settings import Settings
from embedwell.core.errors import AccessDeniedError, ServiceStartError
from embedwell.server.shared.refusals import dialect_of, refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PREFLIGHT_S = 600
_METHODS = "GET, HEAD, POST, PUT, DELETE"
_PAGE = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True)
class Rules:
    """What the guard goes by.

    Attributes:
        api_key: That TCP clients must send; empty for none.
        host: Address that the service listens on.
        origins: Foreign origins whose pages may ask.
    """

    api_key: str
    host: str
    origins: frozenset[str]


class Guard:
    """ASGI middleware that refuses whoever may not ask, and lets allowed pages read the answers.

    Over the Unix socket the file's permissions decide, so neither key nor Host is looked at. A
    page's Origin is looked at everywhere.

    Args:
        inner: The application behind it.
        settings: What the user chose.
        public: Paths that answer without the key.
    """

    def __init__(self, inner: ASGIApp, settings: Settings, public: frozenset[str]) -> None:
        self._inner = inner
        self._public = public
        origins = frozenset(origin.rstrip("/").lower() for origin in settings.cors_origins)
        self._rules = Rules(settings.api_key, settings.host, origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "").lower()
        allowed = {}
        if origin in self._rules.origins:
            allowed = {"access-control-allow-origin": headers["origin"], "vary": "Origin"}
        dialect = dialect_of(scope["path"])
        if problem := foreign(headers, scope["method"], self._rules):
            answer = refusal(_denied(problem, "cors_origins"), dialect)
        elif not is_unix(scope) and (problem := wrong_host(headers, self._rules)):
            answer = refusal(_denied(problem, "api_key"), dialect)
        elif allowed and _is_preflight(scope, headers):
            answer = Response(status_code=204, headers=_preflight(headers))
        elif self._needs_key(scope) and not has_key(headers, self._rules.api_key):
            answer = refusal(_no_key(), dialect, status=401, headers={"WWW-Authenticate": "Bearer"})
        else:
            await self._inner(scope, receive, _adding(send, allowed))
            return
        await answer(scope, receive, _adding(send, allowed))

    def _needs_key(self, scope: Scope) -> bool:
        return bool(
            self._rules.api_key and not is_unix(scope) and scope["path"] not in self._public
        )


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        ServiceStartError: `host` is reachable from elsewhere and there is no `api_key`.
    """
    if settings.port and not settings.api_key and not is_loopback(settings.host):
        raise ServiceStartError(
            f"`host` {settings.host} can be reached from other machines, and there is no key.",
            "Set `api_key`, or listen on 127.0.0.1.",
        )


def is_loopback(name: str) -> bool:
    """Whether a host's name or number means this machine and no other."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_unix(scope: Scope) -> bool:
    """Whether a request came over the Unix socket."""
    server = scope.get("server")
    return server is None or server[1] is None


def wrong_host(headers: Mapping[str, str], rules: Rules) -> str:
    """What is wrong with the Host; empty where nothing is.

    A page of another site can have its own name resolve to 127.0.0.1 (DNS rebinding), and then
    is of the same origin as the service. Numbers cannot be rebound, and where there is a key such
    a page does not know it.
    """
    name = _host_name(headers.get("host", ""))
    if rules.api_key or is_loopback(name) or name == rules.host.lower():
        return ""
    return f"The Host '{name}' is not this machine's."


def foreign(headers: Mapping[str, str], method: str, rules: Rules) -> str:
    """What is wrong with the page that sent a request; empty where nothing is, or it was no page.

    A link to a page of ours may be followed from anywhere; all else must be of the same origin as
    the service or of an allowed one.
    """
    origin = headers.get("origin", "").lower()
    if origin:
        host = headers.get("host", "").lower()
        is_own = bool(host) and origin in {f"http://{host}", f"https://{host}"}
        is_ours = is_own or origin in rules.origins
        return "" if is_ours else f"Pages of {origin} may not ask this service."
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return ""
    is_link = method in {"GET", "HEAD"} and headers.get("sec-fetch-mode") == "navigate"
    if is_link and headers.get("sec-fetch-dest") == "document":
        return ""
    return "Pages of other sites may not ask this service."


def has_key(headers: Mapping[str, str], api_key: str) -> bool:
    """Whether a request carries the key; takes as long for a wrong one as for the right one."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # Headers are read as Latin-1, whatever their bytes mean.
    is_right = hmac.compare_digest(given.strip(" ").encode("latin-1"), api_key.encode())
    return scheme.lower() == "bearer" and is_right


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_preflight(scope: Scope, headers: Mapping[str, str]) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _preflight(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave for an allowed page; clients send headers of their own, which we do not look at."""
    return {
        "access-control-allow-methods": _METHODS,
        "access-control-allow-headers": headers.get("access-control-request-headers", ""),
        "access-control-max-age": str(_PREFLIGHT_S),
    }


def _denied(problem: str, setting: str) -> AccessDeniedError:
    return AccessDeniedError(problem, f"Whoever runs the service can allow it with `{setting}`.")


def _no_key() -> AccessDeniedError:
    return AccessDeniedError(
        "The service's key is missing or wrong.", "Send it as `Authorization: Bearer KEY`."
    )


def _adding(send: Send, allowed: Mapping[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(dict(allowed))
            headers.setdefault("x-content-type-options", "nosniff")
            if headers.get("content-type", "").startswith("text/html"):
                for name, value in _PAGE.items():
                    headers.setdefault(name, value)
        await send(message)

    return sending
