"""The values of the tokens of a sentence, from the values of its windows; without torch."""

from __future__ import annotations

from collections.abc import Sequence

from mtl.inference.task_prediction import Path, Readout, TaskPrediction
from mtl.text.spans import OUTSIDE, FoundSpan, Scheme, convert, read_spans


def merge_tokens(
    readouts: Sequence[Readout], scheme: Scheme | None, *, confidence: bool, spans: bool
) -> TaskPrediction:
    """Return the prediction of a sentence, without attention.

    Args:
        readouts: The outputs of the head for its windows; empty for a sentence without tokens.
        scheme: The output scheme of span tags; None leaves tags as the head learned them.
        confidence: Whether to include confidences.
        spans: Whether these include confidences of spans.
    """
    if len(readouts) == 1:  # nearly all sentences, for which this is faster
        values, probabilities = readouts[0].values, tuple(readouts[0].confidence)
    else:
        values = [value for readout in readouts for value in readout.values]
        probabilities = tuple(p for readout in readouts for p in readout.confidence)
    # Most sentences have no span at all, and then every scheme has the same tags.
    if scheme and values.count(OUTSIDE) < len(values):
        values = convert(values, scheme)
    labels = tuple(values)
    paths = _merge_paths(readouts, scheme)
    if not confidence:
        return TaskPrediction(labels, paths=paths)
    if probabilities and all(probability is None for probability in probabilities):
        return TaskPrediction(labels)  # numbers and distributions have no confidence
    found = _merge_spans(readouts) if spans else None
    return TaskPrediction(labels, probabilities, found, paths=paths)


def _merge_paths(readouts: Sequence[Readout], scheme: Scheme | None) -> Sequence[Path]:
    """Return the most probable label sequences of a sentence, as many as its windows have.

    Windows are read independently, so the probability of a sequence is the product over them.
    """
    number = max((len(readout.paths) for readout in readouts), default=0)
    if not number:
        return ()
    best = [Path([], 1.0)]
    for readout in readouts:
        joined = [
            Path([*first.labels, *own.labels], first.probability * own.probability)
            for first in best
            for own in readout.paths
        ]
        best = sorted(joined, key=lambda path: -path.probability)[:number]
    return [path._replace(labels=convert(path.labels, scheme)) if scheme else path for path in best]


def _merge_spans(readouts: Sequence[Readout]) -> tuple[FoundSpan, ...]:
    """Return the spans of a sentence, joined where they cross from one window into the next.

    The confidence of a joined span is the product of the confidences of its parts: windows are
    read independently.
    """
    if len(readouts) == 1:
        return tuple(readouts[0].spans)
    parts = (part for readout in readouts for part in readout.spans)
    spans = []
    for span in read_spans(tag for readout in readouts for tag in readout.values):
        missing, confidence = span.end - span.start, 1.0
        while missing:
            part, probability = next(parts)
            missing -= part.end - part.start
            confidence *= probability
        spans.append(FoundSpan(span, confidence))
    return tuple(spans)
