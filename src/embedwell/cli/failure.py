"""How an error is told, and the exit code that it gives."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping

import click

from embedwell.cli.output import harmless, write_json
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

_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_PLACE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
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
    fields: dict[str, object] = {
        "type": type(error).__name__,
        "problem": error.problem,
        "remedy": error.remedy,
    }
    if isinstance(error, DriftError):
        fields["details"] = error.details
    if isinstance(error, CanaryError):
        fields["report"] = error.report
    explain_fields(fields, as_json=as_json)


def explain_fields(fields: Mapping[str, object], *, as_json: bool) -> None:
    """The same for an error of another process: `type`, `problem`, `remedy` and what is known."""
    if as_json:
        write_json({"error": fields}, sys.stderr)
    else:
        sys.stderr.write(harmless(f"embedwell: {fields['problem']}\n  {fields['remedy']}\n"))


def explain_usage(error: click.ClickException, *, as_json: bool) -> int:
    """Write what is wrong with the words of a call to standard error.

    Returns:
        The exit code.
    """
    if as_json:
        called = getattr(error, "ctx", None)
        path = called.command_path if called else "embedwell"
        fields = {
            "type": "UsageError",
            "problem": error.format_message(),
            "remedy": f"See `{path} --help`.",
        }
        explain_fields(fields, as_json=True)
    else:
        error.show()
    return error.exit_code


def explain_system(error: OSError, *, as_json: bool) -> int:
    """Write what the system refuses to standard error, unless a reader has only seen enough.

    Returns:
        The exit code.

    Raises:
        OSError: The same, where it is nothing that a user could mend.
    """
    if isinstance(error, BrokenPipeError):  # as with `| head`
        return 1
    if error.errno in _DISK_FAULTS:
        problem = f"What was computed cannot be written: {error.strerror}."
        remedy = "Make room there, or write elsewhere."
    elif error.errno in _RIGHTS | _NO_PLACE and error.filename:
        problem = f"{error.filename} cannot be used: {error.strerror}."
        remedy = "Check it and the folders above it, and their permissions, or name another place."
    elif error.errno == errno.ENOENT:
        problem = "The folder that this was called in is no longer there."
        remedy = "Change to one that is."
    else:
        raise error
    explain(EmbedwellError(problem, remedy), as_json=as_json)
    return 1
