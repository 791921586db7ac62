"""The dashboard: one page and its parts, as they lie in the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

_FOLDER = Path(__file__).with_name("dashboard")
ASSETS = {
    "app.js": "text/javascript",
    "chart.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "ingestion.js": "text/javascript",
    "service.js": "text/javascript",
    "style.css": "text/css",
}
"""Every part of the page, with its media type; nothing else in the folder is given out."""

# A browser asks each time, so that a newer service never meets an older page.
_HEADERS = {"Cache-Control": "no-cache"}

# What Ollama's clients look for, to the letter, before they call its routes, which we serve too.
GREETING = "Ollama is running"


async def home(service: Service, request: Request, body: None) -> Response:
    """The dashboard for browsers; for programs, that something is there."""
    del service, body
    headers = _HEADERS | {"Vary": "Accept"}
    if "text/html" not in request.headers.get("accept", ""):
        return Response(GREETING, headers=headers, media_type="text/plain")
    page = (_FOLDER / "index.html").read_bytes()
    return Response(page, headers=headers, media_type="text/html")


async def asset(service: Service, request: Request, body: None) -> Response:
    """One part of the page."""
    del service, body
    name = request.url.path.rpartition("/")[2]  # routed by name: it is one of `ASSETS`
    return Response((_FOLDER / name).read_bytes(), headers=_HEADERS, media_type=ASSETS[name])


ENDPOINTS = (
    Endpoint(
        "GET",
        "/",
        "The dashboard, where `Accept` names HTML; else a line of text.",
        home,
        media_type="text/html, text/plain",
        is_public=True,
    ),
    *(
        Endpoint(
            "GET",
            f"/assets/{name}",
            f"The dashboard's `{name}`.",
            asset,
            media_type=kind,
            is_public=True,
        )
        for name, kind in ASSETS.items()
    ),
)
