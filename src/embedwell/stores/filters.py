"""Which documents a filter lets through. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from embedwell.core.errors import QueryError, StoreError
from embedwell.stores.protocol import Document, Filter


@lru_cache(maxsize=64)
def path_pattern(glob: str) -> re.Pattern[str]:
    """The expression that a whole key must match.

    `*` and `?` stay inside a folder, `**/` is any number of folders, a last `**` is everything
    below, `[ab]` and `[!ab]` are one character. A glob without `/` is looked for in every folder,
    as in `.gitignore`.
    """
    pattern = glob if "/" in glob or glob == "**" else f"**/{glob}"
    pattern = pattern.removeprefix("./").removeprefix("/")
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", pattern)
    return re.compile("".join(map(_expression, parts)), re.DOTALL)


def _expression(part: str) -> str:
    match part:
        case "**/":
            return "(?:[^/]*/)*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        negated = part[1] == "!"
        inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", part[2 if negated else 1 : -1])
        return f"(?!/)[{'^' if negated else ''}{inside}]"
    return re.escape(part)


def check_filter(where: Filter) -> None:
    """Refuse a filter that cannot be applied.

    Raises:
        QueryError: The glob has a malformed `[…]`, or a metadata value is not JSON.
    """
    try:
        path_pattern(where.path)
        metadata_rows(where.metadata)
    except (re.error, StoreError) as error:
        raise QueryError(
            f"The filter cannot be applied ({error}).",
            "Check the path's `[…]`, and give metadata as JSON values.",
        ) from error


def canonical(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A JSON value as text that is equal where the values are: sorted keys, 1.0 written 1.

    Raises:
        StoreError: The value is not JSON.
    """
    try:
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"The metadata value {value!r} is not JSON ({error}).",
            "Use strings, finite numbers, true, false, null, lists and mappings of them.",
        ) from error


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return value


def metadata_rows(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and canonical values.

    Raises:
        StoreError: A value is not JSON.
    """
    return [(str(name), canonical(value)) for name, value in metadata.items()]


def lets_through(where: Filter, document: Document) -> bool:
    """Whether a filter lets a document's chunks be found."""
    if where.path and not path_pattern(where.path).fullmatch(document.key):
        return False
    if where.language and where.language != document.language:
        return False
    if where.kind is not None and where.kind != document.kind:
        return False
    have = dict(metadata_rows(document.metadata))
    return all(have.get(name) == value for name, value in metadata_rows(where.metadata))
