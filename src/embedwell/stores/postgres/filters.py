"""A filter as conditions in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from embedwell.stores.filters import check_filter, metadata_rows, path_pattern
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.texts import to_stored
from embedwell.stores.values import Filter

_NEVER_IN_PYTHON, _NEVER_IN_POSTGRES = "(?!)", "(?!.*)"


@dataclass(frozen=True)
class Conditions:
    """What a filter adds to a statement.

    Attributes:
        text: Conditions over `documents`, each with AND before it; empty for none.
        values: Their parameters by name, with the collection's.
    """

    text: str
    values: dict[str, Any]


def conditions(where: Filter, collection: int) -> Conditions:
    """The conditions of a filter.

    Raises:
        QueryError: A metadata value is not JSON.
    """
    check_filter(where)
    texts: list[str] = []
    values: dict[str, Any] = {"collection": collection}

    def add(statement: str, **given: str) -> None:
        name = f"filter_{len(texts)}"
        texts.append(statement.format(name=name))
        values.update({f"{name}{ending}": to_stored(value) for ending, value in given.items()})

    if where.path:
        add(statements.IF_PATH, **{"": path_expression(where.path)})
    if where.language:
        add(statements.IF_LANGUAGE, **{"": where.language})
    if where.kind is not None:
        add(statements.IF_KIND, **{"": where.kind})
    for name, value in metadata_rows(where.metadata):
        add(statements.IF_METADATA, **{"": name, "_value": value})
    return Conditions(" ".join(texts), values)


def path_expression(glob: str) -> str:
    """The regular expression of PostgreSQL that lets through the same keys as `path_pattern`."""
    pattern = path_pattern(glob).pattern.replace(_NEVER_IN_PYTHON, _NEVER_IN_POSTGRES)
    return f"^(?:{pattern})$"
