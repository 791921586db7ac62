-- Schema 3: where documents come from, and the work that is waiting, under way and done.
-- Times are seconds since 1970.

-- Folders, lists, queries: what documents come from.
CREATE TABLE sources (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,  -- folder, paths, records, sql, …
    name       TEXT    NOT NULL,
    prefix     TEXT    NOT NULL,  -- what keys of its documents begin with
    place      TEXT    NOT NULL,  -- path, or address without password; empty: the index's folder
    host       TEXT    NOT NULL,  -- who listed it last
    options    TEXT    NOT NULL,  -- JSON
    UNIQUE (collection, name)
);

-- Files of an older embedwell were those of the folder that the index lies in.
INSERT INTO sources (collection, kind, name, prefix, place, host, options)
SELECT id, 'folder', 'folder', '', '', '', '{}' FROM collections
WHERE EXISTS (SELECT 1 FROM documents WHERE collection = collections.id AND NOT is_record);
ALTER TABLE documents ADD COLUMN source INTEGER REFERENCES sources (id);  -- none: a program added it
UPDATE documents SET source = (SELECT min(id) FROM sources) WHERE NOT is_record;
CREATE INDEX documents_source ON documents (source);

-- From the first queued row to the last finished one.
CREATE TABLE ingestion_runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    status     TEXT    NOT NULL,  -- running, checking, stopped, done
    started_at REAL    NOT NULL,
    ended_at   REAL,
    canary_at  INTEGER NOT NULL,  -- finished rows at which it is checked next; 0: never
    rehearsal  INTEGER NOT NULL,  -- 1: stops after the first check
    checker    TEXT    NOT NULL,  -- the worker that checks
    check_end  REAL    NOT NULL,  -- until when nobody else may
    done       INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    skipped    INTEGER NOT NULL DEFAULT 0,
    empty      INTEGER NOT NULL DEFAULT 0,  -- stored without a passage
    chunks     INTEGER NOT NULL DEFAULT 0,
    tokens     INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL DEFAULT 0,
    reason     TEXT    NOT NULL DEFAULT '',  -- why it is stopped
    report     TEXT    NOT NULL DEFAULT '{}' -- JSON: what the last check found
);
CREATE UNIQUE INDEX ingestion_runs_open ON ingestion_runs (collection) WHERE status <> 'done';

-- A row for each file or record of a source.
CREATE TABLE files_queue (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    collection  INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    source      INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    run         INTEGER NOT NULL,            -- 0: before there were runs
    key         TEXT    NOT NULL,            -- of its document
    format      TEXT    NOT NULL,            -- markdown, pdf, source, …
    status      TEXT    NOT NULL,            -- pending, leased, done, failed, skipped, dead
    priority    INTEGER NOT NULL DEFAULT 0,  -- higher first
    attempts    INTEGER NOT NULL DEFAULT 0,  -- claims
    failures    INTEGER NOT NULL DEFAULT 0,  -- tries that failed
    losses      INTEGER NOT NULL DEFAULT 0,  -- claims whose worker was lost
    error       TEXT    NOT NULL DEFAULT '',
    worker      TEXT    NOT NULL DEFAULT '',
    size_bytes  INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    payload     TEXT    NOT NULL DEFAULT '', -- what the source needs to read it
    anew        INTEGER NOT NULL DEFAULT 0,  -- 1: even if its bytes are those that are stored
    n_chunks    INTEGER NOT NULL DEFAULT 0,
    n_tokens    INTEGER NOT NULL DEFAULT 0,
    not_before  REAL    NOT NULL DEFAULT 0,  -- when it may be tried again
    lease_end   REAL,
    queued_at   REAL    NOT NULL,
    started_at  REAL,
    finished_at REAL,
    read_s      REAL    NOT NULL DEFAULT 0,
    extract_s   REAL    NOT NULL DEFAULT 0,
    chunk_s     REAL    NOT NULL DEFAULT 0,
    embed_s     REAL    NOT NULL DEFAULT 0,
    write_s     REAL    NOT NULL DEFAULT 0,
    UNIQUE (collection, key)
);
INSERT INTO files_queue (collection, source, run, key, format, status, size_bytes, mtime_ns, queued_at)
SELECT collection, source, 0, key, language, 'done', size_bytes, mtime_ns, 0
FROM documents WHERE source IS NOT NULL;
CREATE INDEX files_queue_pending ON files_queue (collection, priority DESC, id)
    WHERE status = 'pending';
CREATE INDEX files_queue_leased ON files_queue (collection, worker) WHERE status = 'leased';
CREATE INDEX files_queue_dead ON files_queue (collection, source) WHERE status = 'dead';

-- Who works, and how it is.
CREATE TABLE workers (
    name       TEXT    NOT NULL PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    started_at REAL    NOT NULL,
    seen_at    REAL    NOT NULL,
    state      TEXT    NOT NULL,
    done       INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    chunks     INTEGER NOT NULL DEFAULT 0,
    rss_bytes  INTEGER NOT NULL,
    proved     INTEGER NOT NULL,
    error      TEXT    NOT NULL
);

-- How a run went on, worker by worker: a row for each report, counts since the worker joined.
CREATE TABLE ingestion_metrics (
    id         INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    run        INTEGER NOT NULL,
    worker     TEXT    NOT NULL,
    at         REAL    NOT NULL,
    seconds    REAL    NOT NULL,
    documents  INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    skipped    INTEGER NOT NULL,
    chunks     INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    rss_bytes  INTEGER NOT NULL
);
CREATE INDEX ingestion_metrics_run ON ingestion_metrics (run, at);
