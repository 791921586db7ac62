"""Where this user keeps settings and models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

from embedwell.core.errors import SettingsError


def config_folder() -> Path:
    """The user's folder for settings, which need not exist.

    Raises:
        SettingsError: The user has no home folder.
    """
    return _found(user_config_path)


def cache_folder() -> Path:
    """The user's folder for models, which need not exist.

    Raises:
        SettingsError: The user has no home folder.
    """
    return _found(user_cache_path)


def _found(find: Callable[..., Path]) -> Path:
    try:
        return find("embedwell", appauthor=False)
    except RuntimeError as error:  # as in a container, whose user is a bare number
        raise SettingsError(
            "This user has no home folder, where settings and models are kept.",
            "Set HOME to a folder that may be written.",
        ) from error
