"""The temperatures of the probabilities of a task."""

from __future__ import annotations

from typing import NamedTuple


class Temperatures(NamedTuple):
    """The numbers that the scores of a task are divided by, before they become probabilities.

    Labels are decoded from scores that are not divided.

    Args:
        labels: For the probabilities of labels.
        spans: For the joint probabilities of spans. They need a number of their own, because a
            model that judges single tags well may judge their combination badly.
    """

    labels: float = 1.0
    spans: float = 1.0


NEUTRAL = Temperatures()
"""The temperatures of tasks that have not been calibrated."""
