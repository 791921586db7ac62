"""The server of `engine = http` as the doctor sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from embedwell.app.checks.service import Check
from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import AUTO
from embedwell.app.models.remote import http_embedder
from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch


def remote_checks(settings: Settings) -> Iterator[Check]:
    """Whether the server answers, with what, and how long one text takes."""
    if not settings.embeddings or settings.model == AUTO:
        why = "embeddings are off" if not settings.embeddings else "`model = auto` names none"
        yield Check("server", ok=True, found=f"not asked: {why}")
        return
    try:
        embedder = http_embedder(settings, Watch())
        try:
            begun = time.perf_counter()
            found = embedder.embed(["hello world"], "query", Watch())
            took_ms = (time.perf_counter() - begun) * 1e3
        finally:
            embedder.close()
    except EmbedwellError as error:
        yield Check("server", ok=False, found=error.problem, remedy=error.remedy)
        return
    space = embedder.space
    yield Check(
        "server",
        ok=True,
        found=f"{found.build}: {space.dimensions} dimensions, {took_ms:.0f} ms for one text",
    )
