"""The limits of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a server. A request beyond one of them is refused, with the reason as JSON.

    Args:
        body: The largest size of the body of a request, in bytes.
        texts: The largest number of texts per request.
        characters: The largest number of characters per text; for a list of words, with one blank
            per word.
        queue: The largest number of requests that wait for the model; later ones get status 429.
        open: The largest number of requests that the server reads or answers at the same time;
            later ones get status 503.
        seconds: The largest number of seconds for reading a request (else status 408), and also
            for answering it (else status 503).
    """

    body: int = 1 << 20
    texts: int = 1000
    characters: int = 100_000
    queue: int = 256
    open: int = 1024
    seconds: float = 30.0
