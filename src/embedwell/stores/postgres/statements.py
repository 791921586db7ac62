"""Every SQL statement that is run, by name. The tables are in the numbered files beside.

`{vectors}` stands for the name of a space's table of vectors, `{held}` for which chunks it holds:
see `of_space`.
"""

from __future__ import annotations

from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE, Holds

# The database

SERVER_VERSION = "SHOW server_version_num"
EXTENSION_VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
EXTENSION_OFFERED = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
ADD_EXTENSION = "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public"
DATABASE = "SELECT current_database()"
LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"
LOCK_HOLDER = """
    SELECT nullif(application_name, '') FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 2
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = %s::int8::bit(32)::int8::oid AND objid = %s::int8::bit(32)::int8::oid
"""
SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""
# Without the server's maps of free and visible pages, which VACUUM makes.
SIZE_OF_ROWS = """
    SELECT coalesce(sum(pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)),
                    0)), 0)::bigint
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')
"""
TABLES = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
INVALID_INDEXES = """
    SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE relnamespace = current_schema()::regnamespace AND NOT indisvalid
"""
VACUUM = "VACUUM (ANALYZE)"
LOCK_TIMEOUT = "SET lock_timeout = '10s'"  # batches take far less
# A machine that went to sleep or lost its network in the middle of a transaction holds up others no
# longer: the server lets go of its locks, and of a connection that does not answer.
FORSAKEN = """
    SET idle_in_transaction_session_timeout = '{idle_s}s'; SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3
"""
# An index that is built beside others' work waits for their transactions to end.
FOR_MAINTENANCE = "SET lock_timeout = '10min'; SET maintenance_work_mem = '{memory}'"
AFTER_MAINTENANCE = (
    "RESET maintenance_work_mem; RESET max_parallel_maintenance_workers; " + LOCK_TIMEOUT
)

# Collections and spaces

ADD_COLLECTION = "INSERT INTO collections (name, chunk_tokens) VALUES (%s, %s) RETURNING id"
LOCK_COLLECTIONS = "LOCK TABLE collections IN EXCLUSIVE MODE"
COLLECTION = "SELECT id, chunk_tokens FROM collections WHERE name = %s"
SET_CHUNK_TOKENS = "UPDATE collections SET chunk_tokens = %s WHERE id = %s"
ADD_SPACE = """
    INSERT INTO spaces
        (collection, role, space_id, declaration, dimensions, made_by, holds, generation)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 0) RETURNING id
"""
SPACES = """
    SELECT id, declaration, role, made_by, holds FROM spaces WHERE collection = %s ORDER BY id
"""
# Writers keep the spaces from changing under them, and do not keep each other from writing. What
# they are is read after that: whoever waited for the lock would not see what its holder did.
KEEP_SPACES = "SELECT id FROM spaces WHERE collection = %s ORDER BY id FOR SHARE"
LOCK_SPACES = "SELECT id FROM spaces WHERE collection = %s ORDER BY id FOR UPDATE"
MAIN_NUMBERS = "SELECT id FROM spaces WHERE role = 'main' ORDER BY id"
# By which code is searched, in each collection.
CODE_NUMBERS = """
    SELECT coalesce(max(id) FILTER (WHERE role = 'code'), max(id)) FROM spaces
    WHERE role IN ('main', 'code') GROUP BY collection ORDER BY 1
"""
SET_ROLE = "UPDATE spaces SET role = %s WHERE id = %s"
SET_HOLDS = "UPDATE spaces SET holds = %s WHERE id = %s"
DROP_SPACE = "DELETE FROM spaces WHERE id = %s"
ADD_EVENT = "INSERT INTO space_history (at, space, event) VALUES (%s, %s, %s)"
CREATE_VECTORS = """
    CREATE TABLE {vectors} (
        chunk  bigint PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
        vector halfvec({dimensions}) NOT NULL
    )
"""
DROP_VECTORS = "DROP TABLE IF EXISTS {vectors}"
SHOW_MAIN = "CREATE OR REPLACE VIEW main_vectors AS "
SHOW_CODE = "CREATE OR REPLACE VIEW code_vectors AS "
OF_SHOWN = "SELECT chunk, vector::halfvec AS vector FROM {vectors}"
# Documents of some kinds with the mean of their chunks' vectors in another space.
EMBED_DOCUMENTS = """
    UPDATE documents SET embedding = means.vector FROM (
        SELECT chunks.document, l2_normalize(avg({vectors}.vector)) AS vector
        FROM chunks JOIN {vectors} ON {vectors}.chunk = chunks.id GROUP BY chunks.document
    ) AS means
    WHERE documents.id = means.document AND documents.collection = %s AND kind = ANY(%s)
"""
REFERENCE = "SELECT probes, vectors, build FROM proofs WHERE space = %s"
ADD_REFERENCE = """
    INSERT INTO proofs (space, probes, vectors, build) VALUES (%s, %s, %s, %s)
    ON CONFLICT (space) DO NOTHING
"""
_ADMISSION = "SELECT build, drift_mean, drift_worst, accepted, at FROM admissions "
ADMISSIONS = _ADMISSION + "WHERE space = %s ORDER BY seq"
ADMISSION = _ADMISSION + "WHERE space = %s AND build_key = %s"
ADMIT = """
    INSERT INTO admissions (space, build_key, build, drift_mean, drift_worst, accepted, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (space, build_key) DO UPDATE
    SET build = excluded.build, drift_mean = excluded.drift_mean,
        drift_worst = excluded.drift_worst, accepted = excluded.accepted, at = excluded.at
"""

# Documents

RECORDS = """
    SELECT key FROM documents WHERE collection = %s AND is_record ORDER BY key COLLATE "C"
"""
STATS = """
    SELECT key, size_bytes, mtime_ns FROM documents
    WHERE collection = %s AND NOT is_record
"""
STATS_OF_SOURCE = "SELECT key, size_bytes, mtime_ns FROM documents WHERE source = %s"
# Keeps a document's row, so that two who put the same one wait for each other.
PUT_DOCUMENT = """
    INSERT INTO documents (collection, key, size_bytes, mtime_ns, sha256, kind, language,
                           is_record, metadata, source, embedding)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (collection, key) DO UPDATE
    SET size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, sha256 = excluded.sha256,
        kind = excluded.kind, language = excluded.language, is_record = excluded.is_record,
        metadata = excluded.metadata, source = excluded.source, embedding = excluded.embedding
    RETURNING id
"""
CLEAR_CHUNKS = "DELETE FROM chunks WHERE document = ANY(%s)"
CLEAR_METADATA = "DELETE FROM document_metadata WHERE document = ANY(%s)"
ADD_METADATA = "INSERT INTO document_metadata (document, name, value) VALUES (%s, %s, %s)"
TOUCH = """
    UPDATE documents SET size_bytes = %s, mtime_ns = %s
    WHERE collection = %s AND key = %s AND NOT is_record
"""
LOCK_DOCUMENTS = """
    SELECT id FROM documents WHERE collection = %s AND key = ANY(%s) ORDER BY key FOR UPDATE
"""
DELETE_DOCUMENTS = "DELETE FROM documents WHERE collection = %s AND key = ANY(%s)"
N_DOCUMENTS = "SELECT count(*) FROM documents WHERE collection = %s"
COUNTS = """
    SELECT (SELECT count(*) FROM documents WHERE collection = %(collection)s),
           (SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document
            WHERE documents.collection = %(collection)s)
"""

# Chunks and vectors

N_CHUNKS_OF_KIND = """
    SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document
    WHERE documents.collection = %s AND documents.kind = %s
"""
NEW_CHUNK_IDS = """
    SELECT nextval(pg_get_serial_sequence('chunks', 'id')) FROM generate_series(1, %s)
"""
COPY_CHUNKS = """
    COPY chunks (id, document, start_offset, end_offset, start_line, end_line, title, text,
                 pieces, embedded_sha256) FROM STDIN (FORMAT binary)
"""
CHUNK_TYPES = ("int8", "int8", "int4", "int4", "int4", "int4", "text", "text", "text", "text")
COPY_VECTORS = "COPY {vectors} (chunk, vector) FROM STDIN (FORMAT binary)"
KNOWN_VECTORS = """
    SELECT chunks.embedded_sha256, {vectors}.vector
    FROM chunks JOIN {vectors} ON {vectors}.chunk = chunks.id
    WHERE chunks.embedded_sha256 = ANY(%s)
"""
_FOUND_CHUNK = """
    SELECT chunks.id, documents.key, documents.kind, documents.language,
           documents.metadata::text, chunks.start_offset, chunks.end_offset, chunks.start_line,
           chunks.end_line, chunks.title, chunks.text, chunks.embedded_sha256
    FROM chunks JOIN documents ON documents.id = chunks.document
"""
CHUNKS = _FOUND_CHUNK + "WHERE chunks.id = ANY(%s)"
PASSAGES = (
    _FOUND_CHUNK
    + """
    WHERE documents.collection = %s AND documents.key = %s
    ORDER BY chunks.start_offset, chunks.id
"""
)
CHUNK_IDS_HELD = "SELECT id FROM chunks WHERE id = ANY(%s)"
KEEP_CHUNKS = """
    SELECT id FROM chunks WHERE id = ANY(%s) {held} ORDER BY id FOR NO KEY UPDATE OF chunks
"""
VECTOR_IDS = "SELECT chunk FROM {vectors} WHERE chunk = ANY(%s)"
VECTORS = "SELECT chunk, vector FROM {vectors} WHERE chunk = ANY(%s)"
_WITHOUT = "WHERE NOT EXISTS (SELECT FROM {vectors} WHERE {vectors}.chunk = chunks.id) {held}"
N_MISSING = f"SELECT count(*) FROM chunks {_WITHOUT}"  # noqa: S608 - our own text
MISSING = _FOUND_CHUNK + _WITHOUT + " AND chunks.id > %s ORDER BY chunks.id LIMIT %s"
FIRST_VECTOR_IDS = "SELECT chunk FROM {vectors} WHERE chunk > %s ORDER BY chunk LIMIT %s"
VECTOR_ID_RANGE = "SELECT min(chunk), max(chunk) FROM {vectors} WHERE chunk > %s"
VECTOR_IDS_FROM = """
    SELECT DISTINCT found.chunk FROM unnest(%s::bigint[]) AS points (point), LATERAL (
        SELECT chunk FROM {vectors} WHERE chunk >= points.point ORDER BY chunk LIMIT 1
    ) AS found ORDER BY 1
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
                SELECT chunk FROM {vectors} WHERE chunk > coalesce((
                    SELECT max(id) FROM chunks WHERE document = (
                        SELECT document FROM chunks WHERE id <= point AND id > %(after)s
                        ORDER BY id DESC LIMIT 1)
                ), %(after)s) ORDER BY chunk LIMIT 1)
        ) AS document FROM unnest(%(points)s::bigint[]) AS points (point)
    ) AS found WHERE found.document IS NOT NULL ORDER BY 1
"""
N_WITHOUT_CHUNK = """
    SELECT count(*) FROM {vectors}
    WHERE NOT EXISTS (SELECT FROM chunks WHERE chunks.id = {vectors}.chunk)
"""
N_MISPLACED = """
    SELECT count(*) FROM {vectors} JOIN chunks ON chunks.id = {vectors}.chunk
    WHERE NOT (true {held})
"""
DELETE_MISPLACED = """
    DELETE FROM {vectors} USING chunks WHERE chunks.id = {vectors}.chunk AND NOT (true {held})
"""
N_ZERO = "SELECT count(*) FROM {vectors} WHERE l2_norm(vector) = 0"
N_AT_LEAST = "SELECT count(*) FROM (SELECT FROM {vectors} LIMIT %s) AS counted"
N_ALL = "SELECT count(*) FROM {vectors}"

# Vector search

N_ESTIMATED = "SELECT reltuples::bigint FROM pg_class WHERE oid = '{vectors}'::regclass"
EF_SEARCH = "SELECT set_config('hnsw.ef_search', %s, true)"
HAS_INDEX = """
    SELECT EXISTS (SELECT FROM pg_index WHERE indisvalid
                   AND indexrelid = to_regclass('{vectors}_hnsw'))
"""
KNOWS_INDEX = "SELECT to_regclass('{vectors}_hnsw') IS NOT NULL"
CREATE_INDEX = """
    CREATE INDEX CONCURRENTLY {vectors}_hnsw ON {vectors} USING hnsw (vector halfvec_cosine_ops)
    WITH (m = 16, ef_construction = 64)
"""
DROP_INDEX = "DROP INDEX IF EXISTS {vectors}_hnsw"
DROP_INDEX_BESIDE = "DROP INDEX CONCURRENTLY IF EXISTS {vectors}_hnsw"
REBUILD_INDEX = "REINDEX INDEX CONCURRENTLY {vectors}_hnsw"
ANALYZE_VECTORS = "ANALYZE {vectors}"
BUILDING = """
    SELECT phase, blocks_done, blocks_total, tuples_done
    FROM pg_stat_progress_create_index WHERE pid = %s
"""
SIZES_OF_INDEX = """
    SELECT pg_relation_size('{vectors}_hnsw'), pg_table_size('{vectors}')
"""
DROP_UNFINISHED = "DROP INDEX IF EXISTS {vectors}_hnsw_ccnew"
SERIAL = "SET max_parallel_maintenance_workers = 0"
NEAREST = """
    SELECT chunk, vector FROM {vectors} ORDER BY vector <=> %(query)s::halfvec LIMIT %(n)s
"""
# Every row that the filter lets through is compared: MATERIALIZED keeps the index out of it.
NEAREST_OF_FEW = """
    WITH allowed AS MATERIALIZED (
        SELECT chunks.id FROM chunks JOIN documents ON documents.id = chunks.document
        WHERE documents.collection = %(collection)s {conditions}
    )
    SELECT chunk, vector FROM allowed JOIN {vectors} ON {vectors}.chunk = allowed.id
    ORDER BY vector <=> %(query)s::halfvec, chunk LIMIT %(n)s
"""
# The index is walked until enough rows pass the filter.
NEAREST_OF_MANY = """
    SELECT chunk, vector FROM {vectors}
    JOIN chunks ON chunks.id = {vectors}.chunk JOIN documents ON documents.id = chunks.document
    WHERE documents.collection = %(collection)s {conditions}
    ORDER BY vector <=> %(query)s::halfvec LIMIT %(n)s
"""
N_ALLOWED = """
    SELECT count(*) FROM (
        SELECT FROM chunks JOIN documents ON documents.id = chunks.document
        WHERE documents.collection = %(collection)s {conditions} LIMIT %(n)s
    ) AS allowed
"""
IF_PATH = "AND documents.key ~ %({name})s"
IF_LANGUAGE = "AND documents.language = %({name})s"
IF_KIND = "AND documents.kind = %({name})s"
IF_METADATA = """
    AND documents.id IN (
        SELECT document FROM document_metadata
        WHERE name = %({name})s AND md5(value) = md5(%({name}_value)s)
          AND value = %({name}_value)s)
"""

# The lexical half

INDEX_CHUNKS = """
    INSERT INTO lexical (chunk, n_words, words)
    SELECT id, n_words, to_tsvector('words', text)
    FROM unnest(%s::bigint[], %s::integer[], %s::text[]) AS rows (id, n_words, text)
"""
TOTALS = "SELECT count(*), coalesce(sum(n_words), 0)::bigint FROM lexical"
WORD_COUNTS = """
    SELECT word, (
        SELECT count(*) FROM (
            SELECT FROM lexical WHERE words @@ plainto_tsquery('words', word) LIMIT %s
        ) AS counted
    ) FROM unnest(%s::text[]) AS word
"""
MATCHES = """
    SELECT chunk, n_words, {ranks} FROM lexical
    WHERE words @@ ({any_word}) {conditions}
"""
RANK = "ts_rank('{{1,1,1,1}}', words, plainto_tsquery('words', %({name})s))"
IF_ONE_OF = "AND chunk = ANY(%(ids)s)"
IF_ALLOWED = """
    AND chunk IN (
        SELECT chunks.id FROM chunks JOIN documents ON documents.id = chunks.document
        WHERE documents.collection = %(collection)s {conditions})
"""
N_UNINDEXED = """
    SELECT count(*) FROM chunks
    WHERE NOT EXISTS (SELECT FROM lexical WHERE lexical.chunk = chunks.id)
"""


_OF_KIND = """
    AND EXISTS (SELECT FROM documents WHERE documents.id = chunks.document
                AND documents.kind = '{kind}')
"""
_HELD = {
    EVERYTHING: "",
    TEXT_ALONE: _OF_KIND.format(kind="text"),
    CODE_ALONE: _OF_KIND.format(kind="code"),
}


def of_space(statement: str, number: int, holds: Holds = EVERYTHING) -> str:
    """A statement about the vectors of one space, which holds some kinds of documents."""
    return statement.replace("{vectors}", f"vectors_{number:d}").replace("{held}", _HELD[holds])
