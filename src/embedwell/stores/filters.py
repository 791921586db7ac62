"""Which documents a filter lets through. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from embedwell.core.errors import QueryError, StoreError
from embedwell.stores.protocol import Document, Filter

# With 4, the worst name of 100 characters takes a fraction of a second; with 10, for ever.
_MOST_STARS = 4
_SHOWN = 60


@lru_cache(maxsize=64)
def path_pattern(glob: str) -> re.Pattern[str]:
    """The expression that a whole key must match.

    `*` and `?` stay inside a folder, `**/` is any number of folders, a last `**` is everything
    below, `[ab]` and `[!ab]` are one character. A glob without `/` is looked for in every folder,
    as in `.gitignore`.
    """
    pattern = glob if "/" in glob or glob == "**" else f"**/{glob}"
    pattern = re.sub(r"\*{3,}", "**", pattern.removeprefix("./").removeprefix("/"))
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
    if part.startswith("[") and part.endswith("]") and part not in {"[]", "[!]"}:
        return _character_class(part)
    return re.escape(part)


def _character_class(part: str) -> str:
    negated = part[1] == "!"
    spans = [
        f"{re.escape(first)}-{re.escape(last)}" if last else re.escape(single)
        for first, last, single in re.findall(r"(.)-(.)|(.)", part[1 + negated : -1], re.DOTALL)
        if first <= last
    ]
    if not spans:  # as `[z-a]`
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{''.join(spans)}]"


def check_filter(where: Filter) -> None:
    """Refuse a filter that cannot be applied.

    Raises:
        QueryError: A metadata value is not JSON, or the path has too many wildcards.
    """
    if where.path and _is_costly(where.path):
        raise QueryError(
            f"The path {where.path[:_SHOWN]!r} has too many wildcards.",
            f"Use at most {_MOST_STARS} `*` in the name of a file or folder, and as many `**`.",
        )
    try:
        metadata_rows(where.metadata)
    except StoreError as error:
        raise QueryError(f"The filter cannot be applied. {error.problem}", error.remedy) from error


def _is_costly(glob: str) -> bool:
    """Whether matching could take time that is exponential in the wildcards."""
    names = re.sub(r"\*{2,}", "", glob).split("/")
    n_deep = len(re.findall(r"\*{2,}", glob))
    return n_deep > _MOST_STARS or any(name.count("*") > _MOST_STARS for name in names)


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
