"""Every SQL statement that is run, by name. The tables are in the numbered files beside."""

from __future__ import annotations

# The file

APPLICATION_ID = "PRAGMA application_id"
USER_VERSION = "PRAGMA user_version"
DATA_VERSION = "PRAGMA data_version"  # changes when another connection commits
FOREIGN_KEYS = "PRAGMA foreign_keys = ON"
PAGE_SIZE = "PRAGMA page_size = 8192"  # 384-d float16 vectors waste a quarter of 4 KiB pages
WAL = "PRAGMA journal_mode = WAL"
SCHEMA_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
CREATE = """
    BEGIN;
    PRAGMA application_id = {application_id};
    PRAGMA user_version = {version};
    {schema}
    COMMIT;
"""
QUICK_CHECK = "PRAGMA quick_check(20)"
FOREIGN_KEY_CHECK = "PRAGMA foreign_key_check"
BEGIN_READ = "BEGIN"
BEGIN_WRITE = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

# Spaces and collections

ADD_SPACE = "INSERT INTO spaces (id, space_id, declaration, dimensions) VALUES (?, ?, ?, ?)"
ADD_COLLECTION = (
    "INSERT INTO collections (id, name, space, chunk_tokens, made_by) VALUES (?, ?, ?, ?, ?)"
)
COLLECTION = """
    SELECT collections.id, spaces.id, spaces.declaration, collections.chunk_tokens,
           collections.made_by
    FROM collections JOIN spaces ON spaces.id = collections.space
    WHERE collections.name = ?
"""

# Documents

STATS = """
    SELECT key, size_bytes, mtime_ns, sha256 FROM documents
    WHERE collection = ? AND NOT is_record
"""
DOCUMENT_ID = "SELECT id FROM documents WHERE collection = ? AND key = ?"
ADD_DOCUMENT = """
    INSERT INTO documents
        (collection, key, size_bytes, mtime_ns, sha256, kind, language, is_record, metadata)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_METADATA = "INSERT INTO document_metadata (document, name, value) VALUES (?, ?, ?)"
TOUCH = """
    UPDATE documents SET size_bytes = ?, mtime_ns = ?
    WHERE collection = ? AND key = ? AND NOT is_record
"""
DELETE_DOCUMENT = "DELETE FROM documents WHERE id = ?"
COUNTS = """
    SELECT (SELECT count(*) FROM documents WHERE collection = :collection),
           (SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document
            WHERE documents.collection = :collection)
"""

# Chunks and vectors

N_CHUNKS = "SELECT count(*) FROM chunks"
LAST_CHUNK = "SELECT seq FROM sqlite_sequence WHERE name = 'chunks'"
ADD_CHUNK = """
    INSERT INTO chunks (id, document, start_offset, end_offset, start_line, end_line, title, text,
                        pieces, embedded_sha256)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_VECTOR = "INSERT INTO vectors (space, chunk, vector) VALUES (?, ?, ?)"
KNOWN_VECTORS = """
    SELECT chunks.embedded_sha256, vectors.vector
    FROM chunks JOIN vectors ON vectors.chunk = chunks.id AND vectors.space = ?
    WHERE chunks.embedded_sha256 IN (SELECT value FROM json_each(?))
"""
_FOUND_CHUNK = """
    SELECT chunks.id, documents.key, documents.kind, documents.language, documents.metadata,
           chunks.start_offset, chunks.end_offset, chunks.start_line, chunks.end_line,
           chunks.title, chunks.text, chunks.embedded_sha256
    FROM chunks JOIN documents ON documents.id = chunks.document
"""
CHUNKS = _FOUND_CHUNK + "WHERE chunks.id IN (SELECT value FROM json_each(?))"  # noqa: S608 - constants
PASSAGES = (
    _FOUND_CHUNK
    + """
    WHERE documents.collection = ? AND documents.key = ?
    ORDER BY chunks.start_offset, chunks.id
"""
)
VECTOR_IDS = "SELECT chunk FROM vectors INDEXED BY vectors_chunk WHERE space = ? ORDER BY chunk"
ALL_VECTORS = "SELECT chunk, vector FROM vectors NOT INDEXED WHERE space = ?"
VECTORS = """
    SELECT chunk, vector FROM vectors
    WHERE chunk IN (SELECT value FROM json_each(?)) AND space = ? ORDER BY chunk
"""

# Filters: `{conditions}` are some of those below

ALLOWED_CHUNKS = """
    SELECT chunks.id FROM chunks JOIN documents ON documents.id = chunks.document
    WHERE documents.collection = ? {conditions} ORDER BY chunks.id
"""
IF_PATH = "AND path_matches(documents.key, ?)"
IF_LANGUAGE = "AND documents.language = ?"
IF_KIND = "AND documents.kind = ?"
IF_METADATA = """
    AND documents.id IN (SELECT document FROM document_metadata WHERE name = ? AND value = ?)
"""

# The lexical index

INDEX_CHUNKS = """
    INSERT INTO lexical (rowid, title, path, text, pieces)
    SELECT id, title, path, text, pieces FROM lexical_rows WHERE document = ?
"""
UNINDEX_CHUNKS = """
    INSERT INTO lexical (lexical, rowid, title, path, text, pieces)
    SELECT 'delete', id, title, path, text, pieces FROM lexical_rows WHERE document = ?
"""
MATCH_COUNT = "SELECT count(*) FROM lexical WHERE lexical MATCH ?"
MATCHES = """
    SELECT rowid, bm25(lexical, {title}, {path}, {text}, {pieces})
    FROM lexical WHERE lexical MATCH ?
"""
LEXICAL_CHECK = "INSERT INTO lexical (lexical, rank) VALUES ('integrity-check', 1)"
