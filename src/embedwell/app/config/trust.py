"""A project's own settings, which may come with a clone, and whether the user consents to them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedwell.app.config.folders import config_folder
from embedwell.core.errors import SettingsError

CONFIG = str(Path(".embedwell/config.toml"))
DOTENV = ".env"
_INDEX = str(Path(".embedwell/index.db"))
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ProjectFile:
    """A file of a project that holds settings, read once: what is judged is what is used.

    Attributes:
        data: Its bytes; empty where there is none.
        place: Where it lies in truth; None where there is none.
        is_inside: Whether that is within the project.
        fault: Why it cannot be used; empty where it can.
    """

    data: bytes = b""
    place: Path | None = None
    is_inside: bool = True
    fault: str = ""


@dataclass(frozen=True)
class Project:
    """A folder's files with settings.

    Attributes:
        folder: The folder, without links.
        files: `.embedwell/config.toml` and `.env`.
    """

    folder: Path
    files: Mapping[str, ProjectFile]

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 by file, over its bytes and over where it lies if that is elsewhere.

        The index counts with its place alone: it changes all the time.
        """
        index = _real(self.folder / _INDEX)
        found = {
            name: _hash(file.data, None if file.is_inside else file.place)
            for name, file in self.files.items()
            if file.place is not None
        }
        if index is not None and not index.is_relative_to(self.folder):
            found[_INDEX] = _hash(b"", index)
        return found


def read_project(folder: Path) -> Project:
    """Read a folder's files with settings; those of other kinds or too large are refused."""
    folder = folder.resolve()
    return Project(folder, {name: _read(folder, name) for name in (CONFIG, DOTENV)})


def is_trusted(project: Project) -> bool:
    """Whether the user has consented to exactly these files at exactly this place."""
    return _records().get(str(project.folder)) == project.fingerprint()


def trust(project: Project) -> None:
    """Remember that the user consents to a folder's files as they are now.

    Raises:
        SettingsError: There is nothing to consent to, or it cannot be remembered.
    """
    fingerprint = project.fingerprint()
    if not fingerprint:
        raise SettingsError(
            f"{project.folder} has neither {CONFIG} nor {DOTENV}.", "Name a folder that has one."
        )
    _write(_records() | {str(project.folder): fingerprint})


def untrust(project: Project) -> bool:
    """Forget the consent to a folder's files; whether there was one.

    Raises:
        SettingsError: It cannot be forgotten.
    """
    records = _records()
    was_there = records.pop(str(project.folder), None) is not None
    if was_there:
        _write(records)
    return was_there


def check_index_inside(file: Path) -> None:
    """Refuse a default index file that a link of the project puts elsewhere, without consent.

    A clone could otherwise have another index of the user's overwritten.

    Args:
        file: `.embedwell/index.db` in a folder.

    Raises:
        SettingsError: It lies out of its folder, and the user has not consented to that.
    """
    folder, place = file.parent.parent.resolve(), _real(file) or file.resolve()
    if place.is_relative_to(folder) or is_trusted(read_project(folder)):
        return
    raise SettingsError(
        f"The index {file} is a link out of its folder, to {place}.",
        f"If that is meant, run `embedwell config trust {folder}` or name it with `--db`.",
    )


def trust_file() -> Path:
    """Where consent is remembered."""
    return config_folder() / "trust.json"


def _read(folder: Path, name: str) -> ProjectFile:
    path = folder / name
    place = _real(path)
    if place is None:
        return ProjectFile()
    is_inside = place.is_relative_to(folder)
    try:
        found = place.stat()
        if name == DOTENV and stat.S_ISDIR(found.st_mode):  # some call a virtual environment so
            return ProjectFile()
        if not stat.S_ISREG(found.st_mode):
            return ProjectFile(b"", place, is_inside, f"{path} is no regular file")
        if found.st_size > _MAX_BYTES:
            return ProjectFile(b"", place, is_inside, f"{path} is larger than {_MAX_BYTES:,} bytes")
        return ProjectFile(place.read_bytes(), place, is_inside)
    except OSError as error:
        return ProjectFile(b"", place, is_inside, f"{path} cannot be read: {error.strerror}")


def _real(path: Path) -> Path | None:
    """Where a path leads; None where nothing is."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
        return None


def _hash(data: bytes, place: Path | None) -> str:
    import hashlib  # noqa: PLC0415 - 3.6 MB, and most folders have no such files

    found = hashlib.sha256(data)
    if place is not None:
        found.update(b"\0" + os.fsencode(place))
    return found.hexdigest()


def _records() -> dict[str, dict[str, str]]:
    try:
        found = json.loads(trust_file().read_text("utf-8"))
    except (OSError, ValueError):  # nothing is trusted then
        return {}
    return found if isinstance(found, dict) else {}


def _write(records: Mapping[str, Mapping[str, str]]) -> None:
    file = trust_file()
    scratch = file.with_name(f".trust-{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(records, indent=1, sort_keys=True), "utf-8")
        scratch.replace(file)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise SettingsError(
            f"{file} cannot be written: {error.strerror}.", "Make its folder writable."
        ) from error
