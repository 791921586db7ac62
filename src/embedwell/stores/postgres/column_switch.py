"""Putting one column in the place of another, in a transaction that holds the table's lock."""

from __future__ import annotations

from collections.abc import Sequence

from embedwell.stores.postgres import column_statements as sql
from embedwell.stores.postgres.column_parts import IndexCopy, literal_text, suffixed
from embedwell.stores.postgres.column_session import Session
from embedwell.stores.postgres.upgrade import quoted


def put_in_place(session: Session, there: Sequence[IndexCopy], *, keep: bool) -> None:
    """Let the new column be the column, with its default, NOT NULL and names of indexes.

    Args:
        session: In a transaction that holds the lock.
        there: The indexes over the old column, each with its copy over the new one.
        keep: Whether the old one stays beside it; else it is dropped.
    """
    found = session.found
    session.do(sql.DROP_INDEX, index=found.index_name(found.missing))
    _drop_trigger(session, "next")
    if keep:
        _lay_aside(session, found.column, found.old)
        _rename_indexes(session, [(one.name, suffixed(one.name, "__old")) for one in there])
    else:
        session.do(sql.DROP_COLUMN, other=quoted(found.column))
    _rename(session, found.new, found.column)
    _rename_indexes(session, [(one.copy_name, one.name) for one in there])
    _like_before(session)
    move_state(session, {"main": "kept" if keep else "", "next": "main"})


def exchange(session: Session, there: Sequence[IndexCopy], kept: Sequence[IndexCopy]) -> None:
    """Let the column and the one that was kept change places.

    Args:
        session: In a transaction that holds the lock.
        there: The indexes over the column.
        kept: Those over the other one.
    """
    found = session.found
    aside = {one.name for one in kept}
    pairs = [one.name for one in there if suffixed(one.name, "__old") in aside]
    _lay_aside(session, found.column, found.new)
    _rename_indexes(session, [(name, suffixed(name, "__new")) for name in pairs])
    _rename(session, found.old, found.column)
    _rename_indexes(session, [(suffixed(name, "__old"), name) for name in pairs])
    _rename(session, found.new, found.old)
    _rename_indexes(session, [(suffixed(name, "__new"), suffixed(name, "__old")) for name in pairs])
    _like_before(session)
    move_state(session, {"main": "aside", "kept": "main", "aside": "kept"})


def drop_beside(session: Session, role: str, column: str) -> None:
    """Drop a column beside the application's with all that we made for it.

    Args:
        session: In a transaction that holds the lock.
        role: `next` or `kept`.
        column: Its name.
    """
    session.do(sql.DROP_COLUMN, other=quoted(column))
    forget(session, role)


def forget(session: Session, role: str) -> None:
    """Clear away what is left of a column that somebody dropped by hand.

    Args:
        session: In a transaction that holds the lock.
        role: `next` or `kept`.
    """
    _drop_trigger(session, role)
    move_state(session, {role: ""})


def add_trigger(session: Session, role: str, column: str, function: str) -> None:
    """Let whoever changes a text take its vector away.

    Args:
        session: In a transaction that holds the lock.
        role: `next` or `kept`.
        column: The column that has the vector.
        function: Its name, with our schema, quoted.
    """
    body = f"BEGIN NEW.{quoted(column)} := NULL; RETURN NEW; END"
    trigger = quoted(session.found.trigger(role))
    session.do(sql.CREATE_FUNCTION, function=function, body=literal_text(body))
    session.do(sql.CREATE_TRIGGER, function=function, trigger=trigger)
    session.do(sql.ENABLE_TRIGGER, trigger=trigger)


def move_state(session: Session, roles: dict[str, str]) -> None:
    """Give what is known of the columns other roles, in this order; to an empty one: forget it."""
    names = {"table": session.found.oid, "column": session.found.column}
    for role, to in roles.items():
        if to:
            session.rows(sql.DROP_STATE, names | {"role": to})
            session.rows(sql.SET_ROLE, names | {"role": role, "to": to})
        else:
            session.rows(sql.DROP_STATE, names | {"role": role})


def _lay_aside(session: Session, column: str, to: str) -> None:
    """The application does not write it any more, so it must demand nothing."""
    if session.found.is_required:
        session.do(sql.DROP_REQUIRED)
    if session.found.default is not None:
        session.do(sql.DROP_DEFAULT)
    _rename(session, column, to)


def _like_before(session: Session) -> None:
    """The column demands again what the application's did.

    NOT NULL would read the whole table now; a check of it is proven afterwards, beside the writers.
    """
    found = session.found
    if found.default is not None:
        session.do(sql.SET_DEFAULT, default=found.default)
    if found.is_required and not session.value(sql.HAS_CONSTRAINT, [found.oid, found.check]):
        session.do(sql.ADD_CHECK)


def _drop_trigger(session: Session, role: str) -> None:
    name = session.found.trigger(role)
    function = session.value(sql.FUNCTION_OF, [session.found.oid, name])
    if function:
        session.do(sql.DROP_TRIGGER, trigger=quoted(name))
        session.do(sql.DROP_FUNCTION, function=function)


def _rename(session: Session, before: str, after: str) -> None:
    session.do(sql.RENAME_COLUMN, before=quoted(before), after=quoted(after))


def _rename_indexes(session: Session, names: Sequence[tuple[str, str]]) -> None:
    for before, after in names:
        session.do(sql.RENAME_INDEX, index=session.found.index_name(before), to=quoted(after))
