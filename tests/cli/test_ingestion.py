"""How far an ingestion is, at the terminal: live, as lines of JSON, and afterwards."""

from __future__ import annotations

import io
import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from embedwell.app.config.place import default_file
from embedwell.app.indexes.progress import Observer
from embedwell.cli import progress, status
from embedwell.cli.ingestion import counts_line, headline, panel
from embedwell.core.errors import StoreGoneError
from embedwell.models.catalogue import card
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.queue import Item, Metrics, Outcome, Times, Worker
from embedwell.stores.registry import create_store

N_ROWS = 12


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def store(folder):
    """An index of which 4 documents are stored and 1 failed, with one worker."""
    file = default_file(folder)
    file.parent.mkdir()
    made = create_store(file, CollectionSettings(card("all-MiniLM-L6-v2").space, 60))
    queue = made.queue
    source = queue.add_source("folder", "papers", "", "here", {})
    run = queue.open_run(0)
    queue.enqueue(
        source.number, run.number, [Item(f"{n}.pdf", "pdf", 100, n) for n in range(N_ROWS)]
    )
    queue.report(Worker("w", "here", 1, state="working", rss_bytes=1 << 20))
    finish(made, 4)
    finish(made, 1, "failed", "The PDF is broken (7). Get another.")
    yield made
    made.close()


def finish(store, n, status="done", error=""):
    tasks = store.queue.claim("w", n, 60.0)
    took = Times(embed_s=0.1)
    store.put([], outcomes=[Outcome(task, status, error, n_chunks=2, times=took) for task in tasks])


def text(renderable, width=100):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_status_tells_of_the_run_and_its_failures(run, store):
    told = run("status").out
    assert "run 1 running" in told
    assert "12 documents: 7 pending (58.3 %), 4 done (33.3 %), 1 failed (8.3 %)" in told
    assert "1: The PDF is broken …" in told
    found = run("status", "--json").json["ingestion"]
    assert (found["run"], found["n_rows"], found["state"]) == (1, N_ROWS, "running")
    assert found["failures"][0]["example"] == "4.pdf"


def test_watching_with_json_writes_a_line_for_each_change_until_the_run_is_over(
    run, store, monkeypatch
):
    monkeypatch.setattr(status, "_LOOK_S", 0.0)
    monkeypatch.setattr("embedwell.app.indexes.progress._SHORTEST_S", 0.0)
    looks, look = [], Observer.look

    def looked(observer, queue):
        looks.append(1)
        if len(looks) == 3:
            finish(store, 7)
        if len(looks) == 5:
            store.queue.close_run()
        return look(observer, queue)

    monkeypatch.setattr(Observer, "look", looked)
    monkeypatch.setattr("embedwell.app.indexes.progress._SHARE", 1e9)
    lines = [json.loads(line) for line in run("status", "--watch", "--json").out.splitlines()]
    done = [{one["status"]: one["n"] for one in line["statuses"]}["done"] for line in lines]
    assert done == [4, 11, 11]
    assert [line["state"] for line in lines] == ["running", "running", "done"]
    assert lines[-1]["eta_s"] == 0.0


def test_watching_an_index_that_was_never_filled_ends_at_once(run, folder):
    file = default_file(folder)
    file.parent.mkdir()
    create_store(file, CollectionSettings(card("all-MiniLM-L6-v2").space, 60)).close()
    assert run("status", "--watch").out == ""
    assert run("status", "--json").json["ingestion"] is None


def test_watching_draws_all_that_there_is_to_know(run, store):
    store.queue.stop_run("half of all chunks are the same")
    told = run("status", "--watch").out
    for part in (
        *("run 1 stopped: half of all chunks are the same", "41.7 %", "pending", "58.3 %"),
        *("The PDF is broken …", "4.pdf", "working", "1.0 MiB"),
    ):
        assert part in told


def test_on_a_terminal_it_is_drawn_in_place(store, monkeypatch):
    from embedwell.cli import output

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert output.console().is_terminal
    store.queue.stop_run("enough")
    status._draw(iter([Observer().look(store.queue)] * 2))
    assert "\x1b[" in screen.getvalue()
    assert "run 1 stopped" in screen.getvalue()


def test_index_draws_how_far_it_is_and_what_it_waits_for(store, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(progress, "_SILENT_INDEX_S", 0.0)
    monkeypatch.setattr(progress, "_LOOK_S", 0.0)
    with progress.watching() as watch:
        watch.follow(store.queue)
        watch.progress("index", 1, 2, "bytes")
        watch.progress("wait for the database", 12, None, "seconds")
        watch.progress("list", 1, None, "documents")
    told = screen.getvalue()
    assert "run 1 running" in told
    assert "waits for the database (12 s)" in told


def test_a_database_that_is_away_does_not_end_what_is_drawn(store, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_SILENT_INDEX_S", 0.0)

    def gone(*_):
        raise StoreGoneError("It is away.", "Wait.")

    monkeypatch.setattr(Observer, "look", gone)
    with progress.watching() as watch:
        watch.follow(store.queue)
        watch.progress("index", 1, 2, "bytes")


def test_without_a_terminal_nothing_is_looked_at(store, monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(progress, "_SILENT_INDEX_S", 0.0)
    with progress.watching() as watch:
        watch.follow(store.queue)
        watch.progress("index", 1, 2, "bytes")
    assert pipe.getvalue() == ""


def test_each_state_has_its_line(store):
    found = Observer().look(store.queue)
    assert "documents/s" in headline(found)
    assert headline(found).endswith(" left")
    assert "waits for the database" in headline(found, "the database")
    assert "checks itself" in headline(replace(found, state="checking"))
    assert "nobody works on it" in headline(replace(found, workers=(), eta_s=None))
    assert "nothing is queued" in counts_line(replace(found, statuses=()))
    assert "took" in headline(replace(found, state="done"))


def test_many_kinds_of_failures_are_cut_short(store):
    found = Observer().look(store.queue)
    kinds = tuple(replace(found.failures[0], kind=f"kind {n}", n=2) for n in range(12))
    told = text(panel(replace(found, failures=kinds)))
    assert "4 other kinds" in told
    assert "8" in told.split("4 other kinds")[1]
    assert "kind 5" not in text(panel(replace(found, failures=kinds), is_brief=True))


def metrics(store):
    for seconds in (10, 20):
        for worker, n in (("a", 3), ("b", 1)):
            row = Metrics(1, worker, 1000.0 + seconds, seconds, n * seconds, 0, 0, n * 20, 0, 0, 9)
            store.queue.add_metrics(row)


def test_a_run_s_metrics_are_a_table_blocks_and_a_picture(run, store, tmp_path):
    metrics(store)
    told = run("runs", "1", "--metrics", "--plot", str(tmp_path / "run.svg")).out
    assert "documents" in told
    assert "all together" in told
    assert "█" in told
    picture = ET.parse(tmp_path / "run.svg")
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3
    rows = run("runs", "--metrics", "--json").json
    assert [(row["worker"], row["n_done"]) for row in rows] == [
        ("a", 30),
        ("b", 10),
        ("a", 60),
        ("b", 20),
    ]


def test_a_run_without_metrics_says_so(run, store, tmp_path):
    told = run("runs", "1", "--metrics", "--plot", str(tmp_path / "run.svg")).out
    assert "Nothing was written down of this run" in told
    assert not (tmp_path / "run.svg").exists()
    assert run("runs", "7", "--metrics").code == 1
