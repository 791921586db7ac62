"""The SQL of a purge, by name. What goes is listed in temporary tables first."""

from __future__ import annotations

ROWS = """
    CREATE TEMP TABLE going_rows AS
    SELECT files_queue.id AS id, files_queue.source AS source, run, key
    FROM files_queue JOIN sources ON sources.id = files_queue.source
"""  # `queue_statements.MEANT` follows
DOCUMENTS = """
    CREATE TEMP TABLE going_documents AS
    SELECT documents.id AS id FROM going_rows JOIN documents
    ON documents.collection = :collection AND documents.key = going_rows.key
    AND documents.source = going_rows.source
"""
DOCUMENTS_OF_SOURCE = """
    CREATE TEMP TABLE going_documents AS
    SELECT documents.id AS id FROM documents JOIN sources ON sources.id = documents.source
    WHERE sources.name = :source
"""
SOURCES = """
    CREATE TEMP TABLE going_sources AS SELECT id FROM sources
    WHERE collection = :collection
    AND (name = :source OR id IN (SELECT source FROM going_rows))
    AND id NOT IN (
        SELECT source FROM files_queue WHERE id NOT IN (SELECT id FROM going_rows)
        UNION SELECT source FROM documents
        WHERE source IS NOT NULL AND id NOT IN (SELECT id FROM going_documents))
"""
RUNS = """
    CREATE TEMP TABLE going_runs AS SELECT id FROM ingestion_runs
    WHERE collection = :collection
    AND (id = :run OR id IN (SELECT run FROM going_rows))
    AND id NOT IN (SELECT run FROM files_queue WHERE id NOT IN (SELECT id FROM going_rows))
"""
LISTS = ("going_rows", "going_documents", "going_sources", "going_runs")
FORGET_LIST = "DROP TABLE temp.{list}"

COUNTS = {
    "documents": "SELECT count(*) FROM going_documents",
    "chunks": """
        SELECT count(*) FROM chunks WHERE document IN (SELECT id FROM going_documents)
    """,
    "vectors": """
        SELECT count(*) FROM vectors_{space} WHERE chunk IN (
            SELECT id FROM chunks WHERE document IN (SELECT id FROM going_documents))
    """,
    "files_queue": "SELECT count(*) FROM going_rows",
    "sources": "SELECT count(*) FROM going_sources",
    "ingestion_runs": "SELECT count(*) FROM going_runs",
    "ingestion_metrics": """
        SELECT count(*) FROM ingestion_metrics WHERE run IN (SELECT id FROM going_runs)
    """,
    "workers": "SELECT 0",
}
DELETE = (
    # First what the lexical index must be told, while the rows that it covers exist.
    """
    INSERT INTO lexical (lexical, rowid, title, path, text, pieces)
    SELECT 'delete', id, title, path, text, pieces FROM lexical_rows
    WHERE document IN (SELECT id FROM going_documents)
    """,
    "DELETE FROM documents WHERE id IN (SELECT id FROM going_documents)",
    "DELETE FROM files_queue WHERE id IN (SELECT id FROM going_rows)",
    "DELETE FROM ingestion_metrics WHERE run IN (SELECT id FROM going_runs)",
    "DELETE FROM ingestion_runs WHERE id IN (SELECT id FROM going_runs)",
    "DELETE FROM sources WHERE id IN (SELECT id FROM going_sources)",
)

# Everything: without a condition, SQLite drops a table's pages instead of looking at its rows.

COUNTS_OF_ALL = {
    **{name: f"SELECT count(*) FROM {name}" for name in COUNTS},  # noqa: S608 - our own names
    "vectors": "SELECT count(*) FROM vectors_{space}",
}
EMPTY_LEXICAL = "INSERT INTO lexical (lexical) VALUES ('delete-all')"
EMPTY = "DELETE FROM {table}"
EMPTIED = (
    "code_segments",
    "removed_vectors",
    "document_metadata",
    "chunks",
    "documents",
    "files_queue",
    "ingestion_metrics",
    "ingestion_runs",
    "sources",
    "workers",
)
