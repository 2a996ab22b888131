"""F1 of spans."""

from __future__ import annotations

from collections.abc import Sequence

from mtl.metrics.counts import CountedMetric, aligned
from mtl.text.example import Labels
from mtl.text.spans import read_spans


class SpanF1(CountedMetric):
    """F1 of names or phrases as conlleval counts it (Tjong Kim Sang and Buchholz 2000).

    A span is right if its start, its end and its type are. Gold and predicted tags may be of any
    scheme, and even of different ones; broken sequences are read as conlleval reads them.
    """

    def update(self, gold: Sequence[Labels], predicted: Sequence[Labels]) -> None:
        """Count more sentences.

        Raises:
            MtlError: A label is no span tag.
            ValueError: Both sides have different numbers of sentences or of tokens.
        """
        for right, guess in aligned(gold, predicted):
            in_gold, found = read_spans(right), read_spans(guess)
            both = set(in_gold).intersection(found)
            self.counts.add(*([span.type for span in spans] for spans in (in_gold, found, both)))

    def compute(self) -> dict[str, float]:
        """Return F1, precision and recall over all types; a fraction without denominator is 0."""
        precision, recall, f1 = self.counts.scores()
        return {"span_f1": f1, "precision": precision, "recall": recall}
