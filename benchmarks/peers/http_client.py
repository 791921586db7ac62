"""A client of `http_service.py`: 256 texts a request, one kept connection; told the port."""

from __future__ import annotations

from benchmarks.peers.serve import serve

TEXTS_PER_REQUEST = 256


def load(options):
    import http.client
    import json
    import socket

    import numpy as np

    connection = http.client.HTTPConnection("127.0.0.1", int(options.variant))
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = {"Content-Type": "application/json"}

    def ask(texts):
        connection.request("POST", "/embed", json.dumps(texts), headers)
        return np.array(json.loads(connection.getresponse().read()), dtype=np.float32)

    def embed(texts, kind):
        del kind
        begins = range(0, len(texts), TEXTS_PER_REQUEST)
        return np.concatenate([ask(texts[i : i + TEXTS_PER_REQUEST]) for i in begins])

    return embed


if __name__ == "__main__":
    serve(load)
