"""How an error is told, and the exit code that it gives."""

from __future__ import annotations

import json
import sys

from embedwell.core.errors import (
    CanaryError,
    DriftError,
    EmbedwellError,
    QueryError,
    SettingsError,
    StoreBusyError,
    TaskCancelledError,
    UnknownModelError,
)

_USAGE = (SettingsError, QueryError, UnknownModelError)


def exit_code(error: EmbedwellError) -> int:
    """The exit code of an error: see `embedwell --help`."""
    if isinstance(error, TaskCancelledError):
        return 130
    if isinstance(error, StoreBusyError):
        return 4
    return 2 if isinstance(error, _USAGE) else 1


def explain(error: EmbedwellError, *, as_json: bool) -> None:
    """Write an error to standard error, as sentences or as JSON."""
    if as_json:
        fields: dict[str, object] = {
            "type": type(error).__name__,
            "problem": error.problem,
            "remedy": error.remedy,
        }
        if isinstance(error, DriftError):
            fields["details"] = error.details
        if isinstance(error, CanaryError):
            fields["report"] = error.report
        sys.stderr.write(json.dumps({"error": fields}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"embedwell: {error.problem}\n  {error.remedy}\n")
