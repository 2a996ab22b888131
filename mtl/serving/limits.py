"""The limits of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a server. A request beyond one of them is refused, with the reason as JSON.

    Args:
        body: The most bytes of the body of a request.
        texts: The most texts of a request.
        characters: The most characters of a text; for a list of words, with one blank per word.
        queue: The most requests that wait for the model. Later ones get the status 429.
        open: The most requests that the server reads or answers. Later ones get the status 503.
        seconds: The most seconds in which a request is read (else status 408), and in which it is
            answered (else status 503).
    """

    body: int = 1 << 20
    texts: int = 1000
    characters: int = 100_000
    queue: int = 256
    open: int = 1024
    seconds: float = 30.0
