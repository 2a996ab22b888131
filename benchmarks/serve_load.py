"""Clients of a server, in a process of their own: serve.py starts it.

    python benchmarks/serve_load.py PORT CLIENTS SECONDS MOST < BODIES

Each line of BODIES is the body of a request. Each client sends one request after the other over one
connection, up to a time and a number of requests. Prints JSON: the seconds, and the seconds of each
request. It needs little time itself: requests are ready before, and answers are not parsed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)


class Client(asyncio.Protocol):
    """One connection, which sends the next request after each answer."""

    def __init__(self, requests: list[bytes], first: int, step: int, until: float) -> None:
        self.requests, self.next, self.step, self.until = requests, first, step, until
        self.done = asyncio.get_running_loop().create_future()
        self.times: list[float] = []
        self.answer, self.missing = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Send the next request, or end."""
        self.begun = time.perf_counter()
        if self.next >= len(self.requests) or self.begun > self.until:
            self.transport.close()
            self.done.set_result(None)
            return
        self.transport.write(self.requests[self.next])
        self.next += self.step

    def data_received(self, data: bytes) -> None:
        """Read a part of an answer."""
        self.answer += data
        if not self.missing:
            end = self.answer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.answer[:end]
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"the server answered {self.answer[:300]!r}")
            start = head.index(b"content-length: ") + 16
            self.missing = end + 4 + int(head[start:].split(b"\r", 1)[0])
        if len(self.answer) == self.missing:
            self.times.append(time.perf_counter() - self.begun)
            self.answer, self.missing = b"", 0
            self.send()

    def connection_lost(self, error: Exception | None) -> None:
        """End, with an error if the server closed the connection."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def main(port: int, number: int, seconds: float, most: int) -> None:
    """Send requests and print the times."""
    bodies = [line.rstrip(b"\n") for line in sys.stdin.buffer]
    requests = [HEAD % (len(body), body) for body in bodies]
    requests = (requests * (most // len(requests) + 1))[:most]
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    clients = []
    for first in range(number):
        make = lambda first=first: Client(requests, first, number, begun + seconds)  # noqa: E731
        clients.append((await loop.create_connection(make, "127.0.0.1", port))[1])
    await asyncio.gather(*(client.done for client in clients))
    elapsed = time.perf_counter() - begun
    times = [own for client in clients for own in client.times]
    print(json.dumps({"seconds": elapsed, "times": times}))


if __name__ == "__main__":
    arguments = [int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])]
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    run(main(*arguments))  # type: ignore[arg-type]
