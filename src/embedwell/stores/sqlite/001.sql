-- Schema 1. Plain tables are the truth; `lexical` is a rebuildable copy.

-- Declarations that vectors are compared under.
CREATE TABLE spaces (
    id          INTEGER PRIMARY KEY,
    space_id    TEXT    NOT NULL UNIQUE,  -- SHA-256 of the declaration
    declaration TEXT    NOT NULL,         -- canonical JSON
    dimensions  INTEGER NOT NULL
);

-- Named sets of documents.
CREATE TABLE collections (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    space        INTEGER NOT NULL REFERENCES spaces (id),  -- the one that is searched
    chunk_tokens INTEGER NOT NULL,                         -- most tokens of a chunk
    made_by      TEXT    NOT NULL                          -- program, version, artifact
);

-- Files, and records that a program added.
CREATE TABLE documents (
    id         INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collections (id),
    key        TEXT    NOT NULL,  -- path below the folder, or the record's id
    size_bytes INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    sha256     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,  -- text, code
    language   TEXT    NOT NULL,
    is_record  INTEGER NOT NULL,  -- 1: added by a program
    metadata   TEXT    NOT NULL,  -- JSON, as it was given
    UNIQUE (collection, key)
);

-- The same metadata by name, for filters.
CREATE TABLE document_metadata (
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    name     TEXT    NOT NULL,
    value    TEXT    NOT NULL,  -- canonical JSON
    PRIMARY KEY (document, name)
) WITHOUT ROWID;
CREATE INDEX document_metadata_value ON document_metadata (name, value);

-- Passages.
CREATE TABLE chunks (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
    document        INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    start_offset    INTEGER NOT NULL,  -- code points
    end_offset      INTEGER NOT NULL,
    start_line      INTEGER NOT NULL,  -- from 1
    end_line        INTEGER NOT NULL,
    title           TEXT    NOT NULL,  -- heading or symbol path
    text            TEXT    NOT NULL,
    pieces          TEXT    NOT NULL,  -- parts of camelCase names, for the lexical index
    embedded_sha256 TEXT    NOT NULL   -- of exactly what was embedded
);
CREATE INDEX chunks_document ON chunks (document);
CREATE INDEX chunks_embedded ON chunks (embedded_sha256);

-- Vectors: float16, little-endian, as long as the space's dimensions.
CREATE TABLE vectors (
    space  INTEGER NOT NULL REFERENCES spaces (id),
    chunk  INTEGER NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
    vector BLOB    NOT NULL
);
CREATE UNIQUE INDEX vectors_chunk ON vectors (chunk, space);

-- What the lexical index covers.
CREATE VIEW lexical_rows AS
SELECT chunks.id AS id, chunks.document AS document, chunks.title AS title,
       documents.key AS path, chunks.text AS text, chunks.pieces AS pieces
FROM chunks JOIN documents ON documents.id = chunks.document;

CREATE VIRTUAL TABLE lexical USING fts5 (
    title, path, text, pieces,
    content = 'lexical_rows', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
