"""The answers of the server, without HTTP."""

from __future__ import annotations

import json
import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mtl.serving.batching import RequestBatcher
from mtl.serving.counters import Counters
from mtl.serving.limits import Limits
from mtl.serving.openapi import describe
from mtl.serving.queries import RETRY, QueryReader, Refused
from mtl.serving.served_model import ServedModel

PREDICT = "/predict"
"""The path of requests for predictions."""
_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
_PAGE_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
    b"form-action 'none'"
)
"""The page may load nothing from elsewhere, and send texts only to this server."""
_log = logging.getLogger(__name__)


class HttpResponse(NamedTuple):
    """The answer to a request.

    Args:
        status: The HTTP status.
        body: The body.
        kind: The header Content-Type.
        headers: Further headers.
    """

    status: int
    body: bytes
    kind: bytes = _JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


class Application:
    """Answers requests for predictions, and shows the state of the server.

    All methods are called in the event loop.

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

    def start(self, loop: AbstractEventLoop) -> None:
        """Start the thread of the model."""
        self._batcher = RequestBatcher(
            self._model, loop, self._counters.labelled, self._limits.seconds
        )

    def close(self) -> None:
        """End the thread of the model after its batch.

        This waits for the thread, and the event loop delivers the last predictions: call it in
        another thread.
        """
        if self._batcher is not None:
            self._batcher.close()

    # ---- predictions

    def begin(self, method: bytes, headers: Mapping[bytes, bytes]) -> HttpResponse | None:
        """Count a request for predictions, and return a refusal if it need not be read.

        `end` must be called for each of them.
        """
        self._open += 1
        self._count()
        try:
            self._check(method, headers)
        except Refused as refusal:
            return _refusal(refusal)
        return None

    def end(self, status: int, seconds: float) -> None:
        """Count the answer to a request for predictions.

        Args:
            status: The status; 408, 431 and 499: the request was not read to its end.
            seconds: The time since its begin.
        """
        self._open -= 1
        self._count()
        self._counters.answered(status, seconds)

    def predict(self, body: bytes, answer: Callable[[HttpResponse], None]) -> HttpResponse | None:
        """Return the answer if it is known at once, and else call `answer` later with it."""
        batcher, limit = self._batcher, self._limits.queue
        assert batcher is not None

        def deliver(found: bytes | Exception) -> None:
            self._count()
            answer(_response(found))

        try:
            query = self._reader.read(body)
            if not query.texts:
                return HttpResponse(200, b'{"predictions": []}\n')
            if len(batcher) >= limit:
                message = f"{limit:,} requests wait already; try again later"
                raise Refused(429, message, headers=RETRY)
            batcher.submit(query, deliver)
        except Refused as refusal:
            return _refusal(refusal)
        except Exception as error:
            _log.exception("a request failed")
            return _response(error)
        self._count()
        return None

    def _count(self) -> None:
        self._counters.load(0 if self._batcher is None else len(self._batcher), self._open)

    def _check(self, method: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a request that need not be read."""
        if method != b"POST":
            raise Refused(405, "expected the method POST", headers=[(b"allow", b"POST")])
        if self._open > self._limits.open:
            message = f"{self._limits.open:,} requests are open already; try again later"
            raise Refused(503, message, headers=RETRY)
        if (kind := headers.get(b"content-type", b"")) != _JSON:
            _check_type(kind)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Refused(415, "expected a body that is not compressed")
        length = headers.get(b"content-length") or b"0"
        # Longer numbers than this have no meaning, and Python refuses to read them.
        if len(length) > 18 or int(length) > self._limits.body:
            raise self._too_large()

    def _too_large(self) -> Refused:
        return Refused(413, f"expected a body of at most {self._limits.body:,} bytes")

    def check_size(self, size: int) -> HttpResponse | None:
        """Return a refusal if a body of this number of bytes is too large."""
        return _refusal(self._too_large()) if size > self._limits.body else None

    # ---- the state of the server

    def show(self, method: bytes, path: str) -> HttpResponse:
        """Answer a request for anything but predictions."""
        views = {
            "/": self._view_page,
            "/health": self._view_health,
            "/metrics": self._view_metrics,
            "/openapi.json": self._view_openapi,
        }
        if path not in views:
            paths = ", ".join([PREDICT, *views])
            return HttpResponse(404, _error(f"unknown path; expected one of {paths}"))
        if method not in (b"GET", b"HEAD"):
            body = _error("expected the method GET")
            return HttpResponse(405, body, headers=[(b"allow", b"GET, HEAD")])
        try:
            return views[path]()
        except Exception as error:
            _log.exception("a request failed")
            return _response(error)

    def _view_health(self) -> HttpResponse:
        live = self._batcher is not None and self._batcher.is_alive
        ready = live and not self.is_stopping
        tasks = {
            name: {"level": task.level, "values": task.values, "pairs": task.pairs}
            for name, task in self._model.tasks.items()
        }
        found = {"live": live, "ready": ready, "model": self._model.name, "tasks": tasks}
        return HttpResponse(200 if ready else 503, _json(found))

    def _view_metrics(self) -> HttpResponse:
        return HttpResponse(200, self._counters.text().encode(), _PROMETHEUS)

    def _view_openapi(self) -> HttpResponse:
        return HttpResponse(200, self._openapi)

    def _view_page(self) -> HttpResponse:
        if self._page is None:
            from mtl.serving.page import page

            self._page = page(self._model).encode()
        headers = [(b"content-security-policy", _PAGE_POLICY)]
        return HttpResponse(200, self._page, _HTML, headers)


def _check_type(kind: bytes) -> None:
    """Refuse a body that is not JSON."""
    kind, _, parameters = kind.partition(b";")
    # Browsers send other types to any server, without asking it first.
    if kind.strip().lower() != _JSON:
        raise Refused(415, 'expected the header "Content-Type: application/json"')
    charset = parameters.lower().replace(b" ", b"").replace(b'"', b"")
    if charset not in (b"", b"charset=utf-8", b"charset=utf8"):
        raise Refused(415, "expected JSON in UTF-8, without parameters or with charset=utf-8")


def _response(found: bytes | Exception) -> HttpResponse:
    """Return the predictions, or the error, of the model."""
    if isinstance(found, bytes):
        return HttpResponse(200, found)
    if isinstance(found, Refused):
        return _refusal(found)
    return HttpResponse(500, _error("an error in the server; its log has the details"))


def _refusal(refusal: Refused) -> HttpResponse:
    body = _error(refusal.message, refusal.place)
    return HttpResponse(refusal.status, body, headers=refusal.headers)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _error(message: str, place: str = "") -> bytes:
    return _json({"error": message} | ({"place": place} if place else {}))
