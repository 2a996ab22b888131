"""Prediction in several threads, and in processes that were forked."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from mtl.errors import MtlError

if TYPE_CHECKING:
    import torch


class _Process:
    """The state of this process.

    The lock is not an attribute of predictors, so that they can be sent to other processes.
    """

    def __init__(self, forked: bool = False) -> None:
        self.lock = Lock()
        self.forked = forked


_process = _Process()


def _after_fork() -> None:
    global _process
    # Another thread may have held the lock; in the child it would never be released.
    _process = _Process(forked=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def lock() -> Lock:
    """Return the lock that protects the counts of threads that predict."""
    return _process.lock


@contextmanager
def without_collection() -> Iterator[None]:
    """Pause the collection of reference cycles.

    Labels, modules and models are many objects with few cycles. They would trigger searches of all
    objects of the process, which take longer than labelling, and a third of the time of loading.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def check(device: torch.device) -> None:
    """Use one thread from now on if this process was forked.

    The threads of torch exist in the parent only, and the child would wait for them for ever.

    Raises:
        MtlError: The model is on a GPU, which a forked process cannot use.
    """
    if not _process.forked:
        return
    if device.type == "cuda":
        raise MtlError(
            "a model on a GPU cannot be used in a forked process; load the model in the process "
            'that uses it, or start processes with the method "spawn"'
        )
    import torch

    torch.set_num_threads(1)
    _process.forked = False
