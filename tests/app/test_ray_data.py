"""Parquet files on a Ray cluster: every row stored once, bad ones alone.

What needs Ray is skipped where it is not installed, as in CI; the actor is tested everywhere.
"""

from __future__ import annotations

import sys
import threading
import time

import pytest

from embedwell.app.indexes import ray_data
from embedwell.app.indexes.opening import open_index
from embedwell.core.errors import (
    MissingExtraError,
    QueueError,
    StoreFullError,
    StoreNotFoundError,
    StoreSetupError,
)
from embedwell.ingest.walk import Skipped


class Table:
    """What an actor uses of a `pyarrow.Table`."""

    def __init__(self, *rows):
        self.rows = rows
        self.num_rows = len(rows)

    def to_pylist(self):
        return list(self.rows)


@pytest.fixture
def indexer(real_cache, database):
    open_index(db=database).close()
    return ray_data.Indexer(database, 1, "text", "id")


def documents(database):
    with open_index(db=database, create=False) as index:
        return index.store.records()


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "embedwell\[ray\]"'):
        ray_data.index_parquet("x.parquet", "postgresql://nowhere/x")


def test_a_file_is_no_place_for_several_machines(monkeypatch, tmp_path):
    monkeypatch.setattr(ray_data, "_ray_data", lambda: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreSetupError, match="is a file, to which several machines cannot write"):
        ray_data.index_parquet("x.parquet")


def test_an_actor_stores_a_batch_and_names_what_failed(indexer, database):
    told = indexer(
        Table(
            {"id": "a", "text": "The spare key hangs behind the clock.", "year": 2020},
            {"id": None, "text": "a text without a name"},
            {"id": "n", "text": None},
            {"id": " ", "text": "an empty name"},
            {"id": "long", "text": "x" * (17 << 20)},
            {"id": "b", "text": "The boat lies in the harbour."},
        )
    )
    assert told["n_stored"] == [3, 0, 0, 0]
    assert told["key"] == ["", "n", " ", "long"]
    assert [reason[:12] for reason in told["reason"]] == [
        "",
        "has no text",
        "has an empty",
        "Its text has",
    ]
    with open_index(db=database, create=False) as index:
        assert index.counts().documents == 3
        best = index.search("where is the key", where={"year": 2020}).results[0]
        assert best.chunk.key == "a"


def test_what_ends_the_job_arrives_as_itself(database):
    actor = ray_data.Indexer(database, 1, "text", "id")  # there is no index in it
    rows = actor(Table({"id": "a", "text": "t"}))
    told = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    with pytest.raises(StoreNotFoundError):
        ray_data._added_up(iter(told))


def test_a_store_that_is_lost_ends_the_job(indexer, monkeypatch):
    def gone(*_):
        raise StoreFullError("The disk is full.", "Make room.")

    monkeypatch.setattr(ray_data, "add_records", gone)
    assert "StoreFullError" in indexer(Table({"id": "a", "text": "t"}))["error"][0]


def test_a_batch_of_nothing_good_stores_nothing(indexer):
    assert indexer(Table({"id": "n", "text": 7}))["n_stored"] == [0, 0]


def test_values_that_json_has_not_are_texts():
    import datetime as dt

    row = {"id": 7, "text": "t", "day": dt.date(2020, 1, 2), "tags": ["x"]}
    found = ray_data._record(row, "text", "id")
    assert (found.id, found.metadata) == ("7", {"day": "2020-01-02", "tags": ["x"]})
    odd = ray_data._record({"id": "n", "text": "t", "x": float("nan")}, "text", "id")
    assert isinstance(odd, Skipped)


@pytest.fixture
def cluster(real_cache):
    """Two nodes on this machine, with too few processors for two actors on one of them."""
    ray = pytest.importorskip("ray", reason="Ray is an extra, and large")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    nodes.add_node(num_cpus=3)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="comes with Ray")
    from pyarrow import parquet

    for number in range(4):
        rows = range(number * 100, number * 100 + 100)
        table = pyarrow.table(
            {
                "id": [f"row {row}" for row in rows],
                "text": [None if row == 250 else f"Box {row} holds {row} apples." for row in rows],
                "shelf": [row % 7 for row in rows],
            }
        )
        parquet.write_table(table, tmp_path / f"{number}.parquet")
    return str(tmp_path)


@pytest.mark.filterwarnings("ignore")  # Ray's own, and its many files left open
def test_two_nodes_store_every_row_once(cluster, parquet, database):
    for _ in range(2):  # the second time nothing is new
        report = ray_data.index_parquet(parquet, database, n_actors=2, cpus=2, batch_size=32)
        assert report.n_stored == 399
        assert report.failed == [Skipped("row 250", "has no text", "failed")]
        assert sorted(documents(database)) == sorted(
            f"row {row}" for row in range(400) if row != 250
        )
    with open_index(db=database, create=False) as index:
        assert index.counts().chunks == 399
        assert index.search("Box 123", where={"shelf": 4}).results[0].chunk.key == "row 123"
        assert index.store.check() == []
        assert index.store.queue.run().status == "done"
    with pytest.raises(QueueError, match=r"no column 'body'.*: id, text, shelf"):
        ray_data.index_parquet(parquet, database, text="body")


@pytest.mark.filterwarnings("ignore")
def test_a_node_that_dies_costs_no_row(cluster, parquet, database):
    stored_before = []

    def kill_a_node():
        while not (stored := documents_or_none(database)):
            time.sleep(0.05)
        stored_before.extend(stored)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    report = ray_data.index_parquet(parquet, database, n_actors=2, cpus=2, batch_size=4)
    killer.join()
    assert 0 < len(stored_before) < 399
    assert report.n_stored == 399
    assert len(documents(database)) == 399
    with open_index(db=database, create=False) as index:
        assert index.store.check() == []


def documents_or_none(database):
    try:
        return documents(database)
    except StoreNotFoundError:
        return []
