"""Confusion matrices of the labels with the most errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mtl.metrics.base import Pair

OTHERS = "(others)"
NONE = "(none)"
"""The label of a span, or of a label of a set, that only the other side has."""


def confusion_matrix(pairs: Mapping[Pair, int], most: int) -> tuple[list[str], list[list[int]]]:
    """Return the names of labels, and the counts of pairs: gold in rows, predicted in columns.

    >>> confusion_matrix({("a", "a"): 5, ("a", "b"): 1, ("c", "c"): 2}, 2)
    (['a', 'b', '(others)'], [[5, 1, 0], [0, 0, 0], [0, 0, 2]])

    Args:
        pairs: The number of each pair of a gold and a predicted label.
        most: The number of labels with the most errors; the counts of the others are added up.
    """
    errors = Counter({label: 0 for pair in pairs for label in pair if label is not None})
    for pair, count in pairs.items():
        if pair[0] != pair[1]:
            errors.update({label: count for label in pair if label is not None})
    own = {label for label, _ in errors.most_common(most)}

    def name(label: str | None) -> str:
        if label is None:
            return NONE
        return label if label in own else OTHERS

    cells: Counter[tuple[str, str]] = Counter()
    for (gold, predicted), count in pairs.items():
        cells[name(gold), name(predicted)] += count
    last = [e for e in (OTHERS, NONE) if any(e in pair for pair in cells)]
    names = [*sorted(own), *last]
    return names, [[cells[row, column] for column in names] for row in names]
