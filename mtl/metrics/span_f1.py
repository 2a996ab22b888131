"""F1 of spans."""

from __future__ import annotations

from collections.abc import Sequence

from mtl.metrics.counts import CountedMetric, aligned
from mtl.text.example import Labels
from mtl.text.spans import OUTSIDE, read_spans


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
            if None in expected:
                known = [label is not None for label in expected]
                expected, guess = _outside(expected, known), _outside(guess, known)
            gold_spans, guessed_spans = read_spans(expected), read_spans(guess)
            correct = set(gold_spans).intersection(guessed_spans)
            types = ([s.type for s in spans] for spans in (gold_spans, guessed_spans, correct))
            self.counts.add(*types)

    def compute(self) -> dict[str, float]:
        """Return micro-averaged F1, precision and recall; undefined without gold spans.

        A precision with denominator 0 is 0.
        """
        precision, recall, f1 = self.counts.scores()
        return {"span_f1": f1, "precision": precision, "recall": recall}


def _outside(tags: Sequence[str], known: Sequence[bool]) -> list[str]:
    """Return tags with O in place of the tags of unlabelled tokens."""
    return [tag if own else OUTSIDE for tag, own in zip(tags, known, strict=True)]
