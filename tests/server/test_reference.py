"""The routes describe themselves."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from embedwell.server.about.openapi import openapi
from embedwell.server.application import ENDPOINTS


class Outside(HTMLParser):
    """Collects whatever a page would run, or load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        names = {name for name, _ in attrs}
        if tag in {"script", "img", "link", "iframe"} or names & {"src", "style", "onclick"}:
            self.found.append(tag)


def test_the_description_holds_every_endpoint_once():
    described = openapi(ENDPOINTS)
    operations = {(method, path) for path, one in described["paths"].items() for method in one}
    expected = {(e.method.lower(), e.path.replace(":path}", "}")) for e in ENDPOINTS}
    assert operations == expected
    ids = [one["operationId"] for path in described["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_in_the_description_leads_somewhere():
    described = openapi(ENDPOINTS)
    text = json.dumps(described)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in described["components"]["schemas"]


def test_the_page_shows_every_route_and_needs_nothing_else(fake_service):
    answer = fake_service.get("/docs")
    for endpoint in ENDPOINTS:
        assert f"{endpoint.method} {endpoint.path}" in answer.text
    outside = Outside()
    outside.feed(answer.text)
    assert outside.found == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert fake_service.get("/openapi.json").json() == json.loads(json.dumps(openapi(ENDPOINTS)))
