"""Settings read from every source in order: the only reader of the environment."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from platformdirs import user_config_path

from embedwell.app.settings import PERSONAL, TYPES, Settings
from embedwell.core.errors import SettingsError

PREFIX = "EMBEDWELL_"
PROJECT_FILE = Path(".embedwell/config.toml")


@dataclass(frozen=True)
class Configuration:
    """Checked settings, and which source gave each.

    Attributes:
        settings: The values.
        origins: By setting: `default`, a file's path, `environment` or `argument`.
    """

    settings: Settings
    origins: Mapping[str, str]


def load(arguments: Mapping[str, Any] | None = None, folder: Path | None = None) -> Configuration:
    """Read all sources: defaults, user file, project file, `.env`, environment, arguments.

    Args:
        arguments: Values given in code or on the command line; None means not given.
        folder: Where the project file and `.env` are looked for; the working directory if None.

    Raises:
        SettingsError: Some values are wrong; the message lists each with its source.
    """
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in (arguments or {}).items()
        if value is not None
    }
    values: dict[str, Any] = {}
    origins = dict.fromkeys(TYPES, "default")
    faults: list[str] = []
    for origin, source in _sources(folder or Path.cwd(), given, faults):
        for name, raw in source.items():
            if name not in TYPES:
                faults.append(f"'{name}' from {origin} is no setting")
                continue
            try:
                values[name] = msgspec.convert(
                    _listed(name, raw), TYPES[name], strict=False, dec_hook=_path
                )
                origins[name] = origin
            except msgspec.ValidationError as error:
                faults.append(f"{name} = {raw!r} from {origin}: {str(error).lower()}")
    if faults:
        raise SettingsError(
            f"{len(faults)} settings are wrong: {'; '.join(faults)}.",
            "Mend them; `embedwell config` shows what is allowed.",
        )
    return Configuration(Settings(**values), origins)


def user_file() -> Path:
    """The user's own configuration file, which need not exist."""
    return user_config_path("embedwell", appauthor=False) / "config.toml"


def environment_for(settings: Settings) -> dict[str, str]:
    """Environment for a service that is started on behalf of this process.

    It serves the same cache at the same socket, and at no TCP port: whoever wants that one starts
    the service as such.
    """
    found = dict(os.environ)
    for name in ("cache", "socket", "model_files"):
        place = getattr(settings, name)
        if place is not None:
            found[f"{PREFIX}{name.upper()}"] = str(place.absolute())
    if hasattr(socket, "AF_UNIX"):
        found[f"{PREFIX}PORT"] = "0"
    return found


def _sources(
    folder: Path, arguments: Mapping[str, Any], faults: list[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Origin and values of each source, the weakest first."""
    yield str(user_file()), _toml(user_file(), faults)
    project = _toml(folder / PROJECT_FILE, faults)
    faults += [
        f"{name} may not be set by {PROJECT_FILE}, set it for yourself"
        for name in sorted(PERSONAL & project.keys())
    ]
    yield str(PROJECT_FILE), {k: v for k, v in project.items() if k not in PERSONAL}
    yield ".env", _prefixed(_dotenv(folder / ".env"))
    yield "environment", _prefixed(os.environ)
    yield "argument", arguments


def _toml(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        faults.append(f"{file} cannot be read: {error}")
        return {}


def _dotenv(file: Path) -> Mapping[str, str]:
    if not file.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - only where there is such a file

    return {name: value for name, value in dotenv_values(file).items() if value is not None}


def _prefixed(variables: Mapping[str, str]) -> dict[str, str]:
    """Our variables without their prefix; empty ones count as not set."""
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX) and value and name != f"{PREFIX}DATA"
    }


def _listed(name: str, raw: object) -> object:
    """Lists may be written as one text with commas, as in a variable."""
    if get_origin(get_args(TYPES[name])[0]) is tuple and isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    return raw


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise msgspec.ValidationError(f"expected {kind.__name__}, got {type(value).__name__}")
