"""Labels the texts of concurrent requests together, in one thread."""

from __future__ import annotations

import json
import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from mtl.serving.queries import RETRY, Query, QueryOptions, Refused
from mtl.serving.served_model import ServedModel

TEXTS = 256
"""The largest number of texts of a batch."""
CHARACTERS = 1 << 15
"""A batch ends after the text that brings it to this number of characters.

Longer requests are labelled in several batches, so that they do not delay other requests."""
WAIT = 0.005
"""The largest number of seconds that a request waits for others when the model is free."""
RECENT = 0.01
"""Clients that were answered within this number of seconds are expected to ask again."""

_encode = json.JSONEncoder(ensure_ascii=False).encode
_log = logging.getLogger(__name__)


class Job:
    """A request that waits for its predictions.

    Args:
        query: The request.
        answer: Called once in the event loop, with the predictions as JSON or the exception.
        since: When it came, in the time of the event loop.
    """

    __slots__ = ("answer", "is_answered", "place", "query", "records", "since")

    def __init__(
        self, query: Query, answer: Callable[[bytes | Exception], None], since: float
    ) -> None:
        self.query = query
        self.answer = answer
        self.is_answered = False
        self.since = since
        self.place = 0
        """The number of texts that are in a batch already."""
        self.records: list[str] = []

    @property
    def is_complete(self) -> bool:
        """Whether all texts are in a batch."""
        return self.place == len(self.query.texts)


_JobPart: TypeAlias = tuple[Job, Sequence[Any]]
"""A job, and its texts in a batch."""
_Answered: TypeAlias = tuple[Job, bytes | Exception]
"""A job, and its predictions as JSON or an error."""


class RequestBatcher:
    """Labels the texts of concurrent requests together, in one thread.

    When the model is free, the waiting texts become the next batch. If more requests were answered
    just before than wait now, their clients are expected to ask again: the batch then starts after
    at most `WAIT` seconds.

    The event loop decides, and the thread only labels: it is woken once per batch.

    Args:
        model: The model.
        loop: The event loop of the requests.
        labelled: Called with the number of texts of each batch.
        seconds: The largest number of seconds in which a request is answered.
    """

    def __init__(
        self,
        model: ServedModel,
        loop: AbstractEventLoop,
        labelled: Callable[[int], None],
        seconds: float,
    ) -> None:
        self._model = model
        self._loop = loop
        self._labelled = labelled
        self._seconds = seconds
        self._waiting: deque[Job] = deque()
        self._open: dict[Job, None] = {}
        """All requests without an answer, the oldest one first."""
        self._batches: SimpleQueue[list[_JobPart]] = SimpleQueue()
        self._is_busy = False
        self._answered = 0, 0.0
        """The number of requests that were answered last, and when."""
        self._timer: TimerHandle | None = None
        self._limit: TimerHandle | None = None
        self._thread = Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def __len__(self) -> int:
        return len(self._open)

    def submit(self, query: Query, answer: Callable[[bytes | Exception], None]) -> None:
        """Label the texts of a request, at least one, and call `answer` once with the result.

        The result is a `Refused` if the request is not answered in time.
        """
        job = Job(query, answer, self._loop.time())
        self._waiting.append(job)
        self._open[job] = None
        if self._limit is None:
            self._limit = self._loop.call_later(self._seconds, self._refuse_late)
        if not self._is_busy:
            self._start()

    def close(self) -> None:
        """End the thread after its batch."""
        self._batches.put([])
        self._thread.join()

    # ---- in the event loop

    def _start(self) -> None:
        """Start the next batch, now or when enough requests have come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        number, when = self._answered
        until = self._waiting[0].since + WAIT
        now = self._loop.time()
        if len(self._waiting) < number and now - when < RECENT and now < until:
            self._timer = self._loop.call_at(until, self._start_without_others)
        else:
            self._start_without_others()

    def _start_without_others(self) -> None:
        self._timer = None
        if parts := self._next_batch():
            self._is_busy = True
            self._batches.put(parts)

    def _next_batch(self) -> list[_JobPart]:
        parts: list[_JobPart] = []
        texts = characters = 0
        while self._waiting and texts < TEXTS and characters < CHARACTERS:
            job = self._waiting.popleft()
            if job.is_answered:  # the request ran out of time
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

    def _finish(self, parts: Sequence[_JobPart], done: Sequence[_Answered]) -> None:
        """Start the next batch, and then answer the requests of the last one."""
        self._is_busy = False
        self._waiting.extend(job for job, _ in parts if not job.is_complete)
        self._answered = len(done), self._loop.time()
        self._start()
        for job, answer in done:
            self._open.pop(job, None)
            self._answer(job, answer)

    def _refuse_late(self) -> None:
        """Refuse the requests that wait for too long."""
        self._limit = None
        while self._open:
            job = next(iter(self._open))
            limit = job.since + self._seconds
            if limit > self._loop.time():
                self._limit = self._loop.call_at(limit, self._refuse_late)
                return
            del self._open[job]
            message = f"there was no prediction within {self._seconds:g} seconds"
            self._answer(job, Refused(503, message, headers=RETRY))

    @staticmethod
    def _answer(job: Job, answer: bytes | Exception) -> None:
        if not job.is_answered:
            job.is_answered = True
            job.answer(answer)

    # ---- in the thread

    def _work(self) -> None:
        while parts := self._batches.get():
            done = self._label(parts)
            self._labelled(sum(len(texts) for _, texts in parts))
            self._loop.call_soon_threadsafe(self._finish, parts, done)

    def _label(self, parts: Sequence[_JobPart]) -> list[_Answered]:
        """Label the texts of a batch; return the answers of the requests that are complete."""
        groups: dict[QueryOptions, list[_JobPart]] = {}
        for part in parts:
            groups.setdefault(part[0].query.options, []).append(part)
        done: list[_Answered] = []
        for options, group in groups.items():
            try:
                done += self._label_group(options, group)
            except Exception:
                # Only the request that causes the error gets it.
                for part in group:
                    done += self._label_alone(options, part)
        return done

    def _label_group(self, options: QueryOptions, group: Sequence[_JobPart]) -> list[_Answered]:
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

    def _label_alone(self, options: QueryOptions, part: _JobPart) -> list[_Answered]:
        job, _ = part
        try:
            return self._label_group(options, [part])
        except self._model.errors as error:
            found: Exception = Refused(422, str(error))
        except Exception as error:
            _log.exception("a request failed")
            found = error
        job.place = len(job.query.texts)
        return [(job, found)]


def _response(records: Sequence[str]) -> bytes:
    return f'{{"predictions": [{", ".join(records)}]}}\n'.encode()
