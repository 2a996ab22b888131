"""Labels the texts of concurrent requests together, in one thread."""

from __future__ import annotations

import json
import logging
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from mtl.serving.queries import Query, QueryOptions, Refusal
from mtl.serving.served_model import ServedModel

TEXTS = 256
"""The most texts of a batch."""
CHARACTERS = 1 << 15
"""A batch ends after the text that brings it to this number of characters.

Longer requests are labelled in several batches, and requests behind them need not wait for all."""
WAIT = 0.005
"""The most seconds that a request waits for others when the model is free."""
RECENT = 0.01
"""Clients that were answered within this number of seconds are expected to ask again."""

_encode = json.JSONEncoder(ensure_ascii=False).encode
_log = logging.getLogger(__name__)


class Job:
    """A request that waits for its predictions.

    Args:
        query: The request.
        future: Gets the predictions as JSON, or the exception.
    """

    __slots__ = ("future", "place", "query", "records", "since")

    def __init__(self, query: Query, future: Future[bytes]) -> None:
        self.query = query
        self.future = future
        self.place = 0
        """The number of texts that are in a batch already."""
        self.records: list[str] = []
        self.since = time.monotonic()

    @property
    def is_complete(self) -> bool:
        """Whether all texts are in a batch."""
        return self.place == len(self.query.texts)


_Part: TypeAlias = tuple[Job, Sequence[Any]]
"""A job, and those of its texts that are in a batch."""
_Answer: TypeAlias = tuple[Job, bytes | Exception]
"""A job, and its predictions as JSON or an error."""


class Batcher:
    """Labels the texts of concurrent requests together, in one thread.

    A batch has all texts that wait when the model is free. Then a request waits for others only if
    more clients than those that wait were answered just before, and at most `WAIT` seconds.

    Args:
        model: The model.
        loop: The event loop of the requests.
        labelled: Called with the number of texts of each batch.
    """

    def __init__(
        self, model: ServedModel, loop: AbstractEventLoop, labelled: Callable[[int], None]
    ) -> None:
        self._model = model
        self._loop = loop
        self._labelled = labelled
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._closing = False
        self._answered = 0, 0.0
        self._thread = Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, query: Query) -> Future[bytes]:
        """Return the future predictions of a request; call it in the thread of the event loop."""
        future: Future[bytes] = self._loop.create_future()
        if query.texts:
            self._queue.put(Job(query, future))
        else:
            future.set_result(_response([]))
        return future

    def close(self) -> None:
        """Answer all requests that wait, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    # ---- in the thread

    def _work(self) -> None:
        while self._collect():
            parts = self._next_batch()
            done = self._label(parts) if parts else []
            self._waiting.extend(job for job, _ in parts if not job.is_complete)
            self._answered = len(done), time.monotonic()
            self._loop.call_soon_threadsafe(_deliver, done)

    def _collect(self) -> bool:
        """Collect the requests for the next batch; return whether there is one."""
        if not self._waiting and not self._closing:
            self._take(self._queue.get())
        while not self._queue.empty():
            self._take(self._queue.get())
        number, when = self._answered
        if self._waiting and time.monotonic() - when < RECENT:
            self._wait_for(number, self._waiting[0].since + WAIT)
        return bool(self._waiting)

    def _take(self, job: Job | None) -> None:
        if job is None:
            self._closing = True
        else:
            self._waiting.append(job)

    def _wait_for(self, number: int, until: float) -> None:
        """Wait for a number of requests in all, up to a point of time."""
        while len(self._waiting) < number and not self._closing:
            try:
                self._take(self._queue.get(timeout=max(0.0, until - time.monotonic())))
            except Empty:
                return

    def _next_batch(self) -> list[_Part]:
        parts: list[_Part] = []
        texts = characters = 0
        while self._waiting and texts < TEXTS and characters < CHARACTERS:
            job = self._waiting.popleft()
            if job.future.done():  # the request ran out of time
                continue
            first = job.place
            for size in job.query.sizes[first : first + TEXTS - texts]:
                job.place += 1
                texts += 1
                characters += size
                if characters >= CHARACTERS:
                    break
            parts.append((job, job.query.texts[first : job.place]))
        return parts

    def _label(self, parts: Sequence[_Part]) -> list[_Answer]:
        """Label the texts of a batch; return the answers of the requests that are complete."""
        groups: dict[QueryOptions, list[_Part]] = {}
        for part in parts:
            groups.setdefault(part[0].query.options, []).append(part)
        done: list[_Answer] = []
        for options, group in groups.items():
            try:
                done += self._label_group(options, group)
            except Exception:
                # Only the request that causes the error gets it.
                for part in group:
                    done += self._label_alone(options, part)
        self._labelled(sum(len(texts) for _, texts in parts))
        return done

    def _label_group(self, options: QueryOptions, group: Sequence[_Part]) -> list[_Answer]:
        predictions = self._model.annotate(
            [text for _, texts in group for text in texts],
            options.tasks,
            confidence=options.confidence,
            attention=options.attention,
            abstain=options.abstain,
            unit=options.unit,
        )
        records = iter([_encode(prediction.to_dict()) for prediction in predictions])
        for job, texts in group:
            job.records += islice(records, len(texts))
        return [(job, _response(job.records)) for job, _ in group if job.is_complete]

    def _label_alone(self, options: QueryOptions, part: _Part) -> list[_Answer]:
        job, _ = part
        try:
            return self._label_group(options, [part])
        except self._model.errors as error:
            found: Exception = Refusal(422, str(error))
        except Exception as error:
            _log.exception("a request failed")
            found = error
        job.place = len(job.query.texts)
        return [(job, found)]


def _response(records: Sequence[str]) -> bytes:
    return f'{{"predictions": [{", ".join(records)}]}}\n'.encode()


def _deliver(done: Sequence[_Answer]) -> None:
    for job, answer in done:
        if job.future.done():  # the request ran out of time
            continue
        if isinstance(answer, Exception):
            job.future.set_exception(answer)
        else:
            job.future.set_result(answer)
