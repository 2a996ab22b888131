"""Preparing values ahead of their use, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def ahead(function: Callable[[Item], Prepared], items: Iterable[Item]) -> Iterator[Prepared]:
    """Yield the value of each item, in order; the next value is computed in the meantime.

    An exception of the function is raised in the place of the value. A caller that stops early
    closes the iterator, which waits for the value in progress.

    Args:
        function: Called in another thread, one call at a time. It must not depend on anything that
            the caller changes between two values.
        items: The items; at most two are taken before the first value has been used.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as worker:
        waiting: Future[Prepared] | None = None
        for item in items:
            current, waiting = waiting, worker.submit(function, item)
            if current:
                yield current.result()
        if waiting:
            yield waiting.result()
