"""One index filled from folders, lists, records, queries, and what a package brings."""

from __future__ import annotations

import importlib.metadata
import io
import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.requests import (
    AgainRequest,
    FolderRequest,
    OtherRequest,
    PathsRequest,
    QueryRequest,
    RecordsRequest,
)
from embedwell.core.errors import QueueError, StoreNotFoundError
from embedwell.ingest.sources.protocol import Content
from embedwell.ingest.sources.records import Record, Records
from embedwell.jobs.sweeping.sweep import Sweeping
from embedwell.models.catalogue import card
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.queue import Which
from embedwell.stores.registry import create_store, open_store
from embedwell.testing import FakeEmbedder

SPACE = card("all-MiniLM-L6-v2").space


@pytest.fixture
def home(tmp_path):
    place = tmp_path / "home"
    (place / "docs").mkdir(parents=True)
    (place / "a.md").write_text("alpha words")
    (place / "docs/b.md").write_text("beta words")
    (place / "docs/c.py").write_text("c = 1")
    return place


@pytest.fixture
def other(tmp_path):
    place = tmp_path / "other"
    place.mkdir()
    (place / "a.md").write_text("another alpha")
    return place


def opened(file) -> Index:
    settings = structs.replace(Settings(), model=SPACE.model)
    return Index(file, open_store(file), settings, connect=lambda s, w: FakeEmbedder(SPACE))


@pytest.fixture
def index(home):
    file = home / ".embedwell/index.db"
    create_store(file, CollectionSettings(SPACE, 60)).close()
    with opened(file) as found:
        yield found


def keys(index) -> list[str]:
    numbers = [source.number for source in index.sources()]
    return sorted(key for number in numbers for key in index.store.stats(number))


def counts(report) -> tuple[int, int, int, int]:
    return report.n_added, report.n_updated, report.n_removed, report.n_unchanged


def lines(*records) -> io.BytesIO:
    return io.BytesIO("".join(f"{json.dumps(record)}\n" for record in records).encode())


def test_a_second_folder_has_its_name_before_its_keys(index, other):
    index.add_folder()
    assert counts(index.add_folder(other, name="notes")) == (1, 0, 0, 0)
    assert keys(index) == ["a.md", "docs/b.md", "docs/c.py", "notes:a.md"]
    assert [(one.name, one.prefix) for one in index.sources()] == [
        ("home", ""),
        ("notes", "notes:"),
    ]
    found = index.search("another alpha", where={"path": "notes:**"})
    assert [result.chunk.key for result in found.results] == ["notes:a.md"]
    found = index.search("alpha", where={"path": "*.md"})
    assert {result.chunk.key for result in found.results} == {"a.md", "docs/b.md", "notes:a.md"}
    (other / "a.md").unlink()
    assert counts(index.add_folder(other)) == (0, 0, 1, 0)
    assert counts(index.add_folder()) == (0, 0, 0, 3)


def test_each_folder_has_one_name_and_each_name_one_folder(index, other, tmp_path):
    index.add_folder()
    index.add_folder(other)
    (tmp_path / "third").mkdir()
    with pytest.raises(QueueError, match="There is a source 'other' in this index already"):
        index.add_folder(tmp_path / "third", name="other")
    with pytest.raises(QueueError, match="is in this index as source 'other'"):
        index.add_folder(other, name="third")
    for bad in ("a/b", "a:b", "x" * 65, "  ", "*"):
        with pytest.raises(QueueError, match="cannot be the name of a source"):
            index.add_folder(tmp_path / "third", name=bad)
    with pytest.raises(StoreNotFoundError, match="is not a folder"):
        index.add_folder(tmp_path / "fourth")


def test_those_who_index_one_new_folder_together_share_its_source(index, home, other):
    together, found = threading.Barrier(4), []

    def work():
        with opened(home / ".embedwell/index.db") as mine:
            together.wait()
            try:
                found.append(mine.add_folder(other).failed)
            except QueueError as error:
                found.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[], [], [], []]
    assert keys(index) == ["a.md"]


def test_a_folder_whose_name_is_taken_gets_a_number(index, other, tmp_path):
    index.add_folder(other)
    for number in (2, 3):
        (tmp_path / f"in{number}/other").mkdir(parents=True)
        index.add_folder(tmp_path / f"in{number}/other")
    assert [one.name for one in index.sources()] == ["other", "other-2", "other-3"]


def test_no_file_is_in_an_index_twice(index, home, tmp_path):
    index.add_folder()
    with pytest.raises(QueueError, match=r"lies in .* as source 'home'"):
        index.add_folder(home / "docs")
    with pytest.raises(QueueError, match="twice"):
        index.add_folder(tmp_path)
    report = index.ingest(PathsRequest(["a.md"], home))
    assert [thing.reason for thing in report.failed] == ["lies in the folder of source 'home'"]


def test_a_folder_of_another_machine_is_another_folder(index, other):
    index.add_folder()
    index.add_folder(other)
    there = index.sources()[1]
    index.store.queue.set_source(replace(there, host="elsewhere"))
    assert index.add_folder(other, name="mine").n_added == 1
    assert index.add_folder(other).n_unchanged == 1


def test_a_folder_that_was_moved_keeps_its_documents_under_its_name(index, other, tmp_path):
    index.add_folder(other, name="notes")
    with pytest.raises(QueueError, match="There is a source 'notes' in this index already"):
        index.add_folder(tmp_path / "home", name="notes")  # the other one is still there
    other.rename(tmp_path / "elsewhere")
    with pytest.raises(QueueError, match="index FOLDER --name notes"):
        index.ingest(AgainRequest("notes"))
    assert counts(index.add_folder(tmp_path / "elsewhere", name="notes")) == (0, 0, 0, 1)
    assert counts(index.ingest(AgainRequest("notes"))) == (0, 0, 0, 1)
    assert [one.place for one in index.sources()] == [str(tmp_path / "elsewhere")]


def test_patterns_are_kept_until_they_are_changed(index, home):
    assert index.add_folder(exclude=["*.py"]).n_added == 2
    assert counts(index.add_folder()) == (0, 0, 0, 2)
    assert counts(index.add_folder(include=["docs/"])) == (0, 0, 1, 1)
    assert keys(index) == ["docs/b.md"]
    assert index.sources()[0].options == {"include": ["docs/"], "exclude": ["*.py"]}
    assert counts(index.ingest(AgainRequest())) == (0, 0, 0, 1)
    assert counts(index.add_folder(include=[], exclude=[])) == (2, 0, 0, 1)
    assert index.sources()[0].options == {}
    with pytest.raises(QueueError, match="is not understood"):
        index.add_folder(exclude=["!"])


def test_exclude_prevails_over_gitignore_and_saves_the_walk(index, home):
    (home / ".gitignore").write_text("!secret/\n*.md\n")
    (home / "secret").mkdir()
    (home / "secret/x.txt").write_text("x")
    index.add_folder(exclude=["secret/", "!a.md"])
    assert keys(index) == ["a.md", "docs/c.py"]


def test_a_list_of_files_is_added_to_and_never_swept(index, home, other):
    report = index.ingest(PathsRequest(["a.md", "docs/c.py", "none.md"], home))
    assert counts(report) == (2, 0, 0, 0)
    assert [(one.key, one.reason) for one in report.failed] == [("none.md", "is not there")]
    (home / "a.md").write_text("other words")
    assert counts(index.ingest(PathsRequest(["b.md"], home / "docs"))) == (1, 0, 0, 0)
    assert keys(index) == ["a.md", "docs/b.md", "docs/c.py"]
    assert counts(index.ingest(PathsRequest(["a.md", str(other / "a.md")], home))) == (1, 1, 0, 0)
    assert keys(index)[0] == (other / "a.md").as_posix()
    assert counts(index.ingest(AgainRequest())) == (0, 0, 0, 4)
    with pytest.raises(QueueError, match="as source 'paths': they would be in it twice"):
        index.add_folder()


def test_a_listed_file_that_has_gone_leaves(index, home):
    index.ingest(PathsRequest(["a.md", "docs/b.md", "docs/c.py"], home))
    (home / "a.md").unlink()
    report = index.ingest(PathsRequest(["a.md"], home))
    assert (counts(report), report.failed) == ((0, 0, 1, 0), [])
    (home / "docs/b.md").unlink()
    assert counts(index.ingest(AgainRequest())) == (0, 0, 1, 1)
    report = index.ingest(PathsRequest(["docs/c.py"], home, is_whole=True))
    assert counts(report) == (0, 0, 0, 1)


def test_a_whole_list_says_what_leaves(index, home):
    index.ingest(PathsRequest(["a.md", "docs/b.md"], home))
    assert counts(index.ingest(PathsRequest(["a.md"], home, is_whole=True))) == (0, 0, 1, 1)


def test_records_are_added_changed_and_kept(index):
    first = {"id": "x", "text": "one text", "year": 2020}
    second = {"id": "y", "text": "two text"}
    report = index.ingest(RecordsRequest(io.BytesIO(lines(first, second).read() + b"broken\n")))
    assert counts(report) == (2, 0, 0, 0)
    assert [one.key for one in report.failed] == ["line 3"]
    assert counts(index.ingest(RecordsRequest(lines(first, second)))) == (0, 0, 0, 2)
    changed = first | {"year": 2021}
    assert counts(index.ingest(RecordsRequest(lines(changed)))) == (0, 1, 0, 0)
    found = index.search("one text", where={"year": 2021}).results
    assert [result.chunk.key for result in found] == ["x"]
    whole = RecordsRequest(lines(changed), is_whole=True)
    assert counts(index.ingest(whole)) == (0, 0, 1, 1)
    assert keys(index) == ["x"]


def test_records_beside_a_folder_have_a_prefix_and_outlive_its_sweeps(index):
    index.add_folder()
    index.ingest(RecordsRequest(lines({"id": "a.md", "text": "a record"})))
    index.add_folder()
    assert "records:a.md" in keys(index)
    assert counts(index.ingest(AgainRequest())) == (0, 0, 0, 3)
    with pytest.raises(QueueError, match="--records FILE --name records"):
        index.ingest(AgainRequest("records"))
    with pytest.raises(QueueError, match="Its sources: home, records"):
        index.ingest(AgainRequest("none"))


def test_many_records_are_queued_in_batches(index, monkeypatch):
    sizes = []
    enqueue = index.store.queue.enqueue

    def counted(source, run, items, priority=0):
        if priority:  # a sample of each batch comes first
            sizes.append(len(items))
        else:
            sizes[-1] += len(items)
        more = {"priority": priority}
        return enqueue(source, run, items, **more)

    monkeypatch.setattr(index.store.queue, "enqueue", counted)
    records = ({"id": n, "text": f"text {n}"} for n in range(4_500))
    report = index.ingest(RecordsRequest(lines(*records)), leave=True)
    assert sizes == [2_000, 2_000, 500]
    assert report.n_queued == 4_500
    sizes.clear()
    large = ({"id": f"l{n}", "text": "x" * 1_000_000} for n in range(12))
    index.ingest(RecordsRequest(lines(*large)), leave=True)
    assert sizes == [9, 3]


def test_rows_of_a_query_come_change_and_go(index, tmp_path):
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT, price REAL)")
        database.execute("INSERT INTO things VALUES (1, 'a lamp', 3), (2, 'a box', 4)")
        request = QueryRequest(str(path), "SELECT * FROM things", "shop")
        assert counts(index.ingest(request)) == (2, 0, 0, 0)
        database.execute("UPDATE things SET price = 5 WHERE id = 1")
        database.execute("DELETE FROM things WHERE id = 2")
        assert counts(index.ingest(AgainRequest())) == (0, 1, 1, 0)
        assert index.search("lamp", where={"price": 5}).results
        database.execute("INSERT INTO things VALUES (3, 'a chair', 1)")
        assert counts(index.ingest(AgainRequest("shop"))) == (1, 0, 0, 1)
    (source,) = index.sources()
    assert (source.kind, source.place, source.options["id"]) == ("sql", str(path), "id")


def test_a_source_that_could_never_be_listed_is_not_kept(index, tmp_path):
    index.add_folder()
    file = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE articles (id, text)")
        shop.execute("INSERT INTO articles VALUES (1, 'some words')")
    for query, place in (("SELECT * FROM nothing", file), ("SELECT 1", tmp_path / "none.sqlite")):
        with pytest.raises((QueueError, StoreNotFoundError)):
            index.ingest(QueryRequest(str(place), query, "articles"))
        assert [one.name for one in index.sources()] == ["home"]
    right = QueryRequest(str(file), "SELECT * FROM articles", "articles")
    assert index.ingest(right).n_added == 1
    with pytest.raises(QueueError):
        index.ingest(QueryRequest(str(file), "SELECT * FROM nothing", "articles"))
    assert "articles:1" in keys(index)


def test_a_source_that_is_away_does_not_stop_the_others(index, other):
    index.add_folder()
    index.add_folder(other)
    (other / "a.md").unlink()
    other.rmdir()
    report = index.ingest(AgainRequest())
    assert counts(report) == (0, 0, 0, 3)
    assert [one.key for one in report.failed] == ["other"]
    assert "other:a.md" in keys(index)
    with pytest.raises(QueueError, match="is not there"):
        index.ingest(AgainRequest("other"))


def test_no_password_is_stored():
    from embedwell.app.indexes.sourcing import _place_of

    assert _place_of("postgresql://me:secret@host:1/db?x=1") == "postgresql://me@host:1/db"
    assert _place_of("postgres-embedded:/data/pg") == "postgres-embedded:/data/pg"


class Mail:
    """A source as a package would bring it."""

    is_whole = True

    def __init__(self, source, around):
        self._folder = source.options["folder"]

    def items(self, on_skipped):
        letters = [Record("1", f"a letter in {self._folder}", {"from": "someone"})]
        return Records(letters).items(on_skipped)

    def read(self, item) -> Content:
        return Records().read(item)


@pytest.fixture
def mail(monkeypatch):
    entry = importlib.metadata.EntryPoint("mail", f"{__name__}:Mail", "embedwell.sources")
    monkeypatch.setattr(
        "embedwell.ingest.sources.registry.entry_points",
        lambda *, group, name: [entry] if (group, name) == ("embedwell.sources", "mail") else [],
    )


def test_a_package_brings_a_kind_of_source(index, mail):
    request = OtherRequest("mail", "imaps://host", "post", {"folder": "INBOX"})
    assert counts(index.ingest(request)) == (1, 0, 0, 0)
    assert counts(index.ingest(AgainRequest("post"))) == (0, 0, 0, 1)
    assert index.search("letter", where={"from": "someone"}).results


def test_a_kind_that_nothing_brings_is_refused_before_it_is_stored(index):
    with pytest.raises(QueueError, match="There is no kind of source 'fax'"):
        index.ingest(OtherRequest("fax", "12", "fax"))
    assert index.sources() == []


def test_an_index_of_before_takes_the_folder_that_is_named_first(tmp_path, home):
    file = tmp_path / "elsewhere.db"
    create_store(file, CollectionSettings(SPACE, 60)).close()
    with opened(file) as index:
        index.store.queue.add_source("folder", "folder", "", "", {})
        index.add_folder(home)
        (source,) = index.sources()
        assert (source.name, source.place) == ("folder", str(home))


def test_an_index_that_was_moved_out_of_its_folder_keeps_its_documents(
    tmp_path, index, home, other
):
    index.add_folder()
    index.close()
    file = (home / ".embedwell/index.db").rename(tmp_path / "moved.db")
    with opened(file) as moved:
        assert counts(moved.add_folder(other)) == (1, 0, 0, 0)
        with pytest.raises(QueueError, match="index FOLDER --name home"):
            moved.ingest(AgainRequest("home"))
        assert counts(moved.add_folder(home, name="home")) == (0, 0, 0, 3)
        assert [one.place for one in moved.sources()] == [str(home), str(other)]


def test_what_is_queued_can_be_left_to_others(index, home):
    report = index.ingest(FolderRequest(home), leave=True)
    assert (report.n_queued, report.n_added) == (3, 0)
    assert len(index.store.queue.entries(Which(statuses=("pending",)), 9)) == 3
    report = index.ingest(FolderRequest(home))
    assert (report.n_queued, report.n_added) == (0, 3)


def test_rows_left_without_a_run_get_one(index, home):
    index.ingest(FolderRequest(home), leave=True)
    number = index.store.queue.run().number
    with closing(sqlite3.connect(index.target, isolation_level=None)) as raw:
        raw.execute("UPDATE ingestion_runs SET status = 'done'")
    assert index.ingest(FolderRequest(home)).n_added == 3
    assert index.store.queue.run().number == number + 1


def test_a_sweep_waits_for_another(index, home):
    file = index.target
    swept = threading.Event()

    def hold():
        with closing(open_store(file)) as store, store.writing():
            holding.set()
            swept.wait(0.5)

    holding = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    assert index.add_folder().n_added == 3
    thread.join()


def test_rechunking_reaches_every_source(index, other, home):
    long = "\n\n".join(f"Part {n} is about {'one thing ' * 8}and ends." for n in range(9))
    (home / "long.md").write_text(long)
    index.add_folder()
    index.ingest(RecordsRequest(lines({"id": "x", "text": long, "n": 1})))
    index.add([long], ids=["free"])
    before = index.counts().chunks
    index.rechunk(20)
    assert index.counts().chunks > 2 * before
    assert counts(index.ingest(AgainRequest())) == (0, 0, 0, 4)
    report = index.ingest(RecordsRequest(lines({"id": "x", "text": long, "n": 1})))
    assert counts(report) == (0, 0, 0, 1)
    assert index.store.passages("records:x")[0].metadata == {"n": 1}
    assert sorted(index.store.records()) == ["free", "records:x"]


def test_rechunking_leaves_queued_records_to_who_reads_them(index):
    index.ingest(RecordsRequest(lines({"id": "x", "text": "old words"})))
    index.ingest(RecordsRequest(lines({"id": "x", "text": "new words"})), leave=True)
    index.rechunk(20)
    assert index.store.passages("x")[0].chunk.text == "new words"


def test_all_anew_reads_everything_again(index):
    index.add_folder()
    report = index.ingest(AgainRequest(), sweeping=Sweeping(all_anew=True))
    assert counts(report) == (0, 3, 0, 0)
