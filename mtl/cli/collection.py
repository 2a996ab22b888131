"""Garbage collection when the command ends."""

from __future__ import annotations

import atexit
import gc


def no_collection_at_exit() -> None:
    """Free the memory of the process as a whole when it ends, without a search for garbage."""
    atexit.register(gc.freeze)
