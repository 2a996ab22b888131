"""A server in this process, which ends without losing requests."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from mtl.serving.application import Application
from mtl.serving.limits import Limits
from mtl.serving.protocol import HttpConnection

_DRAIN = 0.05
"""Seconds in which requests that were sent before the end are still read."""


class RunningServer(uvicorn.Server):
    """A server in this process. Ctrl-C and SIGTERM end it, and the program continues after it.

    Args:
        application: The application.
        limits: The limits.
    """

    def __init__(self, application: Application, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                _no_asgi,
                http=self._connection,  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(limits.seconds) + 1,
            )
        )
        self.on_start: Callable[[], None] = lambda: None
        """Called when the server listens."""
        self._application = application
        self._seconds = limits.seconds

    def _connection(self, server_state: ServerState, **_: Any) -> HttpConnection:
        return HttpConnection(self._application, self._seconds, server_state)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        self._application.start(asyncio.get_running_loop())
        await super().startup(sockets)
        self.on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that were sent, and close all connections."""
        self._application.is_stopping = True
        # Requests that the system has received, and this process has not read, are answered too.
        await asyncio.sleep(_DRAIN)
        await super().shutdown(sockets)
        if not self.force_exit:
            # Not in this thread, which delivers the last predictions.
            await asyncio.get_running_loop().run_in_executor(None, self._application.close)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """End the server at a signal, but not the process."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End the server; a second Ctrl-C does not wait for requests."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


async def _no_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Stand for the application of uvicorn, which connections do not call."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
