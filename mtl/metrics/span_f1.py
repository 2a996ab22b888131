"""F1 of spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mtl.metrics.base import Pair
from mtl.metrics.counts import CountedMetric, aligned
from mtl.text.example import Labels
from mtl.text.spans import OUTSIDE, Span, read_spans


class SpanF1(CountedMetric):
    """F1 of spans such as named entities, as in conlleval (Tjong Kim Sang and Buchholz 2000).

    A span is correct if its start, end and type are correct. Gold and predicted tags may use any
    schemes, which may differ. Ill-formed sequences are interpreted as in conlleval. Tokens without
    a gold tag count as outside of spans, in the predictions too.
    """

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Add sentences with one tag per token; see `Metric.update`.

        Raises:
            MtlError: A label is not a span tag.
            ValueError: The numbers of sentences or tokens differ.
        """
        for expected, guess in aligned(gold, predicted):
            gold_spans, guessed_spans = _spans(expected, guess)
            correct = set(gold_spans).intersection(guessed_spans)
            types = ([s.type for s in spans] for spans in (gold_spans, guessed_spans, correct))
            self.counts.add(*types)

    def compute(self) -> dict[str, float]:
        """Return micro-averaged F1, precision and recall; undefined without gold spans.

        A precision with denominator 0 is 0.
        """
        precision, recall, f1 = self.counts.scores()
        return {"span_f1": f1, "precision": precision, "recall": recall}

    @classmethod
    def pairs(cls, gold: Sequence[Labels], predicted: Sequence[Labels]) -> Iterator[Pair]:
        """Yield the gold and the predicted type of each span; None if only one side has it."""
        for sides in aligned(gold, predicted):
            expected, guess = ({span[1:]: span.type for span in s} for s in _spans(*sides))
            for ends in {**expected, **guess}:
                yield expected.get(ends), guess.get(ends)


def _spans(gold: Sequence[str], guess: Sequence[str]) -> tuple[list[Span], list[Span]]:
    """Return gold and predicted spans; tokens without a gold tag are outside of both."""
    if None in gold:
        known = [tag is not None for tag in gold]
        gold, guess = (
            [tag if own else OUTSIDE for tag, own in zip(tags, known, strict=True)]
            for tags in (gold, guess)
        )
    return read_spans(gold), read_spans(guess)
