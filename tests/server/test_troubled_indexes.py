"""What one index suffers from is felt by nobody who asks for another."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from indexes import make_index
from msgspec import structs
from serving import wait_until
from starlette.testclient import TestClient

from embedwell.server.application import application
from embedwell.server.shared.service import Service

N_CLIENTS = 40  # more than there are threads, and all that may wait


class SilentDatabase:
    """Takes connections and never says a word, as a server does that has stalled.

    Attributes:
        address: Of a database in it.
        asked: Set by the first connection.
        n_asked: Connections so far.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.address = f"postgresql://me@127.0.0.1:{listener.getsockname()[1]}/none?sslmode=disable"
        self.asked = threading.Event()
        self.n_asked = 0
        self._listener = listener
        self._taken: list[socket.socket] = []

    def listen(self) -> None:
        while True:
            try:
                self._taken.append(self._listener.accept()[0])
            except OSError:
                return
            self.n_asked += 1
            self.asked.set()

    def hang_up(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._taken:
            connection.close()


@contextmanager
def silent_database() -> Iterator[SilentDatabase]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        database = SilentDatabase(listener)
        thread = threading.Thread(target=database.listen)
        thread.start()
        try:
            yield database
        finally:
            if thread.is_alive():
                database.hang_up()
            thread.join(10)


@pytest.fixture
def database():
    with silent_database() as found:
        yield found


@pytest.fixture
def client(tmp_path, database, runtime):
    notes = make_index(tmp_path / "notes")
    runtime.settings = structs.replace(
        runtime.settings,
        indexes=(str(notes),),
        database_url=database.address,
        max_waiting=N_CLIENTS,
    )
    service = Service(runtime.settings, runtime)
    with TestClient(application(service), base_url="http://127.0.0.1:8437") as client:
        yield client
    service.close()


def test_a_database_that_does_not_answer_holds_up_nobody_else(client, database):
    def search(index: str):
        return client.post("/v1/search", json={"query": "lamp", "index": index, "k": 1})

    with ThreadPoolExecutor(N_CLIENTS) as clients:
        waiting = [clients.submit(search, "database") for _ in range(N_CLIENTS)]
        assert database.asked.wait(10)
        wait_until(lambda: sum(one.done() for one in waiting) == N_CLIENTS / 2)
        found = search("notes")
        assert found.status_code == 200, found.text
        embedded = client.post("/v1/embed", json={"model": "all-minilm", "texts": ["a"]})
        assert embedded.status_code == 200
        assert sum(one.done() for one in waiting) == N_CLIENTS / 2
        time.sleep(0.5)  # for as long as the first one took, the others are not tried
        database.hang_up()
        answers = [one.result() for one in waiting]
    told = Counter((a.status_code, a.json()["error"]["type"]) for a in answers)
    assert told == {
        (503, "StoreGoneError"): N_CLIENTS / 2,
        (429, "ServiceBusyError"): N_CLIENTS / 2,
    }
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert database.n_asked == 1


def test_whoever_waits_for_a_turn_waits_no_longer_than_a_request_may_take(database, runtime):
    runtime.settings = structs.replace(
        runtime.settings, database_url=database.address, request_timeout_s=0.3
    )
    service = Service(runtime.settings, runtime)

    def search(_: int):
        return client.post("/v1/search", json={"query": "lamp", "index": "database"})

    with (
        TestClient(application(service), base_url="http://127.0.0.1:8437") as client,
        ThreadPoolExecutor(2) as clients,
    ):
        first = clients.submit(search, 1)
        assert database.asked.wait(10)
        second = search(2)
        assert (second.status_code, first.done()) == (504, False)
        database.hang_up()
        first.result()
    service.close()


def test_looking_on_does_not_wait_for_a_database_that_does_not_answer(client, database):
    found = {one["index"]: one["error"] for one in client.get("/v1/ingestion").json()["indexes"]}
    assert found == {"notes": "", "database": "It does not answer yet."}
    text = client.get("/metrics").text
    assert 'embedwell_index_readable{index="notes"} 1\n' in text
    assert 'embedwell_index_readable{index="database"} 0\n' in text
    assert database.n_asked == 1
