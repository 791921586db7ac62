"""Every SQL statement that is run, by name. The tables are in the numbered files beside."""

from __future__ import annotations

from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE, Holds

# The file

APPLICATION_ID = "PRAGMA application_id"
ANY_LENGTH = "PRAGMA writable_schema = ON"  # reads a header that is ahead of its file: the log has
USER_VERSION = "PRAGMA user_version"
DATA_VERSION = "PRAGMA data_version"  # changes when another connection commits
FOREIGN_KEYS = "PRAGMA foreign_keys = ON"
NO_FOREIGN_KEYS = "PRAGMA foreign_keys = OFF"
NO_SECURE_DELETE = "PRAGMA secure_delete = OFF"  # some builds write zeros over all that goes: a
# dropped space of a million vectors would then keep others from writing for seconds
PAGE_SIZE = "PRAGMA page_size = 8192"  # 384-d float16 vectors waste a quarter of 4 KiB pages
WAL = "PRAGMA journal_mode = WAL"
SCHEMA_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
SPACE_NUMBERS = "SELECT id FROM spaces"
SPACE_DIMENSIONS = "SELECT id, dimensions FROM spaces ORDER BY id"
SET_APPLICATION_ID = "PRAGMA application_id = {number}"
SET_USER_VERSION = "PRAGMA user_version = {number}"
QUICK_CHECK = "PRAGMA quick_check(20)"
FOREIGN_KEY_CHECK = "PRAGMA foreign_key_check"
ORPHANS = """SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2"""
PAGES = """
    SELECT page_count, freelist_count, page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
VACUUM = "VACUUM"
TRUNCATE_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
BEGIN_READ = "BEGIN"
BEGIN_WRITE = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

# Spaces and collections

ADD_COLLECTION = "INSERT INTO collections (id, name, chunk_tokens) VALUES (?, ?, ?)"
COLLECTION = "SELECT id, chunk_tokens FROM collections WHERE name = ?"
SET_CHUNK_TOKENS = "UPDATE collections SET chunk_tokens = ? WHERE id = ?"
ADD_SPACE = """
    INSERT INTO spaces
        (collection, role, space_id, declaration, dimensions, made_by, holds, generation)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0)
"""
SPACES = """
    SELECT id, declaration, role, made_by, holds FROM spaces WHERE collection = ? ORDER BY id
"""
SET_ROLE = "UPDATE spaces SET role = ? WHERE id = ?"
SET_HOLDS = "UPDATE spaces SET holds = ? WHERE id = ?"
RAISE_GENERATION = "UPDATE spaces SET generation = generation + 1 WHERE id = ?"
DROP_SPACE = "DELETE FROM spaces WHERE id = ?"
ADD_EVENT = "INSERT INTO space_history (at, space, event) VALUES (?, ?, ?)"
REFERENCE = "SELECT probes, vectors, build FROM proofs WHERE space = ?"
ADD_REFERENCE = """
    INSERT OR IGNORE INTO proofs (space, probes, vectors, build) VALUES (?, ?, ?, ?)
"""
_ADMISSION = "SELECT build, drift_mean, drift_worst, accepted, at FROM admissions "
ADMISSIONS = _ADMISSION + "WHERE space = ? ORDER BY rowid"
ADMISSION = _ADMISSION + "WHERE space = ? AND build_key = ?"
ADMIT = """
    INSERT INTO admissions (space, build_key, build, drift_mean, drift_worst, accepted, at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET build = excluded.build, drift_mean = excluded.drift_mean,
        drift_worst = excluded.drift_worst, accepted = excluded.accepted, at = excluded.at
"""

# The vectors of one space: its number goes in by `of_space`, and for `{held}` which chunks it holds

CREATE_VECTORS = """
    CREATE TABLE vectors_{space} (
        chunk  INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
        vector BLOB    NOT NULL
    )
"""
CREATE_TRIGGER = """
    CREATE TRIGGER vectors_{space}_removed AFTER DELETE ON vectors_{space} BEGIN
        INSERT INTO removed_vectors (space, chunk) VALUES ({space}, old.chunk);
    END
"""
DROP_VECTORS = "DROP TABLE vectors_{space}"
ADD_VECTOR = "INSERT INTO vectors_{space} (chunk, vector) VALUES (?, ?)"
VECTORS = """
    SELECT chunk, vector FROM vectors_{space}
    WHERE chunk IN (SELECT value FROM json_each(?)) ORDER BY chunk
"""
VECTORS_OF = """
    SELECT vectors_{space}.vector
    FROM json_each(?) AS wanted CROSS JOIN vectors_{space} ON vectors_{space}.chunk = wanted.value
"""  # in the order asked for; a join in this order is the quickest way to look up many rows
N_VECTORS_AFTER = "SELECT count(*) FROM (SELECT 1 FROM vectors_{space} WHERE chunk > ? LIMIT ?)"
VECTORS_AFTER = "SELECT chunk, vector FROM vectors_{space} WHERE chunk > ? ORDER BY chunk LIMIT ?"
FIRST_VECTOR_IDS = "SELECT chunk FROM vectors_{space} WHERE chunk > ? ORDER BY chunk LIMIT ?"
VECTOR_ID_RANGE = """
    SELECT (SELECT min(chunk) FROM vectors_{space} WHERE chunk > ?), max(chunk)
    FROM vectors_{space}
"""
VECTOR_IDS_FROM = """
    SELECT DISTINCT (SELECT min(chunk) FROM vectors_{space} WHERE chunk >= value)
    FROM json_each(?) ORDER BY 1
"""
# For each point the document that follows the one there: how long that is makes no difference.
# Of each the chunk in the middle, which is no head or foot that all have.
MIDDLE_CHUNKS_FROM = """
    SELECT (
        SELECT min(id) FROM chunks WHERE document = found.document AND id >= (
            SELECT (min(id) + max(id)) / 2 FROM chunks WHERE document = found.document)
    ) FROM (
        SELECT DISTINCT (
            SELECT document FROM chunks WHERE id = (
                SELECT min(chunk) FROM vectors_{space} WHERE chunk > coalesce((
                    SELECT max(id) FROM chunks WHERE document = (
                        SELECT document FROM chunks WHERE id <= value AND id > :after
                        ORDER BY id DESC LIMIT 1)
                ), :after))
        ) AS document FROM json_each(:points)
    ) AS found WHERE found.document IS NOT NULL ORDER BY 1
"""
LAST_VECTOR_ID = "SELECT max(chunk) FROM vectors_{space}"
KNOWN_VECTORS = """
    SELECT chunks.embedded_sha256, vectors_{space}.vector
    FROM chunks JOIN vectors_{space} ON vectors_{space}.chunk = chunks.id
    WHERE chunks.embedded_sha256 IN (SELECT value FROM json_each(?))
"""
N_MISSING = """
    SELECT count(*) FROM chunks
    WHERE NOT EXISTS (SELECT 1 FROM vectors_{space} WHERE chunk = chunks.id) {held}
"""
N_MISPLACED = """
    SELECT count(*) FROM vectors_{space} JOIN chunks ON chunks.id = vectors_{space}.chunk
    WHERE NOT (TRUE {held})
"""
DELETE_MISPLACED = """
    DELETE FROM vectors_{space} WHERE chunk IN (SELECT id FROM chunks WHERE NOT (TRUE {held}))
"""
WITHOUT_VECTOR = """
    SELECT id FROM chunks
    WHERE id IN (SELECT value FROM json_each(?))
    AND NOT EXISTS (SELECT 1 FROM vectors_{space} WHERE chunk = chunks.id) {held}
"""


VECTOR_IDS_BETWEEN = "SELECT chunk FROM vectors_{space} WHERE chunk BETWEEN ? AND ?"
SPACES_WITH_REMOVED = """
    SELECT id, dimensions FROM spaces WHERE id IN (SELECT space FROM removed_vectors)
"""
N_REMOVED = """
    SELECT count(DISTINCT chunk) FROM removed_vectors
    WHERE space = ? AND chunk IN (SELECT value FROM json_each(?))
"""
FORGET_REMOVED = "DELETE FROM removed_vectors WHERE space = ?"
REMOVED_SINCE = """
    SELECT chunk, seq FROM removed_vectors WHERE space = ? AND seq > ? ORDER BY seq LIMIT ?
"""
REMOVED_SPAN = """
    SELECT coalesce((SELECT max(seq) FROM removed_vectors WHERE space = ?)
                    - (SELECT min(seq) FROM removed_vectors WHERE space = ?) + 1, 0)
"""
GENERATION = "SELECT generation FROM spaces WHERE id = ?"
SEGMENTS = "SELECT first, last FROM code_segments WHERE space = ? ORDER BY first"
LAST_SEGMENT = "SELECT last FROM code_segments WHERE space = ? ORDER BY first DESC LIMIT 1"
ADD_SEGMENT = "INSERT INTO code_segments (space, first, last, ids, codes) VALUES (?, ?, ?, ?, ?)"
DROP_SEGMENT = "DELETE FROM code_segments WHERE space = ? AND first = ?"
SEGMENT = "SELECT ids, codes FROM code_segments WHERE space = ? AND first = ?"
DROP_SEGMENTS_FROM = "DELETE FROM code_segments WHERE space = ? AND last >= ?"
LAST_REMOVED = "SELECT max(seq) FROM removed_vectors WHERE space = ?"

# The tables of sqlite-vec: its number goes in by `of_space`

CREATE_VEC = """
    CREATE VIRTUAL TABLE vec_{space} USING vec0(
        chunk INTEGER PRIMARY KEY,
        embedding FLOAT[{dimensions}] distance_metric=cosine,
        kind TEXT PARTITION KEY,
        language TEXT
    )
"""
VEC_VERSION = "SELECT vec_version()"
VEC_SEEN = "SELECT last, removed, generation FROM vec_tables WHERE space = ?"
SET_VEC_SEEN = """
    INSERT INTO vec_tables (space, last, removed, generation) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET last = excluded.last, removed = excluded.removed,
        generation = excluded.generation
"""
VEC_BEHIND = """
    SELECT generation <> (SELECT generation FROM spaces WHERE id = ?)
        OR EXISTS (SELECT 1 FROM vectors_{space} WHERE chunk > last)
        OR EXISTS (SELECT 1 FROM removed_vectors WHERE space = ? AND seq > removed)
    FROM vec_tables WHERE space = ?
"""
VEC_LACKS = """
    SELECT vectors_{space}.chunk, vectors_{space}.vector, documents.kind, documents.language
    FROM vectors_{space} JOIN chunks ON chunks.id = vectors_{space}.chunk
    JOIN documents ON documents.id = chunks.document
    WHERE vectors_{space}.chunk > ?
    AND NOT EXISTS (SELECT 1 FROM vec_{space}_rowids WHERE rowid = vectors_{space}.chunk)
    ORDER BY vectors_{space}.chunk LIMIT ?
"""
VEC_GONE = """
    SELECT rowid FROM vec_{space}_rowids
    WHERE NOT EXISTS (SELECT 1 FROM vectors_{space} WHERE chunk = vec_{space}_rowids.rowid)
"""
VEC_ADD = "INSERT INTO vec_{space} (chunk, embedding, kind, language) VALUES (?, ?, ?, ?)"
VEC_DELETE = "DELETE FROM vec_{space} WHERE chunk = ?"
VEC_NEAREST = "SELECT chunk, distance FROM vec_{space} WHERE embedding MATCH ? AND k = ?"
VEC_NEAREST_AMONG = """
    SELECT chunk, distance FROM vec_{space}
    WHERE embedding MATCH ? AND chunk IN (SELECT value FROM json_each(?)) AND k = ?
"""
VEC_ORPHANS = """
    SELECT name FROM sqlite_schema
    WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING vec0%' AND name GLOB 'vec_[0-9]*'
    AND substr(name, 5) NOT IN (SELECT CAST(space AS TEXT) FROM vec_tables)
"""


_OF_KIND = """
    AND EXISTS (SELECT 1 FROM documents WHERE documents.id = chunks.document
                AND documents.kind = '{kind}')
"""
_HELD = {
    EVERYTHING: "",
    TEXT_ALONE: _OF_KIND.format(kind="text"),
    CODE_ALONE: _OF_KIND.format(kind="code"),
}


def of_space(statement: str, number: int, holds: Holds = EVERYTHING) -> str:
    """A statement about the vectors of one space, which holds some kinds of documents."""
    return statement.format(space=int(number), held=_HELD[holds])


# Documents

STATS = """
    SELECT key, size_bytes, mtime_ns FROM documents
    WHERE collection = ? AND NOT is_record
"""
STATS_OF_SOURCE = "SELECT key, size_bytes, mtime_ns FROM documents WHERE source = ?"
RECORDS = "SELECT key FROM documents WHERE collection = ? AND is_record ORDER BY key"
DOCUMENT_ID = "SELECT id FROM documents WHERE collection = ? AND key = ?"
LAST_DOCUMENT = "SELECT max(id) FROM documents"
ADD_DOCUMENT = """
    INSERT INTO documents
        (id, collection, key, size_bytes, mtime_ns, sha256, kind, language, is_record, metadata,
         source)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_METADATA = "INSERT INTO document_metadata (document, name, value) VALUES (?, ?, ?)"
TOUCH = """
    UPDATE documents SET size_bytes = ?, mtime_ns = ?
    WHERE collection = ? AND key = ? AND NOT is_record
"""
DELETE_DOCUMENTS = "DELETE FROM documents WHERE id IN (SELECT value FROM json_each(?))"
COUNTS = """
    SELECT (SELECT count(*) FROM documents WHERE collection = :collection),
           (SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document
            WHERE documents.collection = :collection)
"""

# Chunks and vectors

N_CHUNKS = "SELECT count(*) FROM chunks"
N_CHUNKS_OF_KIND = """
    SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document
    WHERE documents.collection = ? AND documents.kind = ?
"""
LAST_CHUNK = "SELECT seq FROM sqlite_sequence WHERE name = 'chunks'"
ADD_CHUNK = """
    INSERT INTO chunks (id, document, start_offset, end_offset, start_line, end_line, title, text,
                        pieces, embedded_sha256)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
MISSING = (
    _FOUND_CHUNK
    + """
    LEFT JOIN vectors_{space} ON vectors_{space}.chunk = chunks.id
    WHERE chunks.id > ? AND vectors_{space}.chunk IS NULL {held}
    ORDER BY chunks.id LIMIT ?
"""
)
CHUNK_IDS_HELD = "SELECT id FROM chunks WHERE id IN (SELECT value FROM json_each(?))"

# Filters: `{conditions}` are some of those below

ALLOWED_SPANS = """
    SELECT (SELECT min(id) FROM chunks WHERE document = documents.id),
           (SELECT max(id) FROM chunks WHERE document = documents.id)
    FROM documents WHERE +documents.collection = ? {conditions}
"""  # the plus sign: the collection is no reason to prefer an index to those of the conditions
IF_PATH = "AND path_matches(documents.key, ?)"
IF_PREFIX = "AND documents.key BETWEEN ? AND ?"
IF_LANGUAGE = "AND documents.language = ?"
IF_KIND = "AND documents.kind = ?"
IF_METADATA = """
    AND documents.id IN (SELECT document FROM document_metadata WHERE name = ? AND value = ?)
"""

# The lexical index

INDEX_CHUNKS = """
    INSERT INTO lexical (rowid, title, path, text, pieces)
    SELECT id, title, path, text, pieces FROM lexical_rows WHERE id >= ? AND id < ?
"""
UNINDEX_CHUNKS = """
    INSERT INTO lexical (lexical, rowid, title, path, text, pieces)
    SELECT 'delete', id, title, path, text, pieces FROM lexical_rows
    WHERE document IN (SELECT value FROM json_each(?))
"""
MATCH_COUNT = "SELECT count(*) FROM lexical WHERE lexical MATCH ?"
MATCHES = """
    SELECT rowid, bm25(lexical, {title}, {path}, {text}, {pieces})
    FROM lexical WHERE lexical MATCH ?
"""
LEXICAL_CHECK = "INSERT INTO lexical (lexical, rank) VALUES ('integrity-check', 1)"
LEXICAL_IDS = """
    SELECT (SELECT count(*) FROM chunks WHERE id NOT IN (SELECT id FROM lexical_docsize)),
           (SELECT count(*) FROM lexical_docsize WHERE id NOT IN (SELECT id FROM chunks))
"""
MERGE_LEXICAL = "INSERT INTO lexical (lexical, rank) VALUES ('merge', ?)"
