"""`embedwell mcp`, with the protocol's official client and line by line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from indexes import make_folder, make_index
from mcp import Client, StdioServerParameters
from serving import short_folder, wait_until

from embedwell.app.config.configuration import load
from embedwell.app.config.settings import Settings
from embedwell.core.errors import (
    EmbeddingsOffError,
    ServiceBusyError,
    ServiceGoneError,
    ServiceSlowError,
    TaskCancelledError,
)
from embedwell.engines.http import Address
from embedwell.server.mcp.calls import Calls
from embedwell.server.mcp.proxy import Proxy
from embedwell.server.mcp.text import passage_text, report_text, search_text, status_text
from embedwell.server.mcp.wire import VERSIONS

CACHE = load().settings.cache
COMMAND = ("-m", "embedwell.cli.main", "mcp")


@asynccontextmanager
async def client(folder: Path, environment: dict[str, str], mode: str = "auto"):
    arguments = [*COMMAND, str(folder)]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    async with Client(server, mode=mode, read_timeout_seconds=60) as found:
        yield found


def text_of(result) -> str:
    return result.content[0].text


@pytest.fixture(scope="module")
def notes(service):
    """A folder indexed with the real model, through the service."""
    with short_folder() as place:
        folder = make_folder(place / "notes")
        run = [sys.executable, "-m", "embedwell.cli.main", "index", str(folder)]
        subprocess.run(run, env=service.environment, check=True, capture_output=True)
        yield folder


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_lists_and_calls_every_tool(service, notes, mode):
    async def talk():
        async with client(notes, service.environment, mode) as one:
            assert one.server_info.name == "embedwell"
            tools = (await one.list_tools()).tools
            assert [tool.name for tool in tools] == ["search", "get", "status", "reindex"]
            asked = {"query": "which disk is broken", "k": 1}
            found = await one.call_tool("search", asked)
            assert not found.is_error
            (hit,) = found.structured_content["results"]
            assert hit["path"] == "disk.md"
            assert text_of(found).startswith("1. disk.md:1-3 (score ")
            read = await one.call_tool("get", {"path": "long.md", "start_line": 1, "end_line": 1})
            assert "long.md:1-" in text_of(read)
            read = await one.call_tool("get", {"id": hit["id"], "around": 0})
            assert read.structured_content["chunks"][0]["text"] == hit["text"]
            told = await one.call_tool("status")
            assert told.structured_content["documents"] == 4
            assert "up to date with its folder" in text_of(told)
            done = await one.call_tool("reindex")
            assert done.structured_content["n_unchanged"] == 4

    asyncio.run(talk())


def test_errors_say_what_is_wrong_and_what_to_do(service, notes):
    async def talk():
        async with client(notes, service.environment) as one:
            for name, arguments, said in [
                ("search", {"query": "  "}, "The query is empty. Say what to look for."),
                ("search", {"query": "x", "index": "/nowhere"}, "Make one with `embedwell index`"),
                ("search", {"query": "x", "index": 3}, "Give the path of an indexed folder."),
                ("search", {"query": "x", "k": "many"}, "is not as expected"),
                ("search", {"query": "x", "colour": "red"}, "has no argument 'colour'"),
                ("get", {}, "Take one of them from a search's results."),
            ]:
                found = await one.call_tool(name, arguments)
                assert found.is_error
                assert said in text_of(found)

    asyncio.run(talk())


def test_two_clients_share_one_model(service, notes):
    async def talk():
        async with (
            client(notes, service.environment) as one,
            client(notes, service.environment) as two,
        ):
            asked = {"query": "where does dough rise", "k": 1}
            found = await asyncio.gather(*[c.call_tool("search", asked) for c in (one, two)])
            assert {hit.structured_content["results"][0]["path"] for hit in found} == {"bread.md"}

    asyncio.run(talk())
    with service.engine() as engine:
        held = json.loads(engine.request("GET", "/v1/runtime/models", kind="application/json"))
    assert [model["name"] for model in held["models"]].count("all-MiniLM-L6-v2@q8") == 1


def pid_behind(place: Path) -> int:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(place))
        found = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", found)[0]


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return Path(f"/proc/{pid}/stat").exists() and "Z" not in state_of(pid)
    return False


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="who listens cannot be told here")
def test_a_service_is_started_on_demand_and_again_when_it_has_gone():
    async def talk(notes: Path, environment: dict[str, str], place: Path):
        async with client(notes, environment) as one:
            for _ in range(2):
                found = await one.call_tool("search", {"query": "dough", "mode": "lexical"})
                assert found.structured_content["results"][0]["path"] == "bread.md"
                pid = pid_behind(place)
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda pid=pid: not is_alive(pid))

    with short_folder() as place:
        notes = make_index(place / "notes")
        environment = os.environ | {
            "EMBEDWELL_SERVICE": "start",
            "EMBEDWELL_SOCKET": str(place / "s"),
            "EMBEDWELL_CACHE": str(place / "cache"),
        }
        asyncio.run(talk(notes, environment, place / "s"))


def test_the_proxy_brings_in_nothing_heavy():
    code = (
        "import sys, embedwell.server.mcp.command, embedwell.server.mcp.stdio\n"
        "heavy = {'numpy', 'onnxruntime', 'starlette', 'uvicorn', 'http.client'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_it_ends_with_its_input_and_prints_nothing_else(tmp_path):
    ran = subprocess.run(
        [sys.executable, *COMMAND, str(tmp_path)],
        input='{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert ran.stdout == '{"jsonrpc":"2.0","id":1,"result":{}}\n'


# Line by line


class Talk:
    """A proxy in this process, and what it answered."""

    def __init__(self, call=None) -> None:
        self.answers: list[dict] = []
        self.proxy = Proxy(
            call or (lambda *_: {}), lambda line: self.answers.append(json.loads(line))
        )

    def say(self, *messages) -> list[dict]:
        self.proxy.serve(m if isinstance(m, str) else json.dumps(m) for m in messages)
        return self.answers


def request(method: str, number=1, **params) -> dict:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def codes(answers) -> list[int]:
    return [answer["error"]["code"] for answer in answers]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_known_version_is_spoken(version):
    (answer,) = Talk().say(request("initialize", protocolVersion=version))
    assert answer["result"]["protocolVersion"] == version
    assert "tools" in answer["result"]["capabilities"]


@pytest.mark.parametrize("version", ["1999-01-01", None, 7])
def test_for_an_unknown_version_the_newest_is_offered(version):
    (answer,) = Talk().say(request("initialize", protocolVersion=version))
    assert answer["result"]["protocolVersion"] == VERSIONS[-1]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{", -32700),
        ("[" * 100_000, -32700),
        ("7", -32600),
        ("[]", -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, -32600),
        (request("resources/list"), -32601),
        (request("server/discover"), -32601),
        (request("tools/call", name="nope"), -32602),
        (request("tools/call", name=["search"]), -32602),
        (request("tools/call", name="search", arguments=[1]), -32602),
    ],
)
def test_what_cannot_be_answered_gets_the_code_for_it(said, code):
    assert codes(Talk().say(said)) == [code]


def test_notifications_answers_and_blank_lines_get_no_answer():
    said = [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": [9]}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [9]},
        {"jsonrpc": "2.0", "id": 4, "result": {}},
        "  ",
    ]
    assert Talk().say(*said) == []


def test_a_batch_is_answered_message_by_message():
    answers = Talk().say([request("ping", 1), request("ping", "two"), 3])
    assert [answer["id"] for answer in answers] == [1, "two", None]


class Held:
    """A tool whose calls wait until they are cancelled or let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.hold = threading.Event()
        self.cancelled = threading.Event()

    def __call__(self, tool, arguments, watch):
        self.begun.set()
        while not self.hold.wait(0.005):
            if watch.cancelled.is_set():
                self.cancelled.set()
                watch.check("call")
        return {"query": "", "mode": "lexical", "results": []}


def test_a_cancelled_call_is_stopped_and_not_answered():
    held = Held()
    talk = Talk(held)

    def lines():
        yield json.dumps(request("tools/call", 5, name="search", arguments={"query": "x"}))
        wait_until(held.begun.is_set)
        cancel = {"method": "notifications/cancelled", "params": {"requestId": 5}}
        yield json.dumps({"jsonrpc": "2.0"} | cancel)
        wait_until(held.cancelled.is_set)
        yield json.dumps(request("ping", 6))

    talk.proxy.serve(lines())
    assert [answer["id"] for answer in talk.answers] == [6]


def test_others_are_answered_while_a_call_runs_and_its_id_is_taken():
    held = Held()
    talk = Talk(held)
    call = json.dumps(request("tools/call", 5, name="search", arguments={"query": "x"}))

    def lines():
        yield call
        yield json.dumps(request("ping", 6))
        yield call
        held.hold.set()
        wait_until(lambda: len(talk.answers) == 3)

    talk.proxy.serve(lines())
    assert [(a["id"], "error" in a) for a in talk.answers] == [(6, False), (5, True), (5, False)]


def test_what_runs_when_the_client_leaves_is_stopped():
    held = Held()
    talk = Talk(held)

    def lines():
        yield json.dumps(request("tools/call", 5, name="search", arguments={"query": "x"}))
        wait_until(held.begun.is_set)

    talk.proxy.serve(lines())
    assert held.cancelled.is_set()
    assert talk.answers == []


def test_a_fault_of_ours_is_an_error_of_the_call_alone(capsys):
    talk = Talk(lambda *_: 1 / 0)

    def lines():
        yield json.dumps(request("tools/call", 5, name="status"))
        wait_until(lambda: talk.answers)
        yield json.dumps(request("ping", 6))

    talk.proxy.serve(lines())
    assert talk.answers[0]["error"]["code"] == -32603
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert talk.answers[1]["result"] == {}


# Requests to the service


class FakeEngine:
    """Answers in the order given; errors are raised."""

    def __init__(self, *answers, over_tcp: bool = False) -> None:
        self.address = Address(None if over_tcp else Path("/s"), port=1)
        self.answers_left = list(answers)
        self.asked: list[tuple[str, str, bytes]] = []

    def request(self, method, path, body, kind, watch):
        self.asked.append((method, path, body))
        answer = self.answers_left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def calls(engine: FakeEngine, **settings) -> Calls:
    return Calls(Settings(**settings), engine, Path("/home/notes"))


def test_the_index_is_the_servers_folder_or_one_named_from_it():
    engine = FakeEngine(b"{}", b"{}", b"{}")
    for index in (None, "below", "/other"):
        calls(engine).call("search", {"query": "x", "index": index}, watch())
    named = [json.loads(body)["index"] for _, _, body in engine.asked]
    assert named == ["/home/notes", "/home/notes/below", "/other"]


def test_over_tcp_the_folder_is_named_as_it_is_served():
    engine = FakeEngine(b"{}", over_tcp=True)
    calls(engine).call("status", {}, watch())
    assert engine.asked == [("GET", "/v1/indexes/status?index=notes", b"")]


def test_a_service_that_is_required_is_not_started():
    engine = FakeEngine(ServiceGoneError("No service.", "Start it."))
    with pytest.raises(ServiceGoneError):
        calls(engine, service="require").call("status", {}, watch())


def test_a_busy_service_is_asked_again_but_not_for_ever():
    busy = ServiceBusyError("Busy.", "Later.", 0.001)
    engine = FakeEngine(busy, busy, b"{}")
    assert calls(engine).call("status", {}, watch()) == {}
    with pytest.raises(ServiceBusyError):
        calls(FakeEngine(ServiceBusyError("Busy.", "Later.", 3600))).call("status", {}, watch())


def test_whoever_waits_for_a_busy_service_can_be_stopped():
    stopped = watch()
    stopped.cancelled.set()
    engine = FakeEngine(ServiceBusyError("Busy.", "Later."))
    with pytest.raises(TaskCancelledError):
        calls(engine).call("status", {}, stopped)


@pytest.mark.parametrize("kind", [EmbeddingsOffError, ServiceSlowError])
def test_what_went_wrong_while_indexing_is_raised(kind):
    told = {"type": kind.__name__, "problem": "It failed.", "remedy": "Do this."}
    lines = b'{"progress":{}}\n' + json.dumps({"error": told}).encode() + b"\n"
    with pytest.raises(kind, match=r"It failed\. Do this\."):
        calls(FakeEngine(lines)).call("reindex", {}, watch())


def watch():
    from embedwell.core.events import Watch

    return Watch()


# What people and models read


def test_a_notice_comes_first():
    assert search_text({"notice": "By words.", "results": []}) == "By words.\n\nNothing was found."


def test_long_lists_are_cut_and_counted():
    status = {"documents": 1, "chunks": 2, "db": "x", "model": "m", "dimensions": 3}
    stale = {"changed": [f"{n}.md" for n in range(12)], "gone": ["a.md"]}
    told = status_text(status | {"stale": stale})
    assert "12 files are new or changed, 1 are gone: reindex" in told
    assert told.endswith("… and 3 more")
    assert "folder" not in status_text(status | {"stale": None})


def test_failed_files_are_named():
    done = {"n_added": 1, "n_updated": 0, "n_removed": 0, "n_unchanged": 0, "took_s": 0.1}
    told = report_text(done | {"failed": [{"key": "a.pdf", "reason": "no pages"}]})
    assert told.endswith("1 failed:\n  a.pdf: no pages")


def test_passages_without_a_title_have_no_blank_end():
    part = {"start_line": 1, "end_line": 2, "title": "", "text": "x"}
    found = {"path": "a", "start_line": 1, "end_line": 2, "n_chunks": 1, "chunks": [part]}
    assert passage_text(found) == "a:1-2, 1 of 1 passages\n\n[1-2]\nx"
