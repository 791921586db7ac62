"""The SQL of a purge, by name."""

from __future__ import annotations

from embedwell.stores.postgres.queue_statements import MEANT

SPACES = "SELECT id FROM spaces WHERE collection = %s ORDER BY id"
ROWS = f"""
    SELECT files_queue.id, files_queue.source, run {MEANT} ORDER BY files_queue.id
"""
# What a program put in the place of a file has no source, and stays.
DOCUMENTS = f"""
    SELECT id, source FROM documents
    WHERE collection = %(collection)s AND (
        (key, source) IN (SELECT files_queue.key, files_queue.source {MEANT})
        OR %(is_whole)s AND source = (SELECT id FROM sources
            WHERE collection = %(collection)s AND name = %(source)s))
    ORDER BY key
"""  # noqa: S608 - our own text
LOCK_ROWS = "SELECT id FROM files_queue WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
LOCK_DOCUMENTS = "SELECT id FROM documents WHERE id = ANY(%s) ORDER BY key FOR UPDATE"
NAMED_SOURCE = "SELECT id FROM sources WHERE collection = %(collection)s AND name = %(source)s"
OF_SOURCES = """
    SELECT id, (SELECT count(*) FROM files_queue WHERE source = sources.id)
             + (SELECT count(*) FROM documents WHERE source = sources.id)
    FROM sources WHERE collection = %s
"""
OF_RUNS = """
    SELECT id, (SELECT count(*) FROM files_queue WHERE run = ingestion_runs.id)
    FROM ingestion_runs WHERE collection = %s
"""
# How many rows a table has, how many of them are taken, and the bytes of all of them.
_SHARE = """
    SELECT (SELECT count(*) FROM {table}), (SELECT count(*) FROM {table} {taken}),
           pg_total_relation_size('{table}')
"""
_OF_CHUNKS = """
    WHERE chunk IN (SELECT id FROM chunks WHERE document = ANY(%(documents)s::bigint[]))
"""
TAKEN = {
    "ingestion_runs": "WHERE id = ANY(%(runs)s::bigint[])",
    "files_queue": "WHERE id = ANY(%(rows)s::bigint[])",
    "lexical": _OF_CHUNKS,
    "chunks": "WHERE document = ANY(%(documents)s::bigint[])",
    "document_metadata": "WHERE document = ANY(%(documents)s::bigint[])",
    "documents": "WHERE id = ANY(%(documents)s::bigint[])",
    "sources": "WHERE id = ANY(%(sources)s::bigint[])",
    "ingestion_metrics": "WHERE run = ANY(%(runs)s::bigint[])",
    "workers": "WHERE false",
}
"""The rows of each table that a plan takes; vectors are those of `lexical`'s chunks."""
N_BEFORE_VECTORS = 2
"""Tables of `TAKEN` that come before those of vectors, as those who claim and search lock them."""


def share(table: str, *, is_all: bool) -> str:
    """SQL that gives a table's rows, those of them that are taken, and the table's bytes."""
    taken = "" if is_all else TAKEN.get(table, _OF_CHUNKS)
    return _SHARE.format(table=table, taken=taken)


DELETE = (
    "DELETE FROM files_queue WHERE id = ANY(%(rows)s::bigint[])",
    "DELETE FROM documents WHERE id = ANY(%(documents)s::bigint[])",
    "DELETE FROM sources WHERE id = ANY(%(sources)s::bigint[])",
    "DELETE FROM ingestion_metrics WHERE run = ANY(%(runs)s::bigint[])",
    "DELETE FROM ingestion_runs WHERE id = ANY(%(runs)s::bigint[])",
)
"""In the order in which all take locks."""
