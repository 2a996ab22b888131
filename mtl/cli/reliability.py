"""Tables of confidences: reliability diagrams, and the scores of the answers above a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mtl.cli.tables import print_rows
from mtl.metrics.base import shown

if TYPE_CHECKING:
    from mtl.metrics.calibration import Reliability
    from mtl.training.evaluation import Evaluation

_WIDTH = 20
"""The number of characters of a bar."""


def bar(accuracy: float, confidence: float) -> str:
    """Return the share of right answers as a bar, with a mark at the mean confidence.

    >>> bar(0.5, 0.75)
    '██████████·····│····'
    """
    length = round(_WIDTH * accuracy)
    cells = ["█"] * length + ["·"] * (_WIDTH - length)
    cells[min(int(_WIDTH * confidence), _WIDTH - 1)] = "│"
    return "".join(cells)


def print_reliability(title: str, by_kind: Mapping[str, Reliability]) -> None:
    """Print a reliability diagram for each kind of answers.

    Args:
        title: The first words of each title.
        by_kind: Kind to the answers.
    """
    header = ["confidence", "answers", "mean", "right", "bar: right, │: confidence"]
    for kind, answers in by_kind.items():
        rows = [
            [
                f"{own.low:.2f}–{own.high:.2f}",
                f"{own.number:,}",
                f"{own.confidence:.3f}",
                f"{own.accuracy:.3f}",
                bar(own.accuracy, own.confidence),
            ]
            for own in answers.bins()
            if own.number
        ]
        print_rows(f"{title}, confidences of {kind}", header, rows)


def print_errors(title: str, found: Evaluation) -> None:
    """Print the calibration errors of an evaluation, and the reliability diagrams."""
    header = ["task", "answers", "number", "right", "confidence", "ECE", "by chance"]
    rows = [
        [
            task,
            kind,
            f"{len(own):,}",
            f"{own.accuracy():.4f}",
            f"{own.mean():.4f}",
            f"{own.error():.4f}",
            f"{own.chance():.4f}",
        ]
        for task, by_kind in found.reliability.items()
        for kind, own in by_kind.items()
    ]
    print_rows(f"{title}, calibration error (ECE)", header, rows, left=2)
    for task, by_kind in found.reliability.items():
        print_reliability(task, by_kind)


def print_answered(title: str, found: Evaluation, threshold: float) -> None:
    """Print the scores of the answers above a threshold, and the accuracy at other thresholds."""
    from mtl.display.training import score_cells, score_names
    from mtl.training.evaluation import Evaluation

    own = Evaluation(found.answered)
    rows = []
    for task in own.metrics:
        *_, answers = found.reliability.get(task, {"": None}).values()
        coverage = "100.00" if answers is None else shown(answers.coverage(threshold), "fraction")
        rows.append([task, coverage, *score_cells(own, task)])
    header = ["task", "coverage", *score_names(own)]
    print_rows(f"{title}, answers of confidence {threshold:g} or more", header, rows)
    for task, by_kind in found.reliability.items():
        kind, answers = list(by_kind.items())[-1]
        points = [
            [
                shown(own.coverage, "fraction"),
                f"{own.threshold:.4f}",
                shown(own.accuracy, "fraction"),
            ]
            for own in answers.risk_coverage()
        ]
        print_rows(f"{task}, the most certain {kind}", ["coverage", "threshold", "right"], points)
