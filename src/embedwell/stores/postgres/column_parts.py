"""What stands for a column of an application in SQL: names and expressions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedwell.stores.postgres.upgrade import quoted

_MOST_NAME_BYTES = 63  # PostgreSQL cuts longer names off
_OPERATORS = {"cosine": "<=>", "l2": "<->", "ip": "<#>", "l1": "<+>"}


@dataclass(frozen=True)
class Found:
    """A column as the catalogue has it. Names are as they are, unless they are said to be quoted.

    Attributes:
        oid: Of its table.
        schema: Of its table.
        table: Its table.
        column: Its name.
        number: Its number in the table.
        kind: `vector` or `halfvec`.
        dimensions: None where it takes any.
        is_required: NOT NULL.
        default: Its default, as SQL; None without one.
        storage: Where it was set to something else than the type's own: one letter.
        comment: What its owner wrote about it.
        key: Name and type of each column of the key.
        texts: The columns that are embedded.
    """

    oid: int
    schema: str
    table: str
    column: str
    number: int
    kind: str
    dimensions: int | None
    is_required: bool
    default: str | None
    storage: str | None
    comment: str | None
    key: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]

    @property
    def full_table(self) -> str:
        """The table with its schema, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @property
    def new(self) -> str:
        """The column that is filled."""
        return suffixed(self.column, "__new")

    @property
    def old(self) -> str:
        """The column that is kept."""
        return suffixed(self.column, "__old")

    @property
    def check(self) -> str:
        """The check that stands for NOT NULL until that is proven."""
        return suffixed(f"embedwell_filled_{self.column}", "")

    @property
    def missing(self) -> str:
        """The index over the rows that need a vector."""
        return f"embedwell_missing_{self.oid}_{self.number}"

    def trigger(self, role: str) -> str:
        """What takes the vectors of changed texts away: by its name the last one that runs."""
        return suffixed(f"~embedwell_{role}_{self.column}", "")

    def index_name(self, name: str) -> str:
        """An index of the table, with its schema, quoted."""
        return f"{quoted(self.schema)}.{quoted(name)}"


@dataclass(frozen=True)
class IndexCopy:
    """An index over the column, and how the same is made over the new one.

    Attributes:
        name: Of the one that is there.
        copy_name: Of the new one, until it takes the other's place.
        definition: Of the one that is there.
        n_bytes: What it takes.
        parts: For `CREATE_INDEX`; empty where it cannot be made by itself.
        operator: What it finds the nearest by; empty where a search of the column does not use it.
    """

    name: str
    copy_name: str
    definition: str
    n_bytes: int
    parts: Mapping[str, str]
    operator: str


def parts_of(found: Found, kind_and_size: str) -> dict[str, str]:
    """What the templates of `column_statements` name.

    Args:
        found: The column.
        kind_and_size: The new column's type, such as `halfvec(384)`.
    """
    keys = [quoted(name) for name, _ in found.key]
    texts = [quoted(name) for name in found.texts]
    given = [f"embedwell_key_{n}" for n in range(len(keys))]
    pieces = [f"embedwell_text_{n}" for n in range(len(texts))]
    joined = " || ".join(f"coalesce({text}::text, '')" for text in texts)
    has_text = f"btrim({joined}) <> ''" if texts else "true"
    names = [*given, *pieces, "embedwell_vector"]
    return {
        "table": found.full_table,
        "column": quoted(found.column),
        "new": quoted(found.new),
        "type": kind_and_size,
        "keys": ", ".join(keys),
        # With names of their own, or ORDER BY would take these texts for the key.
        "key_texts": ", ".join(
            f"{key}::text AS {name}" for key, name in zip(keys, given, strict=True)
        ),
        "piece_texts": ", ".join(
            f"{text}::text AS {name}" for text, name in zip(texts, pieces, strict=True)
        ),
        "has_text": has_text,
        "needs_vector": "true" if found.is_required else has_text,
        "after": ", ".join(
            f"%({name})s::{kind}" for name, (_, kind) in zip(given, found.key, strict=True)
        ),
        "given_names": ", ".join(names),
        "given_values": ", ".join(f"%({name})s::text[]" for name in names),
        "given_row": ", ".join(f"%({name})s::text AS {name}" for name in names[:-1]),
        "same_key": " AND ".join(
            f"t.{key} = given.{name}::{kind}"
            for key, name, (_, kind) in zip(keys, given, found.key, strict=True)
        ),
        "same_texts": " AND ".join(
            f'(t.{text}::text COLLATE "C") IS NOT DISTINCT FROM (given.{name} COLLATE "C")'
            for text, name in zip(texts, pieces, strict=True)
        )
        or "true",
        "text_changed": " OR ".join(
            f'(OLD.{text}::text COLLATE "C") IS DISTINCT FROM (NEW.{text}::text COLLATE "C")'
            for text in texts
        ),
        "check": quoted(found.check),
        "missing": quoted(found.missing),
    }


def filled_in(template: str, parts: Mapping[str, str], *, has_parameters: bool) -> str:
    """A statement for one column.

    Args:
        template: One of `column_statements`.
        parts: See `parts_of`; those with parameters of their own stay as they are.
        has_parameters: Whether the driver looks for parameters: a percent sign of a name is
            doubled then.
    """
    if not has_parameters:
        return template.format(**parts)
    own = {"after", "given_values", "given_row"}
    return template.format(
        **{name: text if name in own else text.replace("%", "%%") for name, text in parts.items()}
    )


def suffixed(name: str, suffix: str) -> str:
    """A name with something behind it, short enough for PostgreSQL."""
    room = _MOST_NAME_BYTES - len(suffix.encode())
    return name.encode()[:room].decode(errors="ignore") + suffix


def literal_text(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def spellings(given: str) -> list[str]:
    """What a name that a person wrote may mean: itself, without its quotes, in small letters."""
    unquoted = given[1:-1].replace('""', '"') if re.fullmatch(r'".+"', given, re.DOTALL) else None
    return [given, unquoted if unquoted is not None else given.lower()]


def full_spellings(given: str) -> list[str]:
    """The same for a table's name, which may have its schema's before it."""
    halves = re.fullmatch(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', given)
    if halves is None:
        return spellings(given)
    schema, table = spellings(halves[1])[1], spellings(halves[2])[1]
    return [given, f"{schema}.{table}"]


def index_copy(row: Sequence[Any], found: Found, number: int, dimensions: int) -> IndexCopy:
    """How an index is made over the new column.

    Args:
        row: Of `column_statements.INDEXES`.
        found: The column.
        number: Its number as of now.
        dimensions: The new length.
    """
    oid, name, _, method, only, key, schema, operators, options, where, text, space, size = row
    column = f"(?:{re.escape(found.column)}|{re.escape(quoted(found.column))})"
    cast = re.fullmatch(rf"\(?\(*{column}\)*::(halfvec|vector)\(\d+\)\)?", key)
    is_plain = only == number
    expression = quoted(found.new) if is_plain else ""
    if not is_plain and cast and only == 0:
        expression = f"(({quoted(found.new)})::{cast[1]}({dimensions}))"
    if where and re.fullmatch(rf"\(*{column} IS NOT NULL\)*", where):
        where = f"{quoted(found.new)} IS NOT NULL"
    elif where and found.column in where:
        expression = ""
    distance = next((sign for word, sign in _OPERATORS.items() if f"_{word}_" in operators), "")
    parts = {
        "method": quoted(method),
        "expression": expression,
        "operators": f"{schema}.{quoted(operators)}",
        "options": f"WITH ({', '.join(map(_option, options))})" if options else "",
        "space": f"TABLESPACE {quoted(space)}" if space else "",
        "where": f"WHERE {where}" if where else "",
    }
    return IndexCopy(
        name,
        f"embedwell_{oid}",
        text,
        size,
        parts if expression else {},
        distance if is_plain and not where and method in {"hnsw", "ivfflat"} else "",
    )


def _option(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{quoted(name)} = {literal_text(value)}"
