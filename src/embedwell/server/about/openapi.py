"""The OpenAPI description of the service, made from its endpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from embedwell import __version__
from embedwell.engines.wire import ErrorAnswer
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.refusals import Dialect

_REFERENCE = "#/components/schemas/{name}"
_COMMON = {
    401: "the API key is missing or wrong",
    403: "the Host or the Origin is not allowed",
    413: "the body is larger than `max_request`",
    429: "too many requests are waiting; see `Retry-After`",
    500: "a model or an index cannot be had or is broken, or an error that is not known",
    503: "memory is nearly full, or the service is stopping; see `Retry-After`",
    504: "the request, or its body, took longer than `request_timeout_s`",
}
_BAD = {400: "the request is not as expected"}
_WORD = re.compile(r"\w+")
_IN_PATH = re.compile(r"{(\w+)(?::\w+)?}")

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_OPENAI_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_OLLAMA_ERROR = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}
_ERRORS: Mapping[Dialect, str] = {
    "openai": "OpenAIError",
    "ollama": "OllamaError",
}


def statuses_of(endpoint: Endpoint) -> dict[int, str]:
    """Every status of 400 or more that an endpoint gives, with its reason."""
    can_be_bad = endpoint.body is not None or endpoint.query or "{" in endpoint.path
    common = _COMMON if not endpoint.is_public else {403: _COMMON[403], 503: _COMMON[503]}
    found = (_BAD if can_be_bad else {}) | common | dict(endpoint.statuses)
    return dict(sorted(found.items()))


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The description of the endpoints as OpenAPI 3.1."""
    named, components = schemas_of(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = _IN_PATH.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "embedwell",
            "version": __version__,
            "description": "Embeddings that fit the machine, and never silently disagree.",
        },
        "paths": paths,
        "components": {
            "schemas": components | {"OpenAIError": _OPENAI_ERROR, "OllamaError": _OLLAMA_ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def schemas_of(
    endpoints: Sequence[Endpoint],
) -> tuple[dict[type, dict[str, Any]], dict[str, dict[str, Any]]]:
    """What refers to each struct of the endpoints, and all schemas by name."""
    structs = {kind for e in endpoints for kind in (e.body, e.answer) if kind is not None}
    kinds = sorted(structs | {ErrorAnswer}, key=lambda kind: (kind.__name__, kind.__module__))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    return dict(zip(kinds, schemas, strict=True)), dict(components)


def _operation(endpoint: Endpoint, schemas: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": "-".join([endpoint.method.lower(), *_WORD.findall(endpoint.path)]),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.is_public:
        operation["security"] = []
    if parameters := [*_path_parameters(endpoint), *_query_parameters(endpoint)]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[endpoint.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(endpoint: Endpoint, schemas: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    answer = _TEXT if endpoint.answer is None else schemas[endpoint.answer]
    if endpoint.answer is None and endpoint.media_type == "application/json":
        answer = _OBJECT
    found: dict[str, Any] = {
        "200": {
            "description": "done",
            "content": {kind: {"schema": answer} for kind in endpoint.media_type.split(", ")},
        }
    }
    error = schemas[ErrorAnswer]
    if endpoint.dialect in _ERRORS:
        error = {"$ref": _REFERENCE.format(name=_ERRORS[endpoint.dialect])}
    for status, reason in statuses_of(endpoint).items():
        content = {"application/json": {"schema": error}}
        found[str(status)] = {"description": reason, "content": content}
    return found


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in _IN_PATH.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "description": meaning, "schema": _TEXT}
        for name, meaning in endpoint.query
    ]
