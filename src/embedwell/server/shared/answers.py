"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from embedwell.core.vectors import FloatArray

NO_STORE = {"Cache-Control": "no-store"}
"""Headers of what is true now and not a moment later."""


def json_answer(value: object, headers: Mapping[str, str] | None = None) -> Response:
    """A value as the body of an answer; what JSON has no word for becomes text, such as a path."""
    encoded = msgspec.json.encode(value, enc_hook=str)
    return Response(encoded, headers=dict(headers or {}), media_type="application/json")


def json_rows(vectors: FloatArray) -> list[msgspec.Raw]:
    """Each vector in JSON: as Python's numbers, all of them would take the memory twice more."""
    return [msgspec.Raw(msgspec.json.encode(row.tolist())) for row in vectors]
