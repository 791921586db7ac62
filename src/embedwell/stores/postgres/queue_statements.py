"""The SQL of the queue, by name. Times of the port are seconds since 1970.

Locks are taken in one order, so that nobody waits in a circle: rows of the queue by id, documents
by key, the worker's row, the run's row. Those that take the run's row first wait for no other.
"""

from __future__ import annotations

# One at a time: those that add sources and rows, and those that remove them.
QUEUEING = "SELECT pg_advisory_xact_lock(%s, %s)"

# Sources

SOURCES = """
    SELECT id, kind, name, prefix, place, host, options::text FROM sources
    WHERE collection = %s ORDER BY id
"""
ADD_SOURCE = """
    INSERT INTO sources (collection, kind, name, prefix, place, host, options)
    VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id
"""
SET_SOURCE = "UPDATE sources SET place = %s, host = %s, options = %s WHERE id = %s"
WAITING = """
    SELECT key, size_bytes, mtime_ns FROM files_queue
    WHERE collection = %s AND status IN ('pending', 'leased', 'dead') AND source = %s
"""
UNSTORED = """
    SELECT key FROM files_queue
    WHERE collection = %s AND source = %s AND status IN ('failed', 'skipped')
    AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.collection = files_queue.collection
                    AND documents.key = files_queue.key)
"""

# Runs

_RUN = """
    SELECT id, status, extract(epoch FROM started_at)::float8,
           extract(epoch FROM ended_at)::float8, canary_at, rehearsal, done, failed, skipped,
           empty, chunks, tokens, bytes, reason, report::text
    FROM ingestion_runs WHERE collection = %s
"""
RUNS = _RUN + " ORDER BY id"
RUN = _RUN + " AND id = %s"
NEWEST_RUN = _RUN + " ORDER BY id DESC LIMIT 1"
OPEN_RUN = _RUN + " AND status <> 'done'"
LOCK_OPEN_RUN = OPEN_RUN + " FOR NO KEY UPDATE"
LOCK_RUN = "SELECT status FROM ingestion_runs WHERE id = %s FOR NO KEY UPDATE"
ADD_RUN = """
    INSERT INTO ingestion_runs
        (collection, status, started_at, canary_at, rehearsal, checker, check_end)
    VALUES (%s, 'running', now(), %s, %s, '', 'epoch') ON CONFLICT DO NOTHING
"""
REOPEN_RUN = """
    UPDATE ingestion_runs SET status = 'running', ended_at = NULL
    WHERE id = %s AND NOT EXISTS (
        SELECT FROM ingestion_runs AS other
        WHERE other.collection = ingestion_runs.collection AND other.status <> 'done')
"""
COUNT_IN_RUN = """
    UPDATE ingestion_runs
    SET done = done + %s, failed = failed + %s, skipped = skipped + %s, empty = empty + %s,
        chunks = chunks + %s, tokens = tokens + %s, bytes = bytes + %s
    WHERE id = %s
"""
END_RUN = "UPDATE ingestion_runs SET status = 'done', ended_at = now() WHERE id = %s"
STOP_RUN = """
    UPDATE ingestion_runs SET status = 'stopped', reason = %s
    WHERE collection = %s AND status <> 'done'
"""
RESUME_RUN = """
    UPDATE ingestion_runs SET status = 'running', reason = ''
    WHERE collection = %s AND status = 'stopped'
"""
BEGIN_CHECK = """
    UPDATE ingestion_runs
    SET status = 'checking', checker = %s,
        check_end = clock_timestamp() + make_interval(secs => %s)
    WHERE id = %s
"""
CHECK_END = """
    SELECT extract(epoch FROM check_end)::float8, extract(epoch FROM clock_timestamp())::float8
    FROM ingestion_runs WHERE id = %s
"""
END_CHECK = """
    UPDATE ingestion_runs
    SET status = %s, canary_at = %s, reason = %s, report = %s, check_end = 'epoch',
        rehearsal = false
    WHERE collection = %s AND status <> 'done'
"""

# Rows

LOCK_KEYS = """
    SELECT id FROM files_queue WHERE collection = %s AND key = ANY(%s) ORDER BY id FOR UPDATE
"""
ENQUEUE = """
    INSERT INTO files_queue
        (collection, source, run, key, format, status, priority, size_bytes, mtime_ns, payload,
         anew, queued_at)
    SELECT %(collection)s, %(source)s, %(run)s, key, format, 'pending', %(priority)s, size_bytes,
           mtime_ns, payload, anew, now()
    FROM unnest(%(keys)s::text[], %(formats)s::text[], %(sizes)s::bigint[], %(mtimes)s::bigint[],
                %(payloads)s::text[], %(anew)s::boolean[])
        AS items (key, format, size_bytes, mtime_ns, payload, anew)
    ON CONFLICT (collection, key) DO UPDATE
    SET source = excluded.source, run = excluded.run, format = excluded.format,
        status = 'pending', priority = excluded.priority, failures = 0, losses = 0, error = '',
        worker = '', size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,
        payload = excluded.payload, anew = excluded.anew, not_before = '-infinity',
        lease_end = NULL, queued_at = excluded.queued_at
"""
ANALYZE = "ANALYZE files_queue"
# Whoever finishes a row at this moment has locked it: it is not lost.
_LOSE = """
    WITH lost AS MATERIALIZED (
        SELECT id FROM files_queue WHERE collection = %(collection)s AND status = 'leased' {which}
        ORDER BY id FOR UPDATE {wait}
    )
    UPDATE files_queue
    SET losses = losses + 1, worker = '', lease_end = NULL,
        status = CASE WHEN losses + 1 < %(most)s THEN 'pending' ELSE 'dead' END,
        error = CASE WHEN losses + 1 < %(most)s THEN error ELSE %(error)s END
    FROM lost WHERE files_queue.id = lost.id
"""
LOSE = _LOSE.format(
    which="AND NOT (lease_end > now() AND lease_end <= now() + make_interval(secs => %(longest)s))",
    wait="SKIP LOCKED",
)
LOSE_OF_WORKER = _LOSE.format(which="AND worker = %(worker)s", wait="")
N_LEFT = """
    SELECT count(*) FROM (
        SELECT FROM files_queue WHERE collection = %s AND status = 'pending' LIMIT 1) AS left_over
"""
N_LEASED = "SELECT count(*) FROM files_queue WHERE collection = %s AND status = 'leased'"
LEASE = """
    WITH next AS MATERIALIZED (
        SELECT id FROM files_queue
        WHERE collection = %(collection)s AND status = 'pending'
          AND NOT (not_before > now() AND not_before <= now() + make_interval(secs => %(longest)s))
          AND losses BETWEEN %(least)s AND %(most)s
        ORDER BY priority DESC, id LIMIT %(n)s FOR UPDATE SKIP LOCKED
    )
    UPDATE files_queue
    SET status = 'leased', worker = %(worker)s, started_at = clock_timestamp(),
        lease_end = clock_timestamp() + make_interval(secs => %(lease_s)s),
        attempts = attempts + 1
    FROM next WHERE files_queue.id = next.id
    RETURNING priority, files_queue.id, source, run, key, format, size_bytes, mtime_ns, payload,
        anew, attempts, failures,
        coalesce((SELECT sha256 FROM documents WHERE documents.collection = files_queue.collection
                  AND documents.key = files_queue.key), '')
"""
_OF_WORKER = """
    WITH held AS MATERIALIZED (
        SELECT id FROM files_queue
        WHERE collection = %(collection)s AND status = 'leased' AND worker = %(worker)s
        ORDER BY id FOR UPDATE
    )
    UPDATE files_queue SET {change} FROM held WHERE files_queue.id = held.id
"""
RENEW = _OF_WORKER.format(
    change="lease_end = clock_timestamp() + make_interval(secs => %(lease_s)s)"
)
RELEASE = _OF_WORKER.format(change="status = 'pending', worker = '', lease_end = NULL")
LOCK_HELD = """
    SELECT files_queue.id FROM files_queue
    JOIN unnest(%s::bigint[], %s::text[], %s::integer[]) AS tasks (id, worker, attempts)
        USING (id, worker, attempts)
    WHERE status = 'leased' ORDER BY files_queue.id FOR UPDATE OF files_queue
"""
FINISH = """
    UPDATE files_queue
    SET status = outcomes.status, error = outcomes.error, finished_at = now(), lease_end = NULL,
        not_before = now() + make_interval(secs => outcomes.retry_s),
        failures = failures + outcomes.has_failed::integer,
        payload = CASE WHEN outcomes.is_through THEN '' ELSE payload END,
        n_chunks = outcomes.n_chunks, n_tokens = outcomes.n_tokens, read_s = outcomes.read_s,
        extract_s = outcomes.extract_s, chunk_s = outcomes.chunk_s, embed_s = outcomes.embed_s,
        write_s = outcomes.write_s
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::float8[], %s::boolean[], %s::boolean[],
                %s::integer[], %s::bigint[], %s::float8[], %s::float8[], %s::float8[],
                %s::float8[], %s::float8[])
        AS outcomes (id, status, error, retry_s, has_failed, is_through, n_chunks, n_tokens,
                     read_s, extract_s, chunk_s, embed_s, write_s)
    WHERE files_queue.id = outcomes.id
"""
FORGET = "DELETE FROM files_queue WHERE collection = %s AND key = ANY(%s)"
NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
TALLY = """
    SELECT status, format, count(*), sum(size_bytes)::bigint,
           sum(read_s + extract_s + chunk_s + embed_s + write_s), sum(n_chunks)::bigint,
           count(*) FILTER (WHERE is_late),
           coalesce(sum(size_bytes) FILTER (WHERE is_late), 0)::bigint,
           coalesce(sum(read_s + extract_s + chunk_s + embed_s + write_s)
               FILTER (WHERE is_late), 0),
           coalesce(sum(n_chunks) FILTER (WHERE is_late), 0)::bigint,
           extract(epoch FROM min(started_at) FILTER (WHERE is_late))::float8,
           extract(epoch FROM max(finished_at) FILTER (WHERE is_late))::float8
    FROM files_queue, LATERAL (SELECT finished_at >= to_timestamp(%(since)s) AS is_late) AS moment
    WHERE collection = %(collection)s AND (%(run)s::bigint IS NULL OR run = %(run)s)
    GROUP BY status, format ORDER BY status COLLATE "C", format COLLATE "C"
"""
# Rows of which a document will be stored for sure; of others the bytes may be the same.
N_TO_STORE = """
    SELECT count(*) FROM files_queue
    WHERE collection = %s AND status IN ('pending', 'leased') AND (anew OR NOT EXISTS (
        SELECT FROM documents WHERE documents.collection = files_queue.collection
        AND documents.key = files_queue.key))
"""
FAULTS = """
    SELECT
        (SELECT count(*) FROM files_queue WHERE status = 'done' AND NOT EXISTS (
            SELECT FROM documents WHERE documents.collection = files_queue.collection
            AND documents.key = files_queue.key)),
        (SELECT count(*) FROM documents WHERE source IS NOT NULL AND NOT EXISTS (
            SELECT FROM files_queue WHERE files_queue.collection = documents.collection
            AND files_queue.key = documents.key)),
        (SELECT count(*) FROM files_queue
         WHERE status = 'leased' AND (lease_end IS NULL OR worker = ''))
"""
MEANT = """
    FROM files_queue JOIN sources ON sources.id = files_queue.source
    WHERE files_queue.collection = %(collection)s
      AND (%(source)s::text = '' OR sources.name = %(source)s)
      AND (%(run)s = 0 OR run = %(run)s)
      AND (%(statuses)s::text[] = '{}' OR status = ANY(%(statuses)s))
"""
ENTRIES = f"""
    SELECT files_queue.key, format, size_bytes, mtime_ns, payload, anew, sources.name, status,
           failures, losses, error, worker, run
    {MEANT} ORDER BY files_queue.id LIMIT %(n)s
"""
LOCK_TO_RETRY = f"""
    SELECT files_queue.id {MEANT} AND status IN ('failed', 'dead')
    ORDER BY files_queue.id FOR UPDATE OF files_queue
"""
RETRY = """
    UPDATE files_queue
    SET status = 'pending', run = %s, failures = 0, losses = 0, error = '', worker = '',
        not_before = '-infinity', lease_end = NULL, anew = true
    WHERE id = ANY(%s)
"""

# Workers

REPORT = """
    INSERT INTO workers
        (name, collection, host, pid, started_at, seen_at, state, rss_bytes, proved, error)
    VALUES (%s, %s, %s, %s, now(), now(), %s, %s, %s, %s)
    ON CONFLICT (name) DO UPDATE
    SET seen_at = excluded.seen_at, state = excluded.state, rss_bytes = excluded.rss_bytes,
        proved = excluded.proved, error = excluded.error
"""
COUNT_OF_WORKER = """
    UPDATE workers SET done = done + %s, failed = failed + %s, chunks = chunks + %s WHERE name = %s
"""
WORKERS = """
    SELECT name, host, pid, extract(epoch FROM started_at)::float8,
           extract(epoch FROM seen_at)::float8, state, done, failed, chunks, rss_bytes, proved,
           error
    FROM workers WHERE collection = %s ORDER BY name COLLATE "C"
"""
FORGET_WORKER = "DELETE FROM workers WHERE name = %s"
ADD_METRICS = """
    INSERT INTO ingestion_metrics
        (collection, run, worker, at, seconds, documents, failed, skipped, chunks, tokens, bytes,
         rss_bytes)
    VALUES (%s, %s, %s, to_timestamp(%s), %s, %s, %s, %s, %s, %s, %s, %s)
"""
METRICS = """
    SELECT run, worker, extract(epoch FROM at)::float8, seconds, documents, failed, skipped,
           chunks, tokens, bytes, rss_bytes
    FROM ingestion_metrics WHERE collection = %s AND run = %s ORDER BY at, id
"""
