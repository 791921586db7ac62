"""Settings read from every source in order: the only reader of the environment."""

from __future__ import annotations

import io
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from embedwell.app.config.folders import config_folder
from embedwell.app.config.place import find_file, shown_target
from embedwell.app.config.rules import PERSONAL, SECRET, TYPES, faults_of, form, refuse
from embedwell.app.config.settings import Settings
from embedwell.app.config.trust import CONFIG, DOTENV, Project, is_trusted, read_project
from embedwell.core.errors import StoreNotFoundError
from embedwell.models.names import FILE

PREFIX = "EMBEDWELL_"
# Names by which applications know the same; ours are stronger.
COMMON = {
    "EMBEDDING_MODEL": "model",
    "CODE_EMBEDDING_MODEL": "code_model",
    "EMBEDDING_DIMENSION": "dimensions",
    "CODE_EMBEDDING_DIMENSION": "code_dimensions",
    "DATABASE_URL": "database_url",
}
# What Kubernetes and Docker set in every container beside a service of that name.
_LINK = re.compile(rf"{PREFIX}(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_\w+)")
_CONSENT = "look at the file, and if you want what it says, run `embedwell config trust`"


@dataclass(frozen=True)
class Configuration:
    """Checked settings, and which source gave each.

    Attributes:
        settings: The values.
        origins: By setting: `default`, a file's path, `environment`, `argument`, or the name of a
            variable that other programs have in common.
    """

    settings: Settings
    origins: Mapping[str, str]


def load(arguments: Mapping[str, Any] | None = None, folder: Path | None = None) -> Configuration:
    """Read all sources: defaults, user file, project file, `.env`, environment, arguments.

    The environment's `EMBEDWELL_` names come after its common ones, see `COMMON`.

    Args:
        arguments: Values given in code or on the command line; None means not given.
        folder: Where the project file and `.env` are looked for; the working directory if None.

    Raises:
        SettingsError: Some values are wrong; the message lists each with its source.
    """
    found, faults = examine(arguments, folder)
    refuse(faults)
    return found


def examine(
    arguments: Mapping[str, Any] | None = None, folder: Path | None = None
) -> tuple[Configuration, list[str]]:
    """The same with what is wrong beside it: whatever is has the value of a weaker source."""
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
                faults.append(f"{name!r} from {origin} is no setting")
                continue
            try:
                values[name] = msgspec.convert(
                    _listed(name, raw), TYPES[name], strict=False, dec_hook=_path
                )
                origins[name] = origin
            except (msgspec.ValidationError, ValueError) as error:
                faults.append(_fault(name, raw, origin, error))
    settings = Settings(**values)
    return Configuration(settings, origins), faults + faults_of(settings)


def personal_in(project: Project) -> dict[str, list[str]]:
    """By file: the settings in a project's files that need the user's consent."""
    faults: list[str] = []
    read = {
        CONFIG: _toml(project.files[CONFIG].data, CONFIG, faults),
        DOTENV: _dotenv(project.files[DOTENV].data, faults, interpolate=False),
    }
    asking = {
        file: sorted(name for name, value in values.items() if _is_personal(name, value))
        for file, values in read.items()
    }
    return {file: names for file, names in asking.items() if names}


def _is_personal(name: str, value: object) -> bool:
    """Whether a setting, or this value of one, needs the user's consent in a project's files."""
    return name in PERSONAL or (isinstance(value, str) and value.startswith(FILE))


def shown(name: str, value: object) -> object:
    """A setting's value as it may be shown: of a secret, only whether it is set."""
    if name in SECRET:
        return "set" if value else None
    return shown_target(value) if name == "db" and isinstance(value, str) else value


def user_file() -> Path:
    """The user's own configuration file, which need not exist."""
    return config_folder() / "config.toml"


def application_database() -> str:
    """The address in `DATABASE_URL`, which belongs to the application that we run beside."""
    return os.environ.get("DATABASE_URL", "")


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
    file = user_file()
    yield str(file), _toml(_bytes(file, faults), str(file), faults)
    yield from _project_sources(read_project(folder), faults)
    for variable, name in COMMON.items():
        value = os.environ.get(variable, "")
        if value and (name != "database_url" or _is_for_indexes(value, folder)):
            yield variable, {name: value}
    yield "environment", _prefixed(os.environ)
    yield "argument", arguments


def _is_for_indexes(address: str, folder: Path) -> bool:
    """Whether an application's database is where the index of a folder lies.

    It may be of another kind, and an index file that is there already goes before it.
    """
    if not address.startswith("postgres"):
        return False
    try:
        find_file(folder)
    except StoreNotFoundError:
        return True
    return False


def _project_sources(
    project: Project, faults: list[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a project's files set; what is personal counts only with the user's consent."""
    personal = personal_in(project)
    outside = [name for name, file in project.files.items() if not file.is_inside]
    consented = bool(personal or outside) and is_trusted(project)
    for name, file in project.files.items():
        if file.fault:
            faults.append(file.fault)
        if name in outside and not consented:
            faults.append(f"{name} is a link out of the project; {_CONSENT}")
            continue
        if name == CONFIG:
            values: Mapping[str, Any] = _toml(file.data, name, faults)
        else:
            values = _dotenv(file.data, faults, interpolate=consented)
        refused = [] if consented else personal.get(name, [])
        if refused:
            faults.append(f"{', '.join(refused)} may not be set by {name}; {_CONSENT}")
        yield name, {k: v for k, v in values.items() if k not in refused}


def _bytes(file: Path, faults: list[str]) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        faults.append(f"{file} cannot be read: {error.strerror}")
        return b""


def _toml(data: bytes, name: str, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except ValueError as error:
        faults.append(f"{name} cannot be read: {error}")
    except RecursionError:
        faults.append(f"{name} cannot be read: it is nested too deeply")
    return {}


def _dotenv(data: bytes, faults: list[str], *, interpolate: bool) -> Mapping[str, str]:
    """Our settings in a `.env`.

    Args:
        data: Its bytes.
        faults: Where it is told that it cannot be read.
        interpolate: Whether `${NAME}` takes the value of a variable: that could be a secret.
    """
    if PREFIX.encode() not in data:
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - only where there is such a file
    from dotenv.parser import parse_stream  # noqa: PLC0415

    try:
        lines = list(parse_stream(io.StringIO(data.decode("utf-8-sig"))))
    except ValueError as error:
        faults.append(f"{DOTENV} cannot be read: {error}")
        return {}
    faults += [
        f"{DOTENV} cannot be read in line {line.original.line}"
        for line in lines
        if line.error and PREFIX in line.original.string
    ]
    good = io.StringIO("".join(line.original.string for line in lines if not line.error))
    found = dotenv_values(stream=good, interpolate=interpolate)
    return _prefixed({name: value for name, value in found.items() if value is not None})


def _prefixed(variables: Mapping[str, str]) -> dict[str, str]:
    """Our variables without their prefix; empty ones count as not set."""
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX) and value and not _is_for_others(name, value)
    }


def _is_for_others(name: str, value: str) -> bool:
    """Whether a variable is the benchmarks', or tells of a service that is called `embedwell`."""
    is_link = _LINK.fullmatch(name) or (name == f"{PREFIX}PORT" and "://" in value)
    return name == f"{PREFIX}DATA" or bool(is_link)


def _fault(name: str, raw: object, origin: str, error: Exception) -> str:
    reason = str(error).lower()
    if "regex" in reason and form(name):
        reason = f"expected {form(name)}"
    elif "enum" in reason and (choices := _choices(TYPES[name])):
        reason = f"expected one of {', '.join(choices)}"
    if isinstance(raw, str) and "@" in raw:  # an address may hold a password
        raw = shown_target(raw)
    value = "" if name in SECRET else f" = {raw!r}"
    return f"{name}{value} from {origin}: {reason}"


def _choices(kind: object) -> list[str]:
    """The texts of the `Literal`s in a type."""
    return [
        text
        for part in get_args(kind)
        for text in ([part] if get_origin(kind) is Literal else _choices(part))
        if isinstance(text, str)
    ]


def _listed(name: str, raw: object) -> object:
    """Lists may be written as one text with commas, as in a variable."""
    if get_origin(get_args(TYPES[name])[0]) is tuple and isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    return raw


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise msgspec.ValidationError(f"expected {kind.__name__}, got {type(value).__name__}")
