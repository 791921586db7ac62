"""Removing rows of the queue with their documents, or saying what that would take away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedwell.stores.postgres import purge_statements, statements
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.queue import Purged

# Those that other tables of ours are a part of, for people.
_UNTOLD = {"document_metadata", "lexical"}


@dataclass(frozen=True)
class Plan:
    """What a purge takes away.

    Attributes:
        purged: How much, for people.
        is_all: Whether that is everything.
        spaces: Numbers of the spaces.
        taken: Ids by kind: `rows` of the queue, `documents`, `sources`, `runs`; none where it is
            everything.
    """

    purged: Purged
    is_all: bool
    spaces: Sequence[int]
    taken: Mapping[str, Sequence[int]]

    @property
    def tables(self) -> list[str]:
        """Names of the tables that it takes rows of, in the order in which they are locked."""
        names = [*purge_statements.TAKEN]
        at = purge_statements.N_BEFORE_VECTORS
        names[at:at] = [of_space("{vectors}", number) for number in self.spaces]
        return names


def plan_of(database: Database, meant: Mapping[str, Any]) -> Plan:
    """What is to be removed, as of the transaction or snapshot that is under way.

    Args:
        database: Where.
        meant: `collection`, and what restricts: `source`, `run`, `statuses`.
    """
    spaces = [
        number for (number,) in database.rows(purge_statements.SPACES, (meant["collection"],))
    ]
    is_all = not (meant["source"] or meant["run"] or meant["statuses"])
    taken = {} if is_all else _taken(database, meant)
    plan = Plan(Purged({}, 0), is_all, spaces, taken)
    return Plan(_told(database, plan), is_all, spaces, taken)


def gone(touched: Iterable[int], there: Mapping[int, int], taken: Mapping[int, int]) -> list[int]:
    """Which sources or runs have nothing left.

    Args:
        touched: Those that were named, or that lose something.
        there: How much each has.
        taken: How much each loses.
    """
    return sorted(one for one in set(touched) if one in there and there[one] <= taken.get(one, 0))


def carry_out(database: Database, plan: Plan) -> None:
    """Remove what is planned, in the transaction in which it was planned."""
    if plan.is_all:
        _empty(database, plan)
        return
    database.rows(purge_statements.LOCK_ROWS, (plan.taken["rows"],))
    database.rows(purge_statements.LOCK_DOCUMENTS, (plan.taken["documents"],))
    for statement in purge_statements.DELETE:
        database.change(statement, dict(plan.taken))


def give_back(database: Database, plan: Plan) -> None:
    """Make the room of what was deleted free for new rows; a truncated table is empty already."""
    if not plan.is_all:
        database.change(f"{statements.VACUUM} {', '.join(plan.tables)}")


def _taken(database: Database, meant: Mapping[str, Any]) -> dict[str, list[int]]:
    here = (meant["collection"],)
    values = {**meant, "is_whole": not (meant["run"] or meant["statuses"])}
    rows = database.rows(purge_statements.ROWS, values)
    documents = database.rows(purge_statements.DOCUMENTS, values)
    named = [number for (number,) in database.rows(purge_statements.NAMED_SOURCE, values)]
    of_sources = Counter(row[1] for row in (*rows, *documents))
    of_runs = Counter(row[2] for row in rows)
    sources: dict[int, int] = dict(database.rows(purge_statements.OF_SOURCES, here))
    runs: dict[int, int] = dict(database.rows(purge_statements.OF_RUNS, here))
    return {
        "rows": [row[0] for row in rows],
        "documents": [row[0] for row in documents],
        "sources": gone([*of_sources, *named], sources, of_sources),
        "runs": gone([*of_runs, meant["run"]], runs, of_runs),
    }


def _told(database: Database, plan: Plan) -> Purged:
    told: Counter[str] = Counter()
    n_bytes = 0.0
    for table in plan.tables:
        statement = purge_statements.share(table, is_all=plan.is_all)
        n_rows, n_taken, size = database.rows(statement, dict(plan.taken))[0]
        if table not in _UNTOLD:
            told["vectors" if table.startswith("vectors_") else table] += n_taken
        n_bytes += size * n_taken / max(n_rows, 1)
    return Purged(dict(told), int(n_bytes))


def _empty(database: Database, plan: Plan) -> None:
    """Empty all tables. Their indexes over vectors are dropped before, and made anew after."""
    tables = ", ".join(plan.tables)
    database.change(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
    indexed = [
        number for number in plan.spaces if database.value(of_space(statements.KNOWS_INDEX, number))
    ]
    for number in indexed:
        database.change(of_space(statements.DROP_INDEX, number))
    database.change(f"TRUNCATE {tables}")
    for number in indexed:
        database.change(of_space(statements.CREATE_INDEX, number).replace("CONCURRENTLY", ""))
