"""A server in a thread of the tests, and clients without a library that would hide errors."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, NamedTuple

from mtl.serving.application import Application
from mtl.serving.counters import Counters
from mtl.serving.limits import Limits
from mtl.serving.running import RunningServer
from mtl.serving.served_model import ServedModel
from mtl.serving.server import listening

JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def told(self) -> tuple[int, str]:
        """The status, and the place in the JSON that the error names."""
        return self.status, self.json.get("place", "")


class Client:
    """Sends requests to a server."""

    def __init__(self, port: int, server: RunningServer, thread: Thread) -> None:
        self.port, self.server, self.thread = port, server, thread
        self.address = f"http://127.0.0.1:{port}"

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            found = connection.getresponse()
            return Answer(found.status, found.read(), {k.lower(): v for k, v in found.getheaders()})
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def post(self, fields: Any) -> Answer:
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return self.send("POST", "/predict", body, JSON)

    def predict(self, texts: Any, **options: Any) -> Any:
        """Return the predictions of a request that must succeed."""
        found = self.post({"texts": texts, **options})
        assert found.status == 200, found
        return found.json["predictions"]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def metric(self, name: str) -> float:
        lines = self.get("/metrics").body.decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name + " "))


def raw_post(body: bytes, head: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    return (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s"
        b"Content-Length: %d\r\n\r\n%s" % (head, len(body), body)
    )


def everything(connection: socket.socket) -> bytes:
    """Return all bytes up to the end of a connection."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@contextmanager
def serving(model: ServedModel, limits: Limits | None = None) -> Iterator[Client]:
    """Start a server for a model in a thread."""
    limits = limits or Limits()
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = RunningServer(Application(model, limits, Counters()), limits)
        started = Event()
        server.on_start = started.set
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert started.wait(20)
            yield Client(port, server, thread)
        finally:
            server.should_exit = True
            thread.join()
