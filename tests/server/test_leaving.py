"""A client that leaves in the middle of bulk stops its work in a real service."""

from __future__ import annotations

import json
import socket

import msgspec
from serving import MODEL, RunningService, wait_until

from embedwell.core.events import Watch
from embedwell.engines.wire import BINARY, EMBED_PATH, EmbedRequest

# Minutes of work.
BULK = EmbedRequest(MODEL, [f"{n} words of a long text " * 40 for n in range(5000)])


def n_waiting(service: RunningService) -> int:
    with service.engine() as engine:
        found = json.loads(engine.request("GET", "/v1/monitoring/embeddings"))
    return int(found["requests"]["waiting"])


def test_a_client_that_leaves_stops_its_work(service):
    body = msgspec.msgpack.encode(BULK)
    head = (
        f"POST {EMBED_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BINARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(service.socket))
        client.sendall(head.encode() + body)
        wait_until(lambda: n_waiting(service) == 1)
    wait_until(lambda: n_waiting(service) == 0, limit_s=20)
    with service.engine() as engine:
        assert engine.embed(EmbedRequest(MODEL, ["one"]), Watch()).dimensions == 384
