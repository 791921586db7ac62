"""A small server that speaks the hub's protocol, with faults to order.

`HEAD` and `GET /{owner}/{name}/resolve/{revision}/{file}`: small files are answered in place, big
ones (`lfs`) by a redirect to another origin, with the metadata in the redirect's headers.
`GET /api/models/{owner}/{name}/revision/{revision}`: the commit and the files, with the hashes of
the big ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self
from urllib.parse import unquote

_BIG = 10_000  # bytes; downloads of smaller files do not fail half-way
Fault = Literal["", "gated", "private", "error", "no-metadata", "silent", "truncated", "stalled"]


@dataclass
class HubServer:
    """What it serves, and how it fails.

    Attributes:
        repository: `owner/name`.
        revision: The only commit there is; `branches` mean it too.
        files: Bytes by name.
        lfs: Names that are redirected to the other origin.
        fault: How every request fails.
        token: Where set, requests without it are refused.
        requests: Method and path of each request so far.
        branches: Other names of the commit.
    """

    repository: str
    revision: str
    files: dict[str, bytes]
    lfs: frozenset[str] = frozenset()
    fault: Fault = ""
    token: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    branches: tuple[str, ...] = ("main", "refs/pr/1")

    def __enter__(self) -> Self:
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self)
        self._storage = _Server(("127.0.0.1", 0), self)
        for server in (self._server, self._storage):
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in (self._server, self._storage):
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        """What `HF_ENDPOINT` must be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def storage_url(self) -> str:
        """The origin of big files; the client's token must not reach it."""
        return f"http://localhost:{self._storage.server_port}"

    def listing_at(self, path: str) -> str | None:
        """The answer to a path that asks what there is, if it does."""
        start = f"/api/models/{self.repository}/revision/"
        asked = unquote(path.partition("?")[0].removeprefix(start))
        if not path.startswith(start) or asked not in {self.revision, *self.branches}:
            return None
        siblings = [
            {"rfilename": name, "size": len(content), "blobId": sha1(content).hexdigest()}
            | ({"lfs": _lfs(content)} if name in self.lfs else {})
            for name, content in self.files.items()
        ]
        return json.dumps({"id": self.repository, "sha": self.revision, "siblings": siblings})

    def name_in(self, path: str) -> str | None:
        """The file that a path asks for, if there is one."""
        start = f"/{self.repository}/resolve/{self.revision}/"
        name = unquote(path.removeprefix(start))
        return name if path.startswith(start) and name in self.files else None


def _lfs(content: bytes) -> dict[str, str | int]:
    digest = hashlib.sha256(content).hexdigest()
    return {"sha256": digest, "size": len(content), "pointerSize": 130}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], hub: HubServer) -> None:
        super().__init__(address, _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away, as some tests make it do
            super().handle()

    def _answer(self, *, with_body: bool) -> None:
        hub = self.server.hub
        hub.requests.append((self.command, self.path))
        if hub.fault == "silent":
            hub.closing.wait()
            return
        if self.path.startswith("/storage/"):
            assert "authorization" not in self.headers
            self._send_file(hub.files[self.path.removeprefix("/storage/")], with_body=with_body)
            return
        if self._refused(hub):
            return
        if self.path.startswith("/api/"):
            self._list(hub)
            return
        name = hub.name_in(self.path)
        if name is None:
            code = "EntryNotFound" if hub.revision in self.path else "RevisionNotFound"
            self._send_status(404, {"X-Error-Code": code, "X-Repo-Commit": hub.revision})
        elif name in hub.lfs:
            self._redirect(hub, name)
        else:
            self._send_file(hub.files[name], with_body=with_body)

    def _refused(self, hub: HubServer) -> bool:
        if hub.fault == "error":
            self._send_status(500, {})
        elif hub.fault == "gated":
            self._send_status(403, {"X-Error-Code": "GatedRepo"})
        elif hub.token and self.headers.get("authorization") != f"Bearer {hub.token}":
            self._send_status(401, {"X-Error-Code": "RepoNotFound"})
        else:
            return False
        return True

    def _list(self, hub: HubServer) -> None:
        listing = hub.listing_at(self.path)
        if listing is None:
            code = "RevisionNotFound" if f"/{hub.repository}/" in self.path else "RepoNotFound"
            self._send_status(404, {"X-Error-Code": code})
            return
        body = listing.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, hub: HubServer, name: str) -> None:
        digest = hashlib.sha256(hub.files[name]).hexdigest()
        self._send_status(
            302,
            {
                "Location": f"{hub.storage_url}/storage/{name}",
                "X-Repo-Commit": hub.revision,
                "X-Linked-ETag": f'"{digest}"',
                "X-Linked-Size": str(len(hub.files[name])),
                "ETag": '"of-the-redirect"',
            },
        )

    def _send_status(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": "0"}).items():
            self.send_header(key, value)
        self.end_headers()

    def _send_file(self, content: bytes, *, with_body: bool) -> None:
        hub = self.server.hub
        self.send_response(200)
        if hub.fault != "no-metadata":
            self.send_header("X-Repo-Commit", hub.revision)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not with_body:
            return
        if hub.fault in {"truncated", "stalled"} and len(content) > _BIG:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if hub.fault == "stalled":
                hub.closing.wait()
            self.close_connection = True
        else:
            self.wfile.write(content)
