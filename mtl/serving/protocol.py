"""HTTP connections, with bounds on the time and the size of requests."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mtl.serving.application import LATE

HEADERS = 1 << 16
"""The largest number of bytes of the path and the headers of a request."""
UNREAD = 1 << 24
"""The largest number of bytes of a body that the server reads, and drops, after a refusal.

A client that still sends would not see the refusal if the connection were closed at once."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection that is closed if a request comes too slowly, or has too long headers.

    The application bounds the size of bodies.
    """

    seconds = 30.0
    """The largest number of seconds in which a request is read."""
    _since: float | None = None
    """When the first byte of a request came that is not complete yet; None between requests."""
    _size = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to watch the connection."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self.seconds, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to watch the connection."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """Close the connection if its request is late; else look again later."""
        now = self.loop.time()
        last = now if self._since is None else self._since
        late = last + self.seconds
        if late <= now:
            self._refuse(408, f"the request was not complete within {self.seconds:g} seconds")
        else:
            self._timer = self.loop.call_at(late, self._watch)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open for the answer, if a client only ends its own side."""
        if self._since is not None or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._since = self.loop.time()
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Add to the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > HEADERS:
            raise ValueError  # ends the parser

    def on_headers_complete(self) -> None:
        """Start the application."""
        super().on_headers_complete()
        self._size = 0

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body to the application, or drop it after the answer."""
        if self.cycle.response_complete:
            self._size += len(body)
            if self._size > UNREAD:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP."""
        if self._size > HEADERS:
            self._refuse(431, f"expected a path and headers of at most {HEADERS:,} bytes")
        else:
            self._refuse(400, "expected a request in HTTP/1.1")

    def _refuse(self, status: int, message: str) -> None:
        """Close the connection, with a reason unless an answer has begun."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                return
            # The application sees that the client is gone, and does not answer.
            cast("dict[str, Any]", self.cycle.scope)[LATE] = True
        body = json.dumps({"error": message}).encode() + b"\n"
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (status, _REASONS[status], len(body), body)
        )
        self.transport.close()


_REASONS: dict[int, bytes] = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
}
