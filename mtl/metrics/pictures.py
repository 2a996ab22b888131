"""Scores, confusions and calibration as parts of HTML pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup

from mtl.metrics.base import Metric, Pair, shown
from mtl.metrics.calibration import Reliability
from mtl.metrics.confusion import confusion_matrix
from mtl.pages import charts, parts

_LABELS = 24
"""The most labels in a confusion matrix."""


def score_table(metrics: Mapping[str, Metric]) -> Markup:
    """Return a table with the scores of each task."""
    scores = {task: metric.compute() for task, metric in metrics.items()}
    names = list(dict.fromkeys(name for own in scores.values() for name in own))
    rows = [
        [task, *(shown(own[n], metrics[task].unit) if n in own else None for n in names)]
        for task, own in scores.items()
    ]
    return parts.table(["task", *names], rows)


def label_table(caption: str, tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Markup:
    """Return a table of precision, recall and F1 by label, in per cent.

    Args:
        caption: The text above the table.
        tables: Name of a model to its scores; see `Metric.per_label`.
    """
    names = ("precision", "recall", "f1")
    header = ["label", "support"]
    for model in tables:
        header += [f"{model}: {name}" if len(tables) > 1 else name for name in names]
    rows = []
    for label in sorted({label for table in tables.values() for label in table}):
        found = [table.get(label) for table in tables.values()]
        support = next((f"{row['support']:,.0f}" for row in found if row), None)
        cells = [f"{100 * row[n]:.2f}" if row else None for row in found for n in names]
        rows.append([label, support, *cells])
    return parts.table(header, rows, caption=caption)


def confusion_picture(title: str, pairs: Mapping[Pair, int]) -> Markup:
    """Return a confusion matrix, shaded by the shares of the predictions of a gold label.

    Args:
        title: The title.
        pairs: The number of each pair of a gold and a predicted label.
    """
    names, counts = confusion_matrix(pairs, _LABELS)
    shares = [[n / max(sum(row), 1) for n in row] for row in counts]
    texts = [[f"{n:,}" if n else "" for n in row] for row in counts]
    return charts.heat_map(shares, names, names, title=title, low=0.0, high=1.0, texts=texts)


def calibration_parts(
    answers: Sequence[tuple[Sequence[str], Reliability]], header: Sequence[str]
) -> Iterator[Markup]:
    """Yield a table of calibration errors, and the reliability diagrams.

    Args:
        answers: The first cells of a row, such as task and kind, and the answers.
        header: The names of these cells.
    """
    rows, figures = [], []
    for cells, own in answers:
        numbers = (own.accuracy(), own.mean(), own.error(), own.chance())
        rows.append([*cells, f"{len(own):,}", *(f"{n:.4f}" for n in numbers)])
        figures.append(charts.reliability(own.bins(), title=", ".join(cells)))
    names = [*header, "number", "right", "confidence", "ECE", "by chance"]
    caption = "Expected calibration error (ECE), and the error of perfect confidences by chance"
    yield parts.table(names, rows, caption=caption, left=len(header))
    yield parts.note(
        "Bars: share of right answers; dots: their mean confidence; dashes: perfect confidences."
    )
    yield parts.grid(figures)


def evaluation_parts(
    metrics: Mapping[str, Metric],
    pairs: Mapping[str, Mapping[Pair, int]],
    reliability: Mapping[str, Mapping[str, Reliability]],
) -> Iterable[Markup]:
    """Yield the parts of an evaluation; arguments as the attributes of `Evaluation`."""
    yield score_table(metrics)
    for task, metric in metrics.items():
        if table := metric.per_label():
            yield label_table(f"{task} by label, in per cent", {task: table})
        if own := pairs.get(task):
            picture = confusion_picture(f"{task}: gold in rows, predicted in columns", own)
            yield parts.folded(f"{task}: confusions", picture)
    answers = [
        ([task, kind], own)
        for task, by_kind in reliability.items()
        for kind, own in by_kind.items()
        if len(own)
    ]
    if answers:
        yield from calibration_parts(answers, ["task", "answers"])
