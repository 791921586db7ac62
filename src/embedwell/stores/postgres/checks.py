"""What may be broken in the tables, asked of the tables themselves."""

from __future__ import annotations

from collections.abc import Sequence

from embedwell.stores import leases
from embedwell.stores.postgres import queue_statements, statements
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.spaces import EVERYTHING, StoredSpace


def faults_of(database: Database, spaces: Sequence[StoredSpace]) -> list[str]:
    """What is broken, a sentence each.

    Args:
        database: In a snapshot.
        spaces: All that it has.
    """
    found = [
        f"The index {name} was not built to its end: run `embedwell compact`."
        for (name,) in database.rows(statements.INVALID_INDEXES)
    ]
    if n := database.value(statements.N_UNINDEXED):
        found.append(f"{n} chunks are not in the lexical index.")
    tables = {name for (name,) in database.rows(statements.TABLES)}
    for stored in spaces:
        if of_space("{vectors}", stored.number) in tables:
            found += _faults_of_space(database, stored)
        else:
            found.append(f"The table of the vectors of space {stored.number} is gone.")
    return found + leases.faults(*database.rows(queue_statements.FAULTS)[0])


def _faults_of_space(database: Database, stored: StoredSpace) -> list[str]:
    found = []
    of = f"of space {stored.number} ({stored.space.model})"
    if n := database.value(of_space(statements.N_WITHOUT_CHUNK, stored.number)):
        found.append(f"{n} vectors {of} belong to chunks that are gone.")
    if n := database.value(of_space(statements.N_ZERO, stored.number)):
        found.append(f"{n} vectors {of} are all zero.")
    missing = of_space(statements.N_MISSING, stored.number, stored.holds)
    if stored.role in {"main", "code"} and (n := database.value(missing)):
        found.append(f"{n} chunks have no vector {of}, which is searched.")
    misplaced = of_space(statements.N_MISPLACED, stored.number, stored.holds)
    if stored.holds != EVERYTHING and (n := database.value(misplaced)):
        found.append(f"{n} vectors {of} are of documents that belong into another one.")
    return found
