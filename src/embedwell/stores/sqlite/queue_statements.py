"""The SQL of the queue, by name."""

from __future__ import annotations

# Sources

SOURCES = """
SELECT id, kind, name, prefix, place, host, options FROM sources WHERE collection = ? ORDER BY id
"""
ADD_SOURCE = """
    INSERT INTO sources (collection, kind, name, prefix, place, host, options)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
SET_SOURCE = "UPDATE sources SET place = ?, host = ?, options = ? WHERE id = ?"
_WAITING = """
    SELECT key, size_bytes, mtime_ns FROM files_queue
    WHERE collection = ?1 AND status = '{}' AND source = ?2
"""
# Each has an index of its own, which `status IN (…)` would not use.
WAITING = " UNION ALL ".join(map(_WAITING.format, ("pending", "leased", "dead")))
UNSTORED = """
    SELECT key FROM files_queue
    WHERE +collection = ? AND source = ? AND status IN ('failed', 'skipped')
    AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.collection = files_queue.collection
                    AND documents.key = files_queue.key)
"""

# Runs

_RUN = """
    SELECT id, status, started_at, ended_at, canary_at, rehearsal, done, failed, skipped, empty,
           chunks, tokens, bytes, reason, report
    FROM ingestion_runs WHERE collection = ?
"""
RUNS = _RUN + " ORDER BY id"
RUN = _RUN + " AND id = ?"
NEWEST_RUN = _RUN + " ORDER BY id DESC LIMIT 1"
OPEN_RUN = _RUN + " AND status <> 'done'"
ADD_RUN = """
    INSERT INTO ingestion_runs
        (collection, status, started_at, canary_at, rehearsal, checker, check_end)
    VALUES (?, 'running', ?, ?, ?, '', 0)
"""
COUNT_IN_RUN = """
    UPDATE ingestion_runs
    SET done = done + ?, failed = failed + ?, skipped = skipped + ?, empty = empty + ?,
        chunks = chunks + ?, tokens = tokens + ?, bytes = bytes + ?
    WHERE id = ?
"""
END_RUN = "UPDATE ingestion_runs SET status = 'done', ended_at = ? WHERE id = ?"
REOPEN_RUN = """
    UPDATE ingestion_runs SET status = 'running', ended_at = NULL
    WHERE id = ? AND NOT EXISTS (
        SELECT 1 FROM ingestion_runs AS other
        WHERE other.collection = ingestion_runs.collection AND other.status <> 'done')
"""
SET_RUN = "UPDATE ingestion_runs SET status = ?, reason = ? WHERE id = ?"
BEGIN_CHECK = """
    UPDATE ingestion_runs SET status = 'checking', checker = ?, check_end = ? WHERE id = ?
"""
CHECK_END = "SELECT check_end FROM ingestion_runs WHERE id = ?"
END_CHECK = """
    UPDATE ingestion_runs
    SET status = ?, canary_at = ?, reason = ?, report = ?, check_end = 0, rehearsal = 0
    WHERE id = ?
"""

# Rows

ENQUEUE = """
    INSERT INTO files_queue
        (collection, source, run, key, format, status, priority, size_bytes, mtime_ns, payload,
         anew, queued_at)
    VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?)
    ON CONFLICT (collection, key) DO UPDATE
    SET source = excluded.source, run = excluded.run, format = excluded.format,
        status = 'pending', priority = excluded.priority, failures = 0, losses = 0, error = '',
        worker = '', size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,
        payload = excluded.payload, anew = excluded.anew, not_before = 0, lease_end = NULL,
        queued_at = excluded.queued_at
"""
_LOSE = """
    UPDATE files_queue
    SET losses = losses + 1, worker = '', lease_end = NULL,
        status = CASE WHEN losses + 1 < ? THEN 'pending' ELSE 'dead' END,
        error = CASE WHEN losses + 1 < ? THEN error ELSE ? END
    WHERE collection = ? AND status = 'leased'
"""
LOSE = _LOSE + "AND (lease_end <= ? OR lease_end > ?)"
LOSE_OF_WORKER = _LOSE + "AND worker = ?"
N_LEFT = """
    SELECT count(*) FROM (
        SELECT 1 FROM files_queue WHERE collection = ? AND status = 'pending' LIMIT 1)
"""
N_LEASED = "SELECT count(*) FROM files_queue WHERE collection = ? AND status = 'leased'"
NEXT = """
    SELECT files_queue.id, files_queue.source, run, files_queue.key, format,
           files_queue.size_bytes, files_queue.mtime_ns, payload, anew, attempts + 1, failures,
           coalesce(documents.sha256, '')
    FROM files_queue
    LEFT JOIN documents ON documents.collection = files_queue.collection
        AND documents.key = files_queue.key
    WHERE files_queue.collection = ? AND status = 'pending' AND losses {losses}
    AND NOT (not_before > ? AND not_before <= ?)
    ORDER BY priority DESC, files_queue.id LIMIT ?
"""  # a wait that ends later than any can was written by another clock: it has ended
LEASE = """
    UPDATE files_queue
    SET status = 'leased', worker = ?, lease_end = ?, started_at = ?, attempts = attempts + 1
    WHERE id = ?
"""
RENEW = """
    UPDATE files_queue SET lease_end = ?
    WHERE collection = ? AND status = 'leased' AND worker = ?
"""
RELEASE = """
    UPDATE files_queue SET status = 'pending', worker = '', lease_end = NULL
    WHERE collection = ? AND status = 'leased' AND worker = ?
"""
LEASED_AMONG = """
    SELECT id, worker, attempts FROM files_queue
    WHERE status = 'leased' AND id IN (SELECT value FROM json_each(?))
"""
FINISH = """
    UPDATE files_queue
    SET status = ?, error = ?, not_before = ?, failures = failures + ?, finished_at = ?,
        n_chunks = ?, n_tokens = ?, read_s = ?, extract_s = ?, chunk_s = ?, embed_s = ?,
        write_s = ?, lease_end = NULL, payload = CASE WHEN ? THEN '' ELSE payload END
    WHERE id = ?
"""
FORGET = "DELETE FROM files_queue WHERE collection = ? AND key = ?"
TALLY = """
    SELECT status, format, count(*), sum(size_bytes),
           sum(read_s + extract_s + chunk_s + embed_s + write_s), sum(n_chunks),
           count(*) FILTER (WHERE finished_at >= :since),
           coalesce(sum(size_bytes) FILTER (WHERE finished_at >= :since), 0),
           coalesce(sum(read_s + extract_s + chunk_s + embed_s + write_s)
               FILTER (WHERE finished_at >= :since), 0),
           coalesce(sum(n_chunks) FILTER (WHERE finished_at >= :since), 0),
           min(started_at) FILTER (WHERE finished_at >= :since),
           max(finished_at) FILTER (WHERE finished_at >= :since)
    FROM files_queue WHERE +collection = :collection AND (:run IS NULL OR run = :run)
    GROUP BY status, format ORDER BY status, format
"""  # the plus sign: all rows are read, and in their own order that is four times as fast
_ENTRY = """
    SELECT files_queue.key, format, size_bytes, mtime_ns, payload, anew, sources.name, status,
           failures, losses, error, worker, run
    FROM files_queue JOIN sources ON sources.id = files_queue.source
"""
MEANT = """
    WHERE files_queue.collection = :collection AND (:source = '' OR sources.name = :source)
    AND (:run = 0 OR run = :run)
    AND (:statuses = '[]' OR status IN (SELECT value FROM json_each(:statuses)))
"""
ENTRIES = _ENTRY + MEANT + "ORDER BY files_queue.id LIMIT :n"
_TO_RETRY = """
    FROM files_queue JOIN sources ON sources.id = files_queue.source
    {meant} AND status IN ('failed', 'dead')
""".replace("{meant}", MEANT)
N_TO_RETRY = "SELECT count(*)" + _TO_RETRY
RETRY = """
    UPDATE files_queue
    SET status = 'pending', run = :into, failures = 0, losses = 0, error = '', worker = '',
        not_before = 0, lease_end = NULL, anew = 1
    WHERE id IN (SELECT files_queue.id {to_retry})
""".replace("{to_retry}", _TO_RETRY)

# Workers

REPORT = """
    INSERT INTO workers
        (name, collection, host, pid, started_at, seen_at, state, rss_bytes, proved, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE
    SET seen_at = excluded.seen_at, state = excluded.state, rss_bytes = excluded.rss_bytes,
        proved = excluded.proved, error = excluded.error
"""
COUNT_OF_WORKER = """
    UPDATE workers SET done = done + ?, failed = failed + ?, chunks = chunks + ? WHERE name = ?
"""
WORKERS = """
    SELECT name, host, pid, started_at, seen_at, state, done, failed, chunks, rss_bytes, proved,
           error
    FROM workers WHERE collection = ? ORDER BY name
"""
FORGET_WORKER = "DELETE FROM workers WHERE name = ?"
ADD_METRICS = """
    INSERT INTO ingestion_metrics
        (collection, run, worker, at, seconds, documents, failed, skipped, chunks, tokens, bytes,
         rss_bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
METRICS = """
    SELECT run, worker, at, seconds, documents, failed, skipped, chunks, tokens, bytes, rss_bytes
    FROM ingestion_metrics WHERE collection = ? AND run = ? ORDER BY at, id
"""

# What may be wrong

FAULTS = """
    SELECT
        (SELECT count(*) FROM files_queue WHERE status = 'done' AND NOT EXISTS (
            SELECT 1 FROM documents WHERE documents.collection = files_queue.collection
            AND documents.key = files_queue.key)),
        (SELECT count(*) FROM documents WHERE source IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM files_queue WHERE files_queue.collection = documents.collection
            AND files_queue.key = documents.key)),
        (SELECT count(*) FROM files_queue
         WHERE status = 'leased' AND (lease_end IS NULL OR worker = ''))
"""
