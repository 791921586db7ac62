"""What holds for settings: their types, whose they are, and what is wrong with their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_type_hints

from msgspec import Meta

from embedwell.app.config.settings import Settings
from embedwell.core.errors import SettingsError

# sun_path holds 104 bytes where it is shortest, the last of them zero.
_MAX_SOCKET_BYTES = 103

TYPES = get_type_hints(Settings, include_extras=True)


def meta(name: str) -> Meta:
    """What is known of a setting: its description, its limits, whether it is personal."""
    found: Meta = TYPES[name].__metadata__[0]
    return found


def form(name: str) -> str:
    """What a setting's values look like, where a pattern says it; else empty."""
    return str((meta(name).extra or {}).get("form", ""))


def faults_of(settings: Settings) -> list[str]:
    """What is wrong with values that are each of the right type and form."""
    faults = []
    size = len(str(settings.socket or "").encode("utf-8", "replace"))
    if size > _MAX_SOCKET_BYTES:
        faults.append(
            f"socket has {size} bytes, and the path of a Unix socket may have {_MAX_SOCKET_BYTES}"
        )
    lengths = settings.dimensions, settings.code_dimensions
    if settings.code_model and all(lengths) and lengths[0] != lengths[1]:
        faults.append(
            f"dimensions is {lengths[0]} and code_dimensions {lengths[1]}: one index must hold "
            "both, so set them alike, or one of them alone; an index that was made otherwise goes "
            "over by a migration (`embedwell migrate`)"
        )
    return faults


def refuse(faults: Sequence[str]) -> None:
    """Refuse settings with faults.

    Raises:
        SettingsError: There are some; the message lists them.
    """
    if faults:
        number = f"{len(faults)} settings are" if len(faults) > 1 else "A setting is"
        raise SettingsError(
            f"{number} wrong: {'; '.join(faults)}.",
            "`embedwell config` shows what each means and where it was set.",
        )


# A project's checked-in files must not point outside of the project, run anything or name an
# address: these are a person's own, unless the person trusts the project.
PERSONAL = frozenset(name for name in TYPES if (meta(name).extra or {}).get("personal"))
SECRET = frozenset(name for name in TYPES if (meta(name).extra or {}).get("secret"))
