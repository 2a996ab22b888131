"""The server as an ASGI application (https://asgi.readthedocs.io)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

from mtl.serving.batching import RequestBatcher
from mtl.serving.counters import Counters
from mtl.serving.limits import Limits
from mtl.serving.openapi import describe
from mtl.serving.queries import RETRY, QueryReader, Refused
from mtl.serving.served_model import ServedModel

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
_PAGE_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
    b"form-action 'none'"
)
"""The page may load nothing from elsewhere, and send texts only to this server."""
LATE = "mtl.late"
"""The key of the scope of a request that was not complete in time, and was refused."""


class _ClientGone(Exception):
    """The client has closed the connection."""


class Application:
    """Answers requests for predictions, and shows the state of the server.

    Args:
        model: The model.
        limits: The limits.
        counters: The counts of this process.
    """

    def __init__(self, model: ServedModel, limits: Limits, counters: Counters) -> None:
        self._model = model
        self._limits = limits
        self._counters = counters
        self._reader = QueryReader(model, limits)
        self._batcher: RequestBatcher | None = None
        self._openapi = _json(describe(model, limits))
        self._page: bytes | None = None
        self._open = 0
        self.is_stopping = False
        """Whether the server ends; load balancers should send requests elsewhere."""

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request, or start and stop with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] == "/predict":
            await self._answer(scope, receive, send)
        else:
            await self._show(scope, send)

    async def _live(self, receive: _Receive, send: _Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        self._batcher = RequestBatcher(
            self._model, loop, self._counters.labelled, self._limits.seconds
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.is_stopping = True
        # Not in this thread, which delivers the last predictions.
        await loop.run_in_executor(None, self._batcher.close)
        await send({"type": "lifespan.shutdown.complete"})

    # ---- predictions

    async def _answer(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request for predictions."""
        begun = time.monotonic()
        status, headers = 200, list[tuple[bytes, bytes]]()
        self._open += 1
        self._count()
        try:
            body = await self._predict(scope, receive)
        except _ClientGone:
            self._counters.answered(408 if LATE in scope else 499, 0)
            return
        except Refused as refusal:
            status, body = refusal.status, _error(refusal.message, refusal.place)
            headers = list(refusal.headers)
        except Exception:  # the log has it
            status, body = 500, _error("an error in the server; its log has the details")
        finally:
            self._open -= 1
            self._count()
        await _respond(send, status, body, headers=headers)
        self._counters.answered(status, time.monotonic() - begun)

    def _count(self) -> None:
        self._counters.load(0 if self._batcher is None else len(self._batcher), self._open)

    async def _predict(self, scope: _Message, receive: _Receive) -> bytes:
        self._check(scope)
        query = self._reader.read(await self._body(receive))
        batcher, limit = self._batcher, self._limits.queue
        assert batcher is not None
        if len(batcher) >= limit:
            message = f"{limit:,} requests wait already; try again later"
            raise Refused(429, message, headers=RETRY)
        future = batcher.submit(query)
        self._count()
        return await future

    def _check(self, scope: _Message) -> None:
        """Refuse a request that need not be read."""
        if scope["method"] != "POST":
            raise Refused(405, "expected the method POST", headers=[(b"allow", b"POST")])
        if self._open > self._limits.open:
            message = f"{self._limits.open:,} requests are open already; try again later"
            raise Refused(503, message, headers=RETRY)
        headers = dict(scope["headers"])
        kind, _, parameters = headers.get(b"content-type", b"").partition(b";")
        # Browsers send other types to any server, without asking it first.
        if kind.strip().lower() != _JSON:
            raise Refused(415, 'expected the header "Content-Type: application/json"')
        charset = parameters.lower().replace(b" ", b"").replace(b'"', b"")
        if charset not in (b"", b"charset=utf-8", b"charset=utf8"):
            raise Refused(415, "expected JSON in UTF-8, without parameters or with charset=utf-8")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Refused(415, "expected a body that is not compressed")
        length = headers.get(b"content-length") or b"0"
        # Longer numbers than this have no meaning, and Python refuses to read them.
        if len(length) > 18 or int(length) > self._limits.body:
            raise self._too_large()

    def _too_large(self) -> Refused:
        return Refused(413, f"expected a body of at most {self._limits.body:,} bytes")

    async def _body(self, receive: _Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.body:
                raise self._too_large()
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    # ---- the state of the server

    async def _show(self, scope: _Message, send: _Send) -> None:
        """Answer a request for anything but predictions."""
        path = scope["path"]
        views = {
            "/": self._view_page,
            "/health": self._view_health,
            "/metrics": self._view_metrics,
            "/openapi.json": self._view_openapi,
        }
        if path not in views:
            paths = ", ".join(["/predict", *views])
            await _respond(send, 404, _error(f"unknown path; expected one of {paths}"))
        elif scope["method"] not in ("GET", "HEAD"):
            body = _error("expected the method GET")
            await _respond(send, 405, body, headers=[(b"allow", b"GET, HEAD")])
        else:
            await views[path](send)

    async def _view_health(self, send: _Send) -> None:
        live = self._batcher is not None and self._batcher.is_alive
        ready = live and not self.is_stopping
        tasks = {
            name: {"level": task.level, "values": task.values, "pairs": task.pairs}
            for name, task in self._model.tasks.items()
        }
        found = {"live": live, "ready": ready, "model": self._model.name, "tasks": tasks}
        await _respond(send, 200 if ready else 503, _json(found))

    async def _view_metrics(self, send: _Send) -> None:
        await _respond(send, 200, self._counters.text().encode(), _PROMETHEUS)

    async def _view_openapi(self, send: _Send) -> None:
        await _respond(send, 200, self._openapi)

    async def _view_page(self, send: _Send) -> None:
        if self._page is None:
            from mtl.serving.page import page

            self._page = page(self._model).encode()
        headers = [(b"content-security-policy", _PAGE_POLICY)]
        await _respond(send, 200, self._page, _HTML, headers)


async def _respond(
    send: _Send, status: int, body: bytes, kind: bytes = _JSON, headers: _Headers = ()
) -> None:
    own = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body})


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _error(message: str, place: str = "") -> bytes:
    return _json({"error": message} | ({"place": place} if place else {}))
