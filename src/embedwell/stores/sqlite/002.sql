-- Schema 2: several spaces beside each other, each with a table of vectors and a proof of its own.

-- Declarations that vectors are compared under, and what each is there for.
CREATE TABLE new_spaces (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- names the table of its vectors; never reused
    collection  INTEGER NOT NULL REFERENCES collections (id),
    role        TEXT    NOT NULL,         -- main: searched; light: beside it; next, kept: migration
    space_id    TEXT    NOT NULL,         -- SHA-256 of the declaration
    declaration TEXT    NOT NULL,         -- canonical JSON
    dimensions  INTEGER NOT NULL,
    made_by     TEXT    NOT NULL,         -- program, version, artifact
    generation  INTEGER NOT NULL          -- raised when readers must load all anew
);
INSERT INTO new_spaces
SELECT spaces.id, collections.id, 'main', spaces.space_id, spaces.declaration, spaces.dimensions,
       collections.made_by, 0
FROM spaces JOIN collections ON collections.space = spaces.id;
DROP TABLE spaces;
ALTER TABLE new_spaces RENAME TO spaces;
CREATE UNIQUE INDEX spaces_role ON spaces (collection, role) WHERE role <> 'kept';

-- Named sets of documents.
CREATE TABLE new_collections (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    chunk_tokens INTEGER NOT NULL          -- most tokens of a chunk
);
INSERT INTO new_collections SELECT id, name, chunk_tokens FROM collections;
DROP TABLE collections;
ALTER TABLE new_collections RENAME TO collections;

-- For filters.
CREATE INDEX documents_filter ON documents (collection, language, kind);

-- Vectors that went, so that readers can follow; written by a trigger of each table of vectors.
CREATE TABLE removed_vectors (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    chunk INTEGER NOT NULL
);
CREATE INDEX removed_vectors_space ON removed_vectors (space, seq);

-- Vectors: float16, little-endian, as long as the space's dimensions. A table for each space.
CREATE TABLE vectors_1 (
    chunk  INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
    vector BLOB    NOT NULL
);
INSERT INTO vectors_1 SELECT chunk, vector FROM vectors WHERE space = 1 ORDER BY chunk;
DROP TABLE vectors;
CREATE TRIGGER vectors_1_removed AFTER DELETE ON vectors_1 BEGIN
    INSERT INTO removed_vectors (space, chunk) VALUES (1, old.chunk);
END;

-- Vectors in compact form for the first pass of a search, many in a row: a rebuildable copy.
CREATE TABLE code_segments (
    space INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    first INTEGER NOT NULL,  -- its lowest chunk id
    last  INTEGER NOT NULL,  -- its highest
    ids   BLOB    NOT NULL,  -- int64, little-endian, ascending
    codes BLOB    NOT NULL,  -- sign bits, column after column of 64 dimensions, little-endian
    PRIMARY KEY (space, first)
);

-- What the tables of the sqlite-vec extension have seen, where that index is used.
CREATE TABLE vec_tables (
    space      INTEGER PRIMARY KEY REFERENCES spaces (id) ON DELETE CASCADE,
    last       INTEGER NOT NULL,  -- highest chunk id
    removed    INTEGER NOT NULL,  -- highest seq of removed_vectors
    generation INTEGER NOT NULL   -- of the space
);

-- What the first writer's build made of the probe texts.
CREATE TABLE proofs (
    space   INTEGER PRIMARY KEY REFERENCES spaces (id) ON DELETE CASCADE,
    probes  TEXT    NOT NULL,  -- name of the set of texts
    vectors BLOB    NOT NULL,  -- float32, little-endian, row after row
    build   TEXT    NOT NULL   -- JSON
);

-- Builds that may write to a space and compare with its vectors.
CREATE TABLE admissions (
    space       INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    build_key   TEXT    NOT NULL,  -- SHA-256 of the build record
    build       TEXT    NOT NULL,  -- JSON
    drift_mean  REAL    NOT NULL,
    drift_worst REAL    NOT NULL,
    accepted    TEXT    NOT NULL,  -- entry of accept_drift that let it in, or empty
    at          TEXT    NOT NULL,  -- ISO 8601, UTC
    PRIMARY KEY (space, build_key)
);

-- What became of the spaces, for people.
CREATE TABLE space_history (
    id    INTEGER PRIMARY KEY,
    at    TEXT    NOT NULL,  -- ISO 8601, UTC
    space INTEGER NOT NULL,
    event TEXT    NOT NULL   -- added as …, switched to, kept, dropped
);
