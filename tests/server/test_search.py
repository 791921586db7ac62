"""Indexes over HTTP."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from indexes import make_index
from msgspec import structs
from serving import FakeRuntime, wait_until
from starlette.testclient import TestClient

from embedwell.app.config.place import default_file
from embedwell.app.config.settings import Settings
from embedwell.app.indexes.serving import OpenIndexes, index_file, served
from embedwell.core.errors import (
    BadRequestError,
    EmbeddingsOffError,
    PressureError,
    StoreNotFoundError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.models.catalogue import card
from embedwell.server.application import application
from embedwell.server.shared.service import Service
from embedwell.stores.registry import open_store
from embedwell.testing import FakeEmbedder


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return make_index(tmp_path / "notes")


@pytest.fixture
def served_service(notes, runtime):
    runtime.settings = structs.replace(runtime.settings, indexes=(str(notes),))
    service = Service(runtime.settings, runtime)
    yield service
    service.close()


@pytest.fixture
def tcp(served_service):
    """A client that the service takes for one over TCP."""
    app = application(served_service)
    with TestClient(app, base_url="http://127.0.0.1:8437") as client:
        yield client


@pytest.fixture
def unix(served_service):
    """A client that the service takes for one over its Unix socket."""
    app = application(served_service)

    async def over_socket(scope, receive, send):
        await app({**scope, "server": ("service.sock", None)}, receive, send)

    with TestClient(over_socket, base_url="http://localhost") as client:
        yield client


def paths(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["path"] for result in answer.json()["results"]]


def test_an_index_is_searched_by_the_name_it_is_served_under(tcp):
    asked = {"query": "which drive has a lamp that blinks", "index": "notes", "k": 2}
    found = tcp.post("/v1/search", json=asked)
    assert paths(found)[0] == "disk.md"
    assert found.json().keys() == {"query", "mode", "space", "took_ms", "results"}
    assert len(found.json()["results"]) == 2


def test_the_only_served_index_needs_no_name(tcp):
    assert paths(tcp.post("/v1/search", json={"query": "warm dough", "k": 1})) == ["bread.md"]


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        ({"kind": "code"}, {"retry.py"}),
        ({"language": "python"}, {"retry.py"}),
        ({"path": "b*.md"}, {"bread.md"}),
        ({"mode": "lexical", "query": "dough"}, {"bread.md"}),
        ({"metadata": {"year": 1999}}, set()),
    ],
)
def test_results_can_be_narrowed(tcp, narrowed, expected):
    assert set(paths(tcp.post("/v1/search", json={"query": "lamp"} | narrowed))) == expected


def test_over_tcp_only_served_indexes_are_there(tcp, notes, tmp_path):
    other = make_index(tmp_path / "other")
    for name in (str(other), str(notes), "other", "../notes"):
        refused = tcp.post("/v1/search", json={"query": "lamp", "index": name})
        assert refused.status_code == 404
        assert "embedwell serve --index FOLDER" in refused.json()["error"]["remedy"]


def test_over_the_unix_socket_any_index_may_be_named_by_its_path(unix, tmp_path):
    other = make_index(tmp_path / "other")
    (other / "below").mkdir()
    for place in (other, other / "below", default_file(other)):
        found = unix.post("/v1/search", json={"query": "warm dough", "index": str(place), "k": 1})
        assert paths(found) == ["bread.md"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("relative/place", 400), ("\0", 400), ("/nowhere/at/all", 404), ("/" + "x" * 5000, 404)],
)
def test_what_names_no_index_is_refused(unix, name, status):
    refused = unix.post("/v1/search", json={"query": "lamp", "index": name})
    assert refused.status_code == status
    assert refused.json()["error"]["remedy"]


def test_a_link_out_of_its_folder_is_no_index(unix, notes, tmp_path):
    (tmp_path / "clone/.embedwell").mkdir(parents=True)
    default_file(tmp_path / "clone").symlink_to(default_file(notes))
    refused = unix.post("/v1/search", json={"query": "x", "index": str(tmp_path / "clone")})
    assert refused.status_code == 409
    assert "is a link out of its folder" in refused.json()["error"]["problem"]


@pytest.mark.parametrize(
    "asked",
    [{"query": " "}, {"query": "x", "k": 0}, {"query": "x", "mode": "magic"}, {"quary": "x"}, {}],
)
def test_questions_that_cannot_be_asked_are_400(tcp, asked):
    assert tcp.post("/v1/search", json=asked).status_code == 400


@pytest.mark.parametrize("kind", [EmbeddingsOffError, PressureError])
def test_without_a_model_the_answer_says_that_it_is_by_words(tcp, runtime, kind):
    runtime.fault = kind("No model may run.", "Wait.")
    found = tcp.post("/v1/search", json={"query": "dough"})
    assert paths(found) == ["bread.md"]
    assert found.json()["mode"] == "lexical"
    assert "No model may run." in found.json()["notice"]
    assert tcp.post("/v1/search", json={"query": "x", "mode": "semantic"}).status_code == 503


def test_the_status_is_that_of_the_command(tcp, notes):
    (notes / "new.md").write_text("new")
    (notes / "disk.md").unlink()
    found = tcp.get("/v1/indexes/status", params={"index": "notes"}).json()
    assert (found["documents"], found["model"]) == (4, "all-MiniLM-L6-v2")
    assert found["stale"] == {"changed": ["new.md"], "gone": ["disk.md"]}
    assert found["folder"] == str(notes)


def test_a_passage_is_read_with_its_neighbours(tcp):
    found = tcp.post("/v1/search", json={"query": "number4", "mode": "lexical"}).json()
    (hit,) = found["results"]
    alone = tcp.get("/v1/chunk", params={"id": hit["id"], "around": 0}).json()
    assert [part["text"] for part in alone["chunks"]] == [hit["text"]]
    around = tcp.get("/v1/chunk", params={"id": hit["id"]}).json()
    assert len(around["chunks"]) == 3
    assert around["chunks"][1]["id"] == hit["id"]
    assert around["path"] == "long.md"
    assert around["start_line"] < hit["start_line"] <= hit["end_line"] < around["end_line"]


def test_a_document_is_read_by_its_path_and_lines(tcp):
    whole = tcp.get("/v1/chunk", params={"path": "long.md"}).json()
    assert len(whole["chunks"]) == whole["n_chunks"] > 4
    lines = {"path": "long.md", "start_line": 1, "end_line": 1, "around": 0}
    assert tcp.get("/v1/chunk", params=lines).json()["chunks"] == whole["chunks"][:1]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"id": 1, "path": "a"},
        {"id": "x"},
        {"id": "9" * 30},
        {"id": 10**12},
        {"path": "nowhere.md"},
        {"path": "long.md", "start_line": 10_000},
        {"id": 1, "around": 1000},
    ],
)
def test_passages_that_are_not_there_are_400(tcp, asked):
    assert tcp.get("/v1/chunk", params=asked).status_code == 400


def lines_of(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


def test_reindexing_tells_progress_and_then_the_report(tcp, notes):
    (notes / "new.md").write_text("a new note on salt")
    (notes / "disk.md").unlink()
    answer = tcp.post("/v1/reindex", json={"index": "notes"})
    *steps, last = lines_of(answer)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert steps[-1]["progress"]["done"] == steps[-1]["progress"]["total"]
    assert (last["report"]["n_added"], last["report"]["n_removed"]) == (1, 1)
    assert paths(tcp.post("/v1/search", json={"query": "salt", "mode": "lexical"})) == ["new.md"]


def test_a_folder_is_compared_with_its_index_by_one_at_a_time(tcp, notes, monkeypatch):
    monkeypatch.setattr("embedwell.jobs.index._PATIENCE_S", 0.0)
    with _writing(notes):
        refused = tcp.post("/v1/reindex", json={})
    assert refused.status_code == 409
    assert refused.json()["error"]["type"] == "StoreBusyError"


def _writing(folder: Path):
    return open_store(default_file(folder)).writing()


def test_what_goes_wrong_on_the_way_is_the_last_line(tcp, notes, runtime):
    (notes / "new.md").write_text("a new note on salt")
    runtime.fault = EmbeddingsOffError("No model may run.", "Wait.")
    last = lines_of(tcp.post("/v1/reindex", json={}))[-1]
    assert last["error"]["type"] == "EmbeddingsOffError"
    assert tcp.get("/v1/indexes/status").json()["documents"] == 4


def test_searches_go_on_while_an_index_is_brought_up_to_date(tcp, notes, runtime: FakeRuntime):
    (notes / "new.md").write_text("a new note on salt")
    runtime.hold.clear()
    found = []
    run = threading.Thread(target=lambda: found.append(tcp.post("/v1/reindex", json={})))
    run.start()
    wait_until(runtime.begun.is_set)
    assert paths(tcp.post("/v1/search", json={"query": "dough", "mode": "lexical"}))
    runtime.hold.set()
    run.join()
    assert lines_of(found[0])[-1]["report"]["n_added"] == 1


# The indexes that are open


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [default_file(make_index(tmp_path / name)) for name in ("one", "two", "three")]


def opened(**limits) -> OpenIndexes:
    space = card("all-MiniLM-L6-v2").space
    return OpenIndexes(Settings(), lambda model, **_: FakeEmbedder(space), **limits)


def use(indexes: OpenIndexes, file: Path) -> object:
    with indexes.using(file, Watch()) as index:
        return index


def test_an_index_stays_open_for_the_next_request(folders):
    indexes = opened()
    assert use(indexes, folders[0]) is use(indexes, folders[0])
    indexes.close()
    assert indexes.n_open() == 0


def test_the_index_that_was_not_used_for_longest_is_closed(folders):
    indexes = opened(n_open=2)
    first, second = use(indexes, folders[0]), use(indexes, folders[1])
    use(indexes, folders[0])
    use(indexes, folders[2])
    assert indexes.n_open() == 2
    assert use(indexes, folders[0]) is first
    assert use(indexes, folders[1]) is not second
    indexes.close()


def test_an_index_in_use_is_not_closed(folders):
    indexes = opened(n_open=1)
    with indexes.using(folders[0], Watch()) as index:
        use(indexes, folders[1])
        indexes.close()
        assert index.counts().documents == 4
    use(indexes, folders[1])
    assert indexes.n_open() == 1
    indexes.close()


def test_what_is_idle_is_closed(folders):
    indexes = opened(idle_s=0.0)
    use(indexes, folders[0])
    indexes.check_idle()
    assert indexes.n_open() == 0


def test_a_file_that_was_replaced_is_opened_anew(folders, tmp_path):
    indexes = opened()
    with indexes.using(folders[0], Watch()) as before:
        folders[0].rename(tmp_path / "away.db")
        folders[1].rename(folders[0])
        assert use(indexes, folders[0]) is not before
    folders[0].unlink()
    with pytest.raises(StoreNotFoundError):
        use(indexes, folders[0])
    indexes.close()


def test_whoever_waits_for_an_index_can_be_stopped(folders):
    indexes, watch = opened(), Watch()
    with indexes.using(folders[0], Watch()):
        watch.cancelled.set()
        with pytest.raises(TaskCancelledError), indexes.using(folders[0], watch):
            pass
    indexes.close()


def test_two_folders_of_one_name_are_not_guessed_between(tmp_path):
    settings = Settings(indexes=(str(tmp_path / "a/notes"), str(tmp_path / "b/notes")))
    with pytest.raises(BadRequestError, match="'notes'"):
        served(settings)


def test_without_a_name_the_one_index_must_be_clear():
    with pytest.raises(BadRequestError, match="does not say"):
        index_file("", Settings(), any_place=True)
    with pytest.raises(StoreNotFoundError, match="there are: none"):
        index_file("", Settings(), any_place=False)


def test_a_filter_of_more_values_than_any_database_takes_is_refused(tcp):
    metadata = {f"key{n}": n for n in range(2000)}
    answer = tcp.post("/v1/search", json={"query": "lamp", "metadata": metadata})
    assert answer.status_code == 400
    assert "metadata" in answer.json()["error"]["problem"]
