"""The statements that docs/postgres.md gives to people, as they stand there."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from store_samples import SETTINGS, item

from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.queue import Item, Metrics, Outcome, Worker

PAGE = Path(__file__).parents[2] / "docs" / "postgres.md"
FAILED = ("broken.pdf", "broken too.pdf")


@pytest.fixture
def rows(database):
    """What each statement of the page gives for a small collection, by how it begins."""
    with closing(PostgresStore.create(database, SETTINGS)) as store:
        fill(store)
        (block,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        found = {}
        with psycopg.connect(database, autocommit=True) as connection:
            for statement in re.sub("--.*", "", block).split(";"):
                text = " ".join(statement.split())
                if text:
                    cursor = connection.execute(text)
                    found[text] = cursor.fetchall() if cursor.description else []
    return lambda begin: next(rows for text, rows in found.items() if begin in text)


def fill(store) -> None:
    source = store.queue.add_source("folder", "notes", "", "", {})
    run = store.queue.open_run(0).number
    names = ("notes/a.md", "b.md", "c.py", *FAILED, "waits.md", "leased.md", "empty.md")
    items = [Item(name, name.rpartition(".")[2], 1, 1) for name in names]
    store.queue.enqueue(source.number, run, items)
    store.queue.report(Worker("w", "host", 5))
    *tasks, leased = store.queue.claim("w", 7, 60)
    assert leased.item.key == "leased.md"
    texts = {"notes/a.md": ["alpha", "beta"], "b.md": ["gamma"], "c.py": ["delta"]}
    documents = [
        item(name, texts[name], **({"kind": "code", "language": "python"} if "py" in name else {}))
        for name in texts
    ]
    documents.append(item("empty.md", []))
    store.put(
        [replace(one, document=replace(one.document, source=source.number)) for one in documents],
        outcomes=[
            Outcome(task, "failed", error="not a PDF")
            if task.item.key in FAILED
            else Outcome(task, "done", n_chunks=1)
            for task in tasks
            if task.item.key != "waits.md"
        ],
    )
    store.queue.add_metrics(Metrics(run, "w", 1, 2, 3, 2, 0, 4, 5, 6, 7))


def test_documents_and_passages_are_counted(rows):
    ((n, n_embedded, size),) = rows("pg_size_pretty")
    assert (n, n_embedded) == (4, 3)
    assert size.endswith("kB")
    assert rows("FROM parsed_files") == [(4,)]
    assert rows("FROM document_chunks") == [(3, 3, 2)]
    assert rows("FROM code_chunks") == [("python", 1, 1)]


def test_the_queue_is_told_by_status_with_percentages(rows):
    told = {status: (n, float(percent)) for status, n, percent in rows("percent")}
    assert told == {
        "done": (3, 37.5),
        "failed": (2, 25.0),
        "leased": (2, 25.0),
        "pending": (1, 12.5),
    }
    assert rows("one_of_them") == [("not a PDF", 2, "broken too.pdf")]
    assert [row[:2] for row in rows("MIN(lease_end)")] == [("w", 2)]


def test_runs_and_workers_are_told(rows):
    ((number, status, done, failed, *_),) = rows("AS took")
    assert (number, status, done, failed) == (1, "running", 3, 2)
    ((name, state, *_),) = rows("silent_for")
    assert (name, state) == ("w", "starting")
    assert rows("documents_a_second") == [("w", 1.5)]
    assert {row[0] for row in rows("cut_ms")} == {"md", "py"}
    assert rows("pg_stat_progress") == []


def test_search_works_from_sql(rows):
    found = [file for file, _, _ in rows("ORDER BY embedding")]
    assert set(found) == {"notes/a.md", "b.md"}
