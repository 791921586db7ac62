"""The service's log: warnings and errors on standard error, as text or as lines of JSON."""

from __future__ import annotations

import json
import logging

logger = logging.getLogger("embedwell.server")
"""Pass `extra={"fields": {...}}` for what a machine should read."""


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        line: dict[str, object] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(*, as_json: bool) -> None:
    """Send warnings and errors of this process to standard error."""
    handler = logging.StreamHandler()
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(text))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
