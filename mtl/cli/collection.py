"""Garbage collection while the command starts."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Search for no garbage while modules are imported and a model is loaded.

    They leave many objects and next to no garbage, and to search them again and again takes a
    third of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def no_collection_at_exit() -> None:
    """Search for no garbage when the process ends: its memory is freed as a whole."""
    atexit.register(gc.freeze)
