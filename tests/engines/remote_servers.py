"""Small servers that speak the dialects strictly, and that can be away, slow, busy or broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.testing import FAKE_SPACE, FakeEmbedder

DIALECTS = ("ollama", "openai", "koboldcpp", "tei")
PATHS = {
    "ollama": "/api/embed",
    "openai": "/v1/embeddings",
    "koboldcpp": "/api/extra/embeddings",
    "tei": "/embed",
}
FIELDS = {
    "ollama": {"model", "input", "truncate", "keep_alive", "options", "dimensions"},
    "openai": {"model", "input", "encoding_format", "dimensions", "user"},
    "koboldcpp": {"model", "input", "truncate"},
    "tei": {"inputs", "truncate", "normalize", "prompt_name", "truncation_direction"},
}


@dataclass
class Served(FakeEmbedder):
    """A model behind a server; another salt is another model."""

    salt: str = ""
    noise: float = 0.0

    def rows(self, texts: list[str]) -> FloatArray:
        salted = [" ".join(word + self.salt for word in text.split()) for text in texts]
        found = self.embed(salted, "document", Watch()).vectors
        if self.noise:
            found = found + self.noise * np.roll(found, 1, axis=1)
        return found


class RefusalError(Exception):
    """An answer that is none."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = headers or {}


class CutError(Exception):
    """The connection ends before the answer."""


Fault = Callable[["FakeServer", list[str]], Any]
"""Done in place of an answer: it raises, gives the body, or gives None for the right answer."""


def refuse(status: int, body: Any = "no", **headers: str) -> Fault:
    def fault(server: FakeServer, texts: list[str]) -> None:
        raise RefusalError(status, body, {name.replace("_", "-"): v for name, v in headers.items()})

    return fault


def cut(server: FakeServer, texts: list[str]) -> None:
    raise CutError


def say(body: bytes) -> Fault:
    return lambda server, texts: body


def wait(seconds: float) -> Fault:
    def fault(server: FakeServer, texts: list[str]) -> None:
        server.left.wait(seconds)

    return fault


def rows(change: Callable[[list[Any]], list[Any]]) -> Fault:
    """The right answer with other rows."""
    return lambda server, texts: server.written(change(server.model.rows(texts).tolist()))


@dataclass
class FakeServer:
    """One server of one dialect.

    Attributes:
        dialect: What it speaks.
        model: What it serves.
        name: What it calls it.
        digest: What it says of its weights.
        max_texts: Most texts of a request; more are refused.
        max_tokens: Words and two; longer texts are cut, or refused where that was asked.
        key: Needed, if any.
        bad_word: Texts that have it are refused, with all that came with them.
        faults: Each is done instead of one answer to texts; the last is kept where `keeps`.
        asked: The bodies of all requests with texts.
        seen: Methods and paths of all requests.
        keys: What was sent as authorization.
    """

    dialect: str
    model: Served = field(default_factory=Served)
    name: str = "fake"
    digest: str = "a" * 40
    max_texts: int = 1000
    max_tokens: int = 10_000
    key: str = ""
    bad_word: str = ""
    faults: list[Fault] = field(default_factory=list)
    keeps: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def texts(self) -> list[list[str]]:
        return [body.get("inputs", body.get("input")) for body in self.asked]

    def let_in(self) -> None:
        if self.key and self.keys[-1] != f"Bearer {self.key}":
            raise RefusalError(401, {"error": {"message": f"bad key: {self.keys[-1]}"}})

    def get(self, path: str) -> Any:
        match self.dialect, path:
            case "ollama", "/api/version":
                return {"version": "0.12.3"}
            case "ollama", "/api/tags":
                return {"models": [{"name": f"{self.name}:latest", "digest": self.digest}]}
            case "openai", "/v1/models":
                return {"object": "list", "data": [{"id": self.name, "object": "model"}]}
            case "koboldcpp", "/api/extra/version":
                return {"result": "KoboldCpp", "version": "1.99", "embeddings": True}
            case "koboldcpp", "/api/version":
                return {"version": "0.7.0"}
            case "tei", "/info":
                return self.info()
        raise RefusalError(404, {"error": "not found"})

    def info(self) -> dict[str, Any]:
        return {
            "model_id": self.name,
            "model_sha": self.digest,
            "model_dtype": "float32",
            "model_type": {"embedding": {"pooling": "mean"}},
            "max_input_length": self.max_tokens,
            "max_client_batch_size": self.max_texts,
            "max_batch_tokens": 16384,
            "version": "1.9.0",
        }

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        if (self.dialect, path) == ("ollama", "/api/show"):
            return json.dumps({"model_info": {"bert.context_length": self.max_tokens}}).encode()
        if path != PATHS[self.dialect]:
            raise RefusalError(404, {"error": "not found"})
        self.asked.append(body)
        if unknown := set(body) - FIELDS[self.dialect]:
            raise RefusalError(422, {"error": f"unknown fields {unknown}"})
        texts = body["inputs"] if self.dialect == "tei" else body["input"]
        if self.faults:
            fault = self.faults[0] if self.keeps else self.faults.pop(0)
            if (said := fault(self, texts)) is not None:
                return said
        return self.answer(body, texts)

    def answer(self, body: dict[str, Any], texts: list[str]) -> bytes:
        if self.dialect in {"ollama", "openai"} and body["model"].removesuffix(":latest") != (
            self.name
        ):
            raise RefusalError(404, {"error": {"message": f"model '{body['model']}' not found"}})
        if len(texts) > self.max_texts:
            said = f"batch size {len(texts)} > maximum allowed batch size {self.max_texts}"
            raise RefusalError(422, {"error": said, "error_type": "Validation"})
        if self.dialect in {"tei", "openai"} and "" in texts:
            raise RefusalError(422, {"error": "`inputs` cannot be empty"})
        if self.bad_word and any(self.bad_word in text for text in texts):
            raise RefusalError(400, {"error": "this text is not wanted"})
        return self.written(self.limited(texts, cut=body.get("truncate", True)))

    def limited(self, texts: list[str], *, cut: bool) -> list[Any]:
        most = self.max_tokens - 2
        long = [len(text.split()) > most for text in texts]
        can_cut = cut and self.dialect != "openai"
        if any(long) and not can_cut and self.dialect != "koboldcpp":
            said = f"maximum context length is {self.max_tokens} tokens"
            raise RefusalError(400, {"error": {"message": said, "code": "too_long"}})
        found = self.model.rows([" ".join(text.split()[:most]) for text in texts]).tolist()
        return [
            row if can_cut or not is_long else [] for row, is_long in zip(found, long, strict=True)
        ]

    def written(self, found: list[Any]) -> bytes:
        if self.dialect == "tei":
            return json.dumps(found).encode()
        if self.dialect == "ollama":
            return json.dumps({"model": self.name, "embeddings": found}).encode()
        data = [
            {"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(found)
        ]
        return json.dumps({"object": "list", "data": data[::-1], "model": self.name}).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers as its `fake` does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeServer

    def do_GET(self) -> None:
        self.do(lambda _: json.dumps(self.fake.get(self.path)).encode())

    def do_POST(self) -> None:
        self.do(lambda body: self.fake.post(self.path, json.loads(body)))

    def do(self, make: Callable[[bytes], bytes]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.fake.seen.append(f"{self.command} {self.path}")
        self.fake.keys.append(self.headers.get("Authorization", ""))
        try:
            self.fake.let_in()
            self.send(200, make(body), {})
        except RefusalError as refusal:
            self.send(refusal.status, refusal.body, refusal.headers)
        except CutError:
            self.close_connection = True

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that did not wait
            super().handle()


@contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    """Answer at a port of this machine until the end of the block."""
    handler = type("FakeHandler", (Handler,), {"fake": server})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield server
    finally:
        server.left.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def served_space(**changed: Any) -> Any:
    """The space of what the servers serve."""
    return replace(FAKE_SPACE, **changed)
