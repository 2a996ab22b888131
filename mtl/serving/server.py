"""The processes of a server, from the first request to a clean end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mtl.errors import MtlError, not_installed
from mtl.serving.application import Application
from mtl.serving.counters import Counters
from mtl.serving.settings import ServerSettings


def serve(settings: ServerSettings, started: Callable[[str], None]) -> None:
    """Serve a model until Ctrl-C or SIGTERM, and answer the requests that were sent before.

    Args:
        settings: The settings.
        started: Called with the address when the server listens.

    Raises:
        MtlError: The model cannot be loaded, the address cannot be used, or a package is missing.
    """
    check_installed()
    with listening(settings.host, settings.port) as listener:
        if settings.workers > 1:
            from mtl.serving.workers import run_workers

            run_workers(settings, listener, lambda: started(address(listener)))
            return
        from mtl.serving.running import RunningServer

        model = settings.open_model()
        server = RunningServer(Application(model, settings.limits, Counters()), settings.limits)
        server.on_start = lambda: started(address(listener))
        server.run([listener])


def check_installed() -> None:
    """Raise an MtlError if a package of the extra `serve` is missing."""
    try:
        import httptools  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MtlError(not_installed("mtl serve", "serve", error)) from None


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that is bound to an address.

    Raises:
        MtlError: The address cannot be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, place = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise MtlError(f"--host {host}: {error.strerror or error}") from None
    except UnicodeError as error:  # names that no address can have
        raise MtlError(f"--host {host}: not the name of a machine: {error}") from None
    with listener:
        if os.name == "posix":  # a port whose last connections have just ended
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except OSError as error:
            message = f"{host}:{port}: {error.strerror}; choose another --host or --port"
            raise MtlError(message) from None
        yield listener


def address(listener: socket.socket) -> str:
    """Return the address of a server, for users."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
