"""A column of vectors in an application's own table in PostgreSQL; see `stores.columns`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Literal

import numpy as np

from embedwell.core.errors import MigrationError, StoreError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray
from embedwell.stores.columns import (
    ColumnFacts,
    ColumnPlace,
    ColumnRow,
    ColumnSpace,
    EmbedRows,
    Switched,
)
from embedwell.stores.postgres import column_catalog as catalog
from embedwell.stores.postgres import column_state as state
from embedwell.stores.postgres import column_statements as sql
from embedwell.stores.postgres.column_parts import (
    IndexCopy,
    literal_text,
    parts_of,
)
from embedwell.stores.postgres.column_session import Session
from embedwell.stores.postgres.column_switch import (
    add_trigger,
    drop_beside,
    exchange,
    forget,
    put_in_place,
)
from embedwell.stores.postgres.database import Row, connect
from embedwell.stores.postgres.embedded import address_of
from embedwell.stores.postgres.faults import faults_named
from embedwell.stores.postgres.upgrade import adopt, quoted, search_path_text
from embedwell.stores.postgres.vectors import literal
from embedwell.stores.spaces import Reference

# Embedded while the application waits: a fraction of a second with a small model.
_MOST_UNDER_LOCK = 16
# A sample of larger tables is taken from some of their pages.
_SAMPLED_ROWS = 20_000
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
# Copies of a text and rounding make distances equal that are not quite.
_TINY = 1e-5


class PostgresColumn:
    """One column; see `stores.columns.ColumnStore`.

    Args:
        target: The address of the database.
        place: The column, as a person named it.

    Raises:
        SettingsError: The address is not understood.
        MissingExtraError: The driver is not installed.
        MigrationError: There is no such table or column, or it is of another kind.
        StoreError: The database cannot be reached, or does not let us look.
    """

    def __init__(self, target: str, place: ColumnPlace) -> None:
        address = address_of(target)
        self._names = address.names
        self._stack = ExitStack()
        try:
            connection = self._stack.enter_context(connect(address))
            with faults_named(address.shown):
                table = catalog.find_table(connection, place.table)
                connection.execute(search_path_text(self._names, local=False))
                self._has_state = state.is_there(connection, self._names)
                texts = state.texts_of(connection, table[0], place) if self._has_state else ()
                self._found = catalog.find(connection, table, place, texts)
        except BaseException:
            self.close()
            raise
        found = self._found
        self._shown = f"{found.schema}.{found.table}.{found.column} in {address.shown}"
        self._session = Session(
            connection, found, parts_of(found, found.kind), self._shown, address.shown
        )

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        return self._shown

    @property
    def is_indexed(self) -> bool:
        """Whether a search of the column reads an index, and not the whole table."""
        return any(index.operator for index in self._indexes())

    def locked(self) -> AbstractContextManager[None]:
        """Keep other migrations of this column out."""
        return self._session.locked()

    def facts(self, dimensions: int) -> ColumnFacts:
        """Look at what is there; nothing is written."""
        found, session = self._found, self._session
        with faults_named(self._shown):
            catalog.check_table(session.connection, found)
            there = self._indexes()
            catalog.check_indexes(found, there)
            triggers = catalog.triggers(session.connection, found)
            numbers = catalog.numbers(session.connection, found.oid)
        if not found.texts:
            raise MigrationError(
                "No column with the texts is named.", "Name it: `--text COLUMN[,COLUMN…]`."
            )
        self._check_default(dimensions)
        n_rows, n_with_text, n_missing, n_losing = session.rows(sql.COUNTS)[0]
        if found.new in numbers:
            n_missing = self.n_missing()
        size = session.rows(sql.TABLE, [found.oid])[0][7]
        return ColumnFacts(
            table=found.full_table,
            column=quoted(found.column),
            kind=found.kind,
            dimensions=found.dimensions,
            is_required=found.is_required,
            n_rows=n_rows,
            n_with_text=n_with_text,
            n_missing=n_missing,
            n_losing=n_losing,
            row_bytes=size / n_rows if n_rows else 0.0,
            index_bytes=sum(index.n_bytes for index in there),
            indexes=tuple(index.definition for index in there),
            triggers=triggers,
            has_kept=found.old in numbers,
        )

    def spaces(self) -> list[ColumnSpace]:
        """What is known of the column, of the new one and of the one that was kept."""
        if not self._has_state:
            return []
        found = self._found
        there = self._numbers()
        columns = {"main": found.column, "next": found.new, "kept": found.old}
        rows = self._session.rows(sql.STATE, [found.oid, found.column])
        return [state.space_of(row) for row in rows if columns.get(row[1]) in there]

    def sample(self, n: int) -> list[ColumnRow]:
        """At most n rows that have a text, spread over the table."""
        n_rows = self._session.rows(sql.TABLE, [self._found.oid])[0][8]
        percent = min(100.0, 100 * _SAMPLED_ROWS / max(n_rows, 1))
        rows = self._session.rows(sql.SAMPLE, {"percent": percent, "n": n})
        if not rows:  # the server's estimate is an old one
            rows = self._session.rows(sql.SAMPLE, {"percent": 100.0, "n": n})
        return [self._row(row) for row in rows]

    def begin(self, space: Space, artifact: str, watch: Watch) -> ColumnSpace:
        """Add the new column, and see to it that changed texts lose their vector in it."""
        found, session = self._found, self._session
        if found.new in self._numbers():
            raise MigrationError(
                f"{found.full_table} has a column '{found.new}' that is not ours.",
                "Drop or rename it first.",
            )
        with faults_named(self._shown):
            adopt(session.connection, self._names)
        session.do(sql.CREATE_STATE)
        self._has_state = True
        names = [found.column, space.to_json(), artifact, list(found.texts)]

        def add() -> None:
            forget(session, "next")
            number = session.value(sql.ADD_STATE, [found.oid, *names])
            session.do(sql.ADD_COLUMN, type=f"{found.kind}({space.dimensions})")
            self._copy_manners()
            add_trigger(session, "next", found.new, self._function("next", number))

        session.briefly(add, watch)
        return next(one for one in self.spaces() if one.role == "next")

    def refer(self, number: int, reference: Reference) -> Reference:
        """Set the reference of a space that has none; gives the one that it has now."""
        blob = np.asarray(reference.vectors, "<f4").tobytes()
        row = (reference.probes, blob, reference.build.to_json(), number)
        self._session.rows(sql.REFER, row)
        kept = next((one.reference for one in self.spaces() if one.number == number), None)
        return kept or reference

    def n_missing(self) -> int:
        """Rows that need a vector in the new column and have none."""
        return int(self._session.value(sql.N_MISSING, other=self._session.parts["new"]))

    def missing(self, after: tuple[str, ...] | None, n: int) -> list[ColumnRow]:
        """The first n of them in the order of the key, beyond a row's."""
        parameters: dict[str, Any] = {"n": n}
        if after is None:
            rows = self._session.rows(sql.FIRST_MISSING, parameters)
        else:
            parameters |= {f"embedwell_key_{at}": value for at, value in enumerate(after)}
            rows = self._session.rows(sql.MISSING, parameters)
        return [self._row(row) for row in rows]

    def fill(self, rows: Sequence[ColumnRow], vectors: FloatArray) -> int:
        """Write vectors of rows whose text is still the same; who holds a row is not waited for."""
        if not rows:
            return 0
        lists: dict[str, list[str | None]] = {"embedwell_vector": [literal(one) for one in vectors]}
        for at in range(len(rows[0].key)):
            lists[f"embedwell_key_{at}"] = [row.key[at] for row in rows]
        for at in range(len(rows[0].pieces)):
            lists[f"embedwell_text_{at}"] = [row.pieces[at] for row in rows]
        return self._session.change(sql.FILL, lists)

    def build_indexes(self, watch: Watch) -> None:
        """Build what is not there yet of the indexes over the new column, beside the writers."""
        there = self._indexes()
        catalog.check_indexes(self._found, there)
        self._build(self._found.missing, sql.CREATE_MISSING_INDEX, watch)
        for at, one in enumerate(there):
            watch.progress("index", at, len(there), "indexes")
            self._build(one.copy_name, sql.CREATE_INDEX, watch, **one.parts)

    def finds(self, row: ColumnRow, vector: FloatArray, k: int) -> bool:
        """Whether a search for a vector in the new column gives a row among the first k."""
        session = self._session
        operator = next((one.operator for one in self._indexes() if one.operator), "<=>")
        given: dict[str, Any] = {"vector": literal(vector), "n": k}
        given |= {f"embedwell_key_{at}": value for at, value in enumerate(row.key)}
        given |= {f"embedwell_text_{at}": value for at, value in enumerate(row.pieces)}
        own = session.value(sql.DISTANCE, given, operator=operator)
        if own is None:  # changed or gone since it was read
            return True
        found = session.rows(sql.NEAREST, given, operator=operator)
        if any(tuple(one[:-1]) == row.key for one in found):
            return True
        return len(found) == k and abs(found[-1][-1] - own) <= _TINY  # so many copies of it

    def switch(self, embed: EmbedRows, watch: Watch, *, keep: bool) -> Switched | None:
        """Put the new column in the place of the old one, in one short transaction."""

        def act() -> int | None:
            rows = self.missing(None, _MOST_UNDER_LOCK + 1)
            there = self._indexes()
            if len(rows) > _MOST_UNDER_LOCK or not all(map(self._is_copied, there)):
                return None
            if rows and self.fill(rows, embed(rows)) < len(rows):
                return None
            put_in_place(self._session, there, keep=keep)
            if keep:
                number = next(one.number for one in self.spaces() if one.role == "main")
                function = self._function("kept", number)
                add_trigger(self._session, "kept", self._found.old, function)
            return len(rows)

        n_filled, locked_s = self._session.briefly(act, watch)
        return None if n_filled is None else Switched(n_filled, locked_s)

    def finish(self, watch: Watch) -> None:
        """Do what is left after a switch that was killed: make the column NOT NULL again."""
        session, found = self._session, self._found
        if not session.value(sql.HAS_CONSTRAINT, [found.oid, found.check]):
            return
        session.do(sql.VALIDATE_CHECK)  # nobody is kept from writing by it

        def act() -> None:
            session.do(sql.SET_REQUIRED)
            session.do(sql.DROP_CHECK)

        session.briefly(act, watch)

    def roll_back(self, watch: Watch) -> None:
        """Exchange the column and the one that was kept."""
        found, session = self._found, self._session
        there = self._numbers()
        if found.old not in there:
            raise MigrationError(
                f"No earlier vectors of {self._shown} were kept.", "Migrate back with `--to MODEL`."
            )
        if found.new in there:
            raise MigrationError(
                f"A migration of {self._shown} was begun.", "Give it up first: `--drop next`."
            )
        with faults_named(self._shown):
            catalog.check_table(session.connection, found)
        old = quoted(found.old)
        self._build(found.missing, sql.CREATE_MISSING_INDEX, watch, new=old)

        def act() -> None:
            if missing := session.value(sql.N_MISSING, other=old):
                raise MigrationError(
                    f"{missing:,} rows were written since and have no earlier vector.",
                    "Migrate back with `--to MODEL`.",
                )
            session.do(sql.DROP_INDEX, index=found.index_name(found.missing))
            kept = catalog.indexes(session.connection, found, there[found.old])
            exchange(session, self._indexes(), kept)

        try:
            session.briefly(act, watch)
        finally:
            session.do(sql.DROP_INDEX_BESIDE, index=found.index_name(found.missing))
        self.finish(watch)

    def drop(self, role: Literal["next", "kept"], watch: Watch) -> None:
        """Drop the new column of a migration that was begun, or the one that was kept."""
        column = self._found.new if role == "next" else self._found.old
        if column not in self._numbers() or not self.spaces():
            raise MigrationError(
                f"No migration of {self._shown} was begun."
                if role == "next"
                else f"No earlier vectors of {self._shown} were kept.",
                "Look at the columns of the table.",
            )
        self._session.briefly(lambda: drop_beside(self._session, role, column), watch)

    def close(self) -> None:
        """Close the connection."""
        self._stack.close()

    def _indexes(self) -> list[IndexCopy]:
        number = self._numbers()[self._found.column]
        new = [one.space.dimensions for one in self.spaces() if one.role == "next"]
        with faults_named(self._shown):
            return catalog.indexes(self._session.connection, self._found, number, *new[:1])

    def _numbers(self) -> dict[str, int]:
        with faults_named(self._shown):
            return catalog.numbers(self._session.connection, self._found.oid)

    def _row(self, row: Row) -> ColumnRow:
        n_keys = len(self._found.key)
        return ColumnRow(tuple(row[:n_keys]), tuple(row[n_keys:]))

    def _function(self, role: str, number: int) -> str:
        return f"{quoted(self._names.schema)}.{quoted(f'forget_{role}_{number}')}"

    def _check_default(self, dimensions: int) -> None:
        """Refuse a default that the new column could not have."""
        default = self._found.default
        if default is None:
            return
        cast = f"SELECT ({{default}})::{self._found.kind}({dimensions})"
        try:
            self._session.do(cast, default=default)
        except StoreError as error:
            raise MigrationError(
                f"The default of column '{self._found.column}' is no vector of {dimensions} "
                f"dimensions: {default}.",
                "Drop it first: ALTER TABLE … ALTER COLUMN … DROP DEFAULT.",
            ) from error

    def _copy_manners(self) -> None:
        """Let the new column be stored, granted and described as the old one."""
        found, session = self._found, self._session
        if found.storage is not None:
            session.do(sql.STORE_AS, storage=_STORAGE[found.storage])
        if found.comment is not None:
            session.do(sql.COMMENT, comment=literal_text(found.comment))
        for right, role, may_grant in session.rows(sql.RIGHTS, [found.oid, found.number]):
            option = "WITH GRANT OPTION" if may_grant else ""
            session.do(sql.GRANT, right=right, role=role, option=option)

    def _build(self, name: str, template: str, watch: Watch, **more: str) -> None:
        """Build an index that is not there; what a killed one left is dropped before."""
        is_whole = self._session.value(sql.INDEX_STATE, [self._found.oid, name])
        if is_whole:
            return
        index = self._found.index_name(name)
        if is_whole is False:
            self._session.do(sql.DROP_INDEX_BESIDE, index=index)
        self._session.do_beside(watch, template, index=quoted(name), **more)

    def _is_copied(self, index: IndexCopy) -> bool:
        return bool(self._session.value(sql.INDEX_STATE, [self._found.oid, index.copy_name]))
