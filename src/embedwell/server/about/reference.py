"""`/openapi.json`, and the same as a page for people at `/docs`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from embedwell.server.about.openapi import openapi, schemas_of, statuses_of
from embedwell.server.shared.answers import json_answer
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; }
section { border-top: 1px solid #8886; padding: .5rem 0 1rem; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
_CODE = re.compile(r"`([^`]+)`")


def page(endpoints: Sequence[Endpoint]) -> str:
    """The endpoints as one page of HTML, which needs nothing else and runs nothing."""
    named, components = schemas_of(endpoints)
    shown = {
        kind: components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        for kind, schema in named.items()
    }
    sections = "\n".join(_section(endpoint, shown) for endpoint in endpoints)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>embedwell: routes</title><style>{_STYLE}</style></head><body>"
        "<h1>embedwell: routes</h1>"
        '<p>The same for machines: <a href="/openapi.json">/openapi.json</a>. '
        'The dashboard is at <a href="/">/</a>.</p>'
        f"{sections}</body></html>\n"
    )


def _section(endpoint: Endpoint, schemas: dict[type, dict[str, Any]]) -> str:
    name = f"{endpoint.method} {endpoint.path}"
    anchor = re.sub(r"\W+", "-", name.lower()).strip("-")
    parts = [
        f'<section id="{anchor}"><h2><code>{escape(name)}</code></h2>',
        f"<p>{_inline(endpoint.summary)}</p>",
    ]
    if endpoint.query:
        parts.append(_table(("parameter", "meaning"), endpoint.query))
    for title, kind in (("Body", endpoint.body), ("Answer", endpoint.answer)):
        if kind is not None:
            shown = msgspec.json.format(msgspec.json.encode(schemas[kind])).decode()
            parts.append(
                f"<details><summary>{title}: {kind.__name__}</summary>"
                f"<pre>{escape(shown)}</pre></details>"
            )
    rows = [(str(status), reason) for status, reason in statuses_of(endpoint).items()]
    parts.append(_table(("status", "when"), rows))
    return "".join(parts) + "</section>"


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{escape(a)}</td><td>{_inline(b)}</td></tr>" for a, b in rows)
    return f"<table><tr><th>{head[0]}</th><th>{head[1]}</th></tr>{body}</table>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))


async def describe(service: Service, request: Request, body: None) -> Response:
    """Describe every route as OpenAPI."""
    del service, body
    return json_answer(openapi(request.app.state.endpoints))


async def docs(service: Service, request: Request, body: None) -> Response:
    """Describe every route for people."""
    del service, body
    headers = {"content-security-policy": _POLICY}
    return Response(page(request.app.state.endpoints), headers=headers, media_type="text/html")


ENDPOINTS = (
    Endpoint("GET", "/openapi.json", "Every route as OpenAPI 3.1.", describe, is_public=True),
    Endpoint(
        "GET",
        "/docs",
        "Every route, for people.",
        docs,
        media_type="text/html",
        is_public=True,
    ),
)
