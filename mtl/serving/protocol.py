"""HTTP connections, with bounds on the time and the size of requests.

Requests are read by the parser of httptools, and answered without tasks, futures and timers of
their own. With a small model, they would cost more than its predictions.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from urllib.parse import unquote

import httptools
from uvicorn.server import ServerState

from mtl.serving.application import PREDICT, Application, HttpResponse

HEADERS = 1 << 16
"""The largest number of bytes of the path and the headers of a request."""
UNREAD = 1 << 24
"""The largest number of bytes of a body that the server reads, and drops, after a refusal.

A client that still sends would not see the refusal if the connection were closed at once."""
KEEP_ALIVE = 75.0
"""Seconds after which an idle connection is closed; more than proxies keep theirs."""


class _HttpRequest:
    """A request.

    Args:
        method: Its method.
        path: Its path.
        headers: Its headers; names are lower case.
        keep_alive: Whether the connection stays open after the answer.
    """

    __slots__ = (
        "begun",
        "headers",
        "is_answered",
        "is_complete",
        "is_submitted",
        "keep_alive",
        "method",
        "parts",
        "path",
        "size",
    )

    def __init__(
        self, method: bytes, path: str, headers: dict[bytes, bytes], keep_alive: bool
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.keep_alive = keep_alive
        self.begun: float | None = None
        """When the server began to answer it; None before."""
        self.parts: list[bytes] = []
        """The body."""
        self.size = 0
        """The size of the body so far, in bytes."""
        self.is_complete = False
        self.is_submitted = False
        self.is_answered = False


class HttpConnection(asyncio.Protocol):
    """A connection that is closed if a request comes too slowly, or has too long headers.

    Its requests are answered one after the other. The application bounds the size of bodies.

    Args:
        application: Answers the requests.
        seconds: The largest number of seconds in which a request is read.
        state: The open connections, and the headers of all answers.
    """

    def __init__(self, application: Application, seconds: float, state: ServerState) -> None:
        self._application = application
        self._seconds = seconds
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # As in uvicorn: data after the last request do not prevent its answer.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._size = 0
        """The size of the headers so far, or of a body after its refusal, in bytes."""
        self._incoming: _HttpRequest | None = None
        """The request whose body is read."""
        self._queue: deque[_HttpRequest] = deque()
        """The requests without an answer, the oldest one first."""
        self._since: float | None = self._loop.time()
        """When the first byte of a request came that is not complete yet; None between requests.
        The first request begins with the connection."""
        self._idle = 0.0
        """When the last request was answered."""
        self._timer: asyncio.TimerHandle | None = None
        self._reads, self._writes = True, True

    # ---- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to watch the connection."""
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._timer = self._loop.call_later(self._seconds, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to watch the connection."""
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._abandon(499)

    def _watch(self) -> None:
        """Close the connection if its request is late, or if it is idle; else look again later."""
        now = self._loop.time()
        if self._since is not None:
            end = self._since + self._seconds
        elif self._queue:
            end = now + self._seconds
        else:
            end = min(self._idle + KEEP_ALIVE, now + self._seconds)
        if end > now:
            self._timer = self._loop.call_at(end, self._watch)
        elif self._since is None:
            self._transport.close()
        else:
            self._refuse(408, f"the request was not complete within {self._seconds:g} seconds")

    def eof_received(self) -> bool:
        """Keep the connection open for the answer, if a client only ends its own side."""
        return self._since is None and self._ends_with_queue()

    def shutdown(self) -> None:
        """Close the connection after the answers to the requests so far."""
        if not self._ends_with_queue():
            self._transport.close()

    def _ends_with_queue(self) -> bool:
        """Let the connection end after the last request; return whether there is one."""
        if self._queue:
            self._queue[-1].keep_alive = False
        return bool(self._queue)

    def pause_writing(self) -> None:
        """Do not answer further requests."""
        self._writes = False

    def resume_writing(self) -> None:
        """Answer further requests."""
        self._writes = True
        self._advance()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, or several."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request is answered in HTTP/1.1. The parser reads nothing after it.
            if not self._ends_with_queue():
                self._transport.close()
        except httptools.HttpParserError:
            if self._size > HEADERS:
                self._refuse(431, f"expected a path and headers of at most {HEADERS:,} bytes")
            else:
                self._refuse(400, "expected a request in HTTP/1.1")

    # ---- called by the parser; it reports errors in these methods as wrong requests

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._since = self._loop.time()
        self._size = 0
        self._url, self._headers = b"", {}

    def on_url(self, url: bytes) -> None:
        """Add to the path."""
        self._count(len(url))
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self._count(len(name) + len(value))
        self._headers[name.lower()] = value

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > HEADERS:
            raise ValueError  # ends the parser

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or let it wait for those before it."""
        keep_alive = self._parser.get_http_version() != "1.0" and self._parser.should_keep_alive()
        method, path = self._parser.get_method(), _path(self._url)
        self._incoming = _HttpRequest(method, path, self._headers, keep_alive)
        self._size = 0
        self._queue.append(self._incoming)
        self._advance()

    def on_body(self, body: bytes) -> None:
        """Read a part of the body, or drop it after the answer."""
        request = self._incoming
        assert request is not None
        if request.is_answered:
            self._size += len(body)
            if self._size > UNREAD:
                self._transport.close()
            return
        request.parts.append(body)
        request.size += len(body)
        if request.begun is not None and (refusal := self._application.check_size(request.size)):
            self._answer(request, refusal)
            self._advance()

    def on_message_complete(self) -> None:
        """End a request."""
        self._since, self._idle = None, self._loop.time()
        if self._incoming is not None:
            self._incoming.is_complete = True
            self._incoming = None
            self._advance()

    # ---- answers

    def _advance(self) -> None:
        """Answer the requests, as far as this is possible now."""
        while self._queue and self._writes:
            request = self._queue[0]
            if response := self._next_answer(request):
                self._answer(request, response)
            else:
                break
        reads = len(self._queue) < 2 and self._writes
        if reads != self._reads and not self._transport.is_closing():
            self._reads = reads
            (self._transport.resume_reading if reads else self._transport.pause_reading)()

    def _next_answer(self, request: _HttpRequest) -> HttpResponse | None:
        """Take the next step of the oldest request; return its answer if it is known now."""
        if request.path != PREDICT:
            return self._application.show(request.method, request.path)
        if request.begun is None:
            request.begun = time.monotonic()
            refusal = self._application.begin(request.method, request.headers)
            if refusal := refusal or self._application.check_size(request.size):
                return refusal
            if request.headers.get(b"expect", b"").lower() == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.is_complete and not request.is_submitted:
            request.is_submitted = True
            return self._application.predict(b"".join(request.parts), partial(self._late, request))
        return None

    def _late(self, request: _HttpRequest, response: HttpResponse) -> None:
        """Send the predictions of the model."""
        self._answer(request, response)
        self._advance()

    def _answer(self, request: _HttpRequest, response: HttpResponse) -> None:
        """Send the answer to the oldest request."""
        request.is_answered = True
        request.parts = []
        if request.begun is not None:
            self._application.end(response.status, time.monotonic() - request.begun)
        if self._transport.is_closing():
            self._queue.clear()
            return
        self._queue.popleft()
        self._idle = self._loop.time()
        fields = [*self._state.default_headers, *response.headers]
        if not request.keep_alive:
            fields.append((b"connection", b"close"))
        body = b"" if request.method == b"HEAD" else response.body
        self._transport.write(
            b"%scontent-type: %s\r\ncontent-length: %d\r\nx-content-type-options: nosniff\r\n"
            b"%s\r\n%s"
            % (
                _STATUS_LINES[response.status],
                response.kind,
                len(response.body),
                b"".join([b"%s: %s\r\n" % field for field in fields]),
                body,
            )
        )
        if not request.keep_alive:
            self._close()

    def _close(self) -> None:
        self._transport.close()
        self._queue.clear()  # only the first one of them can have begun, and it was answered

    def _abandon(self, status: int) -> None:
        """Drop the requests without an answer; those in the model are counted later."""
        for request in self._queue:
            request.is_answered = True
            if request.begun is not None and not request.is_submitted:
                self._application.end(status, time.monotonic() - request.begun)
        self._queue.clear()

    def _refuse(self, status: int, message: str) -> None:
        """Close the connection, with a reason if it cannot be taken for another answer."""
        if self._transport.is_closing():
            return
        has_place = self._incoming is None or not self._incoming.is_answered
        if has_place and len(self._queue) < 2:
            body = json.dumps({"error": message}).encode() + b"\n"
            self._transport.write(
                b"%scontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (_STATUS_LINES[status], len(body), body)
            )
        self._abandon(status)
        self._transport.close()


def _path(url: bytes) -> str:
    """Return the path of a URL."""
    if url == b"/predict":
        return PREDICT
    path: str = httptools.parse_url(url).path.decode("ascii")
    return unquote(path) if "%" in path else path


_STATUS_LINES: dict[int, bytes] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
