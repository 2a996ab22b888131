"""Counts of a server for Prometheus, which all its processes share."""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

STATUSES = (200, 400, 405, 408, 413, 415, 422, 429, 431, 499, 500, 503)
"""The statuses of requests for predictions. 499: the client closed the connection."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the histogram of durations."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""The upper bounds of the histogram of texts per batch."""

_QUEUE, _OPEN, _TEXTS = 0, 1, 2
_STATUSES = 3
_DURATIONS = _STATUSES + len(STATUSES)
_SIZES = _DURATIONS + len(SECONDS) + 2
_WIDTH = _SIZES + len(BATCHES) + 2


class Counters:
    """The counts of one process, and the sums over all processes of the server.

    Each process adds to a row of a file of its own, so that none waits for another, and any of
    them reports the sums. A process that was restarted continues the row of the former one.

    Args:
        file: A file that all processes of the server share; None: this is the only process.
        row: The row of this process.
        rows: The number of processes.
    """

    def __init__(self, file: Path | None = None, row: int = 0, rows: int = 1) -> None:
        size = 8 * _WIDTH * rows
        if file is None:
            self._memory = mmap.mmap(-1, size)
        else:
            with file.open("r+b") as shared:
                shared.truncate(size)
                self._memory = mmap.mmap(shared.fileno(), size)
        self._all = memoryview(self._memory).cast("d")
        self._own = self._all[row * _WIDTH : (row + 1) * _WIDTH]
        self._own[_QUEUE] = self._own[_OPEN] = 0  # a former process may have been killed

    def load(self, waiting: int, answering: int) -> None:
        """Set the number of requests that wait for the model, and of all that are open."""
        self._own[_QUEUE] = waiting
        self._own[_OPEN] = answering

    def answered(self, status: int, seconds: float) -> None:
        """Count a request for predictions."""
        self._own[_STATUSES + STATUSES.index(status)] += 1
        if status == 200:
            self._observe(_DURATIONS, SECONDS, seconds)

    def labelled(self, texts: int) -> None:
        """Count a batch."""
        self._own[_TEXTS] += texts
        self._observe(_SIZES, BATCHES, texts)

    def _observe(self, start: int, bounds: Sequence[float], value: float) -> None:
        own = self._own
        own[start + bisect_left(bounds, value)] += 1
        own[start + len(bounds) + 1] += value

    def text(self) -> str:
        """Return the sums over all processes in the text format of Prometheus, version 0.0.4."""
        rows = len(self._all) // _WIDTH
        sums = [sum(self._all[k + row * _WIDTH] for row in range(rows)) for k in range(_WIDTH)]
        lines = [*_head("mtl_requests_total", "counter", "Requests for predictions, by status.")]
        for status, number in zip(STATUSES, sums[_STATUSES:], strict=False):
            lines.append(f'mtl_requests_total{{status="{status}"}} {number:.0f}')
        for name, kind, described, cell in (
            ("mtl_texts_total", "counter", "Texts labelled.", _TEXTS),
            ("mtl_queue_requests", "gauge", "Requests that wait for the model.", _QUEUE),
            ("mtl_open_requests", "gauge", "Requests that the server reads or answers.", _OPEN),
        ):
            lines += [*_head(name, kind, described), f"{name} {sums[cell]:.0f}"]
        described = "Seconds from the first byte of a request to its predictions."
        lines += _histogram("mtl_request_seconds", described, SECONDS, sums[_DURATIONS:_SIZES])
        lines += _histogram("mtl_batch_texts", "Texts per batch.", BATCHES, sums[_SIZES:])
        return "\n".join([*lines, ""])


def _head(name: str, kind: str, described: str) -> Iterator[str]:
    yield f"# HELP {name} {described}"
    yield f"# TYPE {name} {kind}"


def _histogram(
    name: str, described: str, bounds: Sequence[float], cells: Sequence[float]
) -> Iterator[str]:
    yield from _head(name, "histogram", described)
    *counts, total = cells[: len(bounds) + 2]
    sums = list(accumulate(counts))
    for bound, number in zip(bounds, sums, strict=False):
        yield f'{name}_bucket{{le="{bound:g}"}} {number:.0f}'
    yield f'{name}_bucket{{le="+Inf"}} {sums[-1]:.0f}'
    yield f"{name}_sum {total:.9g}"
    yield f"{name}_count {sums[-1]:.0f}"
