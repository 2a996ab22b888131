"""Counts of the faults that were tried, which are printed at the end."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

TRIED: Counter[str] = Counter()
"""The number of cases by name, in the order of the first one."""

MINUTES = float(os.environ.get("FAULT_MINUTES", "20"))
"""The time for all tests of faults together, about."""


def tries(share: float, least: int = 1) -> Iterator[int]:
    """Yield 0, 1, 2, … until a share of the time for all tests is over.

    Args:
        share: The share of the time.
        least: The least number of tries.
    """
    end = time.monotonic() + 60 * MINUTES * share
    number = 0
    while number < least or time.monotonic() < end:
        yield number
        number += 1
