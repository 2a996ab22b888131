"""Spans on which given and predicted tags differ, and the probabilities of both.

Letters: B windows, T tokens, K labels, N labellings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mtl.analysis.audit.doubts import Doubt, suspicion
from mtl.analysis.audit.issues import Change, IssueKind
from mtl.data.windows import Window
from mtl.heads import Tagger
from mtl.inference.base import BasePredictor
from mtl.inference.cutting import CHUNK, bounded
from mtl.inference.inputs import Sentence
from mtl.targets import MISSING, TokenLabelTarget
from mtl.text.example import Example, of_tokens
from mtl.text.spans import OUTSIDE, Scheme, Span, join_tag, parse_tag, read_spans, write_tags

_ROWS = 256
"""The number of labellings whose probabilities are computed together."""


class Cluster(NamedTuple):
    """Given and predicted spans that overlap each other and differ.

    Args:
        given: The given spans, in order; may be empty.
        predicted: The predicted spans, in order; may be empty.
        start: The first token of all of them.
        end: The token after the last one.
    """

    given: tuple[Span, ...]
    predicted: tuple[Span, ...]
    start: int
    end: int

    @property
    def kind(self) -> IssueKind:
        """The kind of the issue."""
        if not self.given:
            return "missing"
        if not self.predicted:
            return "extra"
        if len(self.given) + len(self.predicted) > 2:
            return "several"
        given, predicted = self.given[0], self.predicted[0]
        if given.type == predicted.type:
            return "boundaries"
        return "type" if given[1:] == predicted[1:] else "several"


def clusters(given: Sequence[Span], predicted: Sequence[Span]) -> Iterator[Cluster]:
    """Yield the clusters of a sentence in order; equal spans are in none.

    >>> [(own.kind, own.start, own.end) for own in clusters([Span("A", 0, 2)], [Span("A", 1, 3)])]
    [('boundaries', 0, 3)]
    """
    every = [(span, True) for span in given] + [(span, False) for span in predicted]
    together: list[tuple[Span, bool]] = []
    end = 0
    for span, is_given in sorted(every, key=lambda own: (own[0].start, own[0].end)):
        if together and span.start >= end:
            yield from _cluster(together)
            together = []
        together.append((span, is_given))
        end = max(end, span.end) if len(together) > 1 else span.end
    if together:
        yield from _cluster(together)


def _cluster(together: Sequence[tuple[Span, bool]]) -> Iterator[Cluster]:
    given = tuple(span for span, is_given in together if is_given)
    predicted = tuple(span for span, is_given in together if not is_given)
    if given != predicted:
        spans = given + predicted
        yield Cluster(
            given, predicted, min(own.start for own in spans), max(own.end for own in spans)
        )


class FixedLabels(NamedTuple):
    """The labels of some adjacent tokens.

    Args:
        start: The first token.
        labels: One label id per token; `MISSING` stands for any label.
        continued: The label of the next token that would make the last span longer; None if the
            labels themselves end it. The probability excludes it.
        impossible: Whether a label is unknown to the model, so that the probability is 0.
    """

    start: int
    labels: tuple[int, ...]
    continued: int | None = None
    impossible: bool = False


def span_doubts(
    predictor: BasePredictor, examples: Sequence[Example], task: str, scheme: Scheme
) -> list[list[Doubt]]:
    """Return the doubts about the spans of each sentence.

    The probabilities of a doubt are the joint probabilities of the given and of the predicted tags
    of its tokens, summed over the tags of all other tokens: exact for a CRF, and a product for
    tokens with independent labels.

    Args:
        predictor: The predictor of the model.
        examples: Sentences with tags of the task.
        task: The task.
        scheme: The scheme of the tags.
    """
    target = predictor.targets[task]
    assert isinstance(target, TokenLabelTarget)
    found: list[list[Cluster]] = []
    wanted: list[list[FixedLabels]] = []
    for example, prediction in zip(examples, predictor.predict(examples, [task]), strict=True):
        given, predicted = of_tokens(example.labels[task]), of_tokens(prediction[task])
        known = [tag if tag is not None else OUTSIDE for tag in given]
        own = [
            cluster
            for cluster in clusters(read_spans(known), read_spans(predicted))
            if None not in given[cluster.start : cluster.end]
        ]
        found.append(own)
        wanted.append(
            [_labelling(target, tags, cluster) for cluster in own for tags in (given, predicted)]
        )
    log_probs = joint_log_probs(predictor, examples, task, wanted)
    return [
        [
            _doubt(example, of_tokens(example.labels[task]), cluster, scheme, *pair)
            for cluster, pair in zip(own, zip(row[::2], row[1::2], strict=True), strict=True)
            # The best path as a whole may contain spans that are less probable than the given ones.
            if pair[0] < pair[1]
        ]
        for example, own, row in zip(examples, found, log_probs, strict=True)
    ]


def _labelling(
    target: TokenLabelTarget, tags: Sequence[str | None], cluster: Cluster
) -> FixedLabels:
    """Return the tags of a cluster as the head learns them."""
    ids = target.encode(tuple(tags))
    impossible = any(
        tags[place] is not None and ids[place] == MISSING
        for place in range(cluster.start, cluster.end)
    )
    labels = tuple(ids[cluster.start : cluster.end])
    continued = None
    # The labels of these schemes do not show the end of a span; the next label does.
    if not impossible and target.scheme in ("bio", "iob1") and cluster.end < len(tags):
        prefix, kind = parse_tag(target.labels[labels[-1]])
        if prefix != OUTSIDE:
            inside = join_tag("I", kind)
            continued = target.labels.index(inside) if inside in target.labels else None
    return FixedLabels(cluster.start, labels, continued, impossible)


def _doubt(
    example: Example,
    given: Sequence[str | None],
    cluster: Cluster,
    scheme: Scheme,
    given_log_prob: Tensor,
    log_prob: Tensor,
) -> Doubt:
    known = [tag if tag is not None else OUTSIDE for tag in given]
    before = read_spans(known)
    after = sorted(
        [span for span in before if span not in cluster.given] + [*cluster.predicted],
        key=lambda span: span.start,
    )
    size = len(known)
    old, new = write_tags(before, size, scheme), write_tags(after, size, scheme)
    changes = [
        Change(place, known[place], new[place])
        for place in range(size)
        # A tag beside the cluster changes only if it depends on the cluster, as in IOB1.
        if known[place] != new[place]
        and (cluster.start <= place < cluster.end or old[place] != new[place])
    ]
    own, other = float(given_log_prob.exp()), float(log_prob.exp())
    return Doubt(
        cluster.kind,
        _text(cluster.given, example.tokens),
        _text(cluster.predicted, example.tokens),
        suspicion(own, 1 - other, cluster.end - cluster.start),
        own,
        other,
        cluster.start,
        cluster.end,
        tuple(changes),
    )


def _text(spans: Sequence[Span], tokens: Sequence[str]) -> str:
    named = [f"{span.type}: {' '.join(tokens[span.start : span.end])}" for span in spans]
    return "; ".join(named) or "no span"


@torch.inference_mode()
def joint_log_probs(
    predictor: BasePredictor,
    examples: Sequence[Example],
    task: str,
    wanted: Sequence[Sequence[FixedLabels]],
) -> list[list[Tensor]]:
    """Return the log-probability of each labelling of each sentence, as float64 scalars.

    Labels in two windows of a long sentence count as independent.

    Args:
        predictor: The predictor of the model.
        examples: The sentences.
        task: A task with one label per token.
        wanted: The labellings of each sentence.
    """
    head, temperature = predictor.head(task), predictor.temperature(task).spans
    assert isinstance(head, Tagger)
    found = [torch.zeros(len(own), dtype=torch.float64) for own in wanted]
    offset = 0
    for chunk in bounded(map(Sentence, examples), CHUNK):
        with predictor.evaluating():
            for batch in predictor.encoded(chunk, [task]):
                rows = [
                    (place, offset + piece.row, number)
                    for place, piece in enumerate(batch.pieces[index] for index in batch.indices)
                    for number in range(len(wanted[offset + piece.row]))
                ]
                if not rows:
                    continue
                scores = head.scores(batch.hidden[task], batch.mask)
                for first in range(0, len(rows), _ROWS):
                    part = rows[first : first + _ROWS]
                    windows = [batch.pieces[batch.indices[place]].window for place, _, _ in part]
                    labellings = [wanted[row][number] for _, row, number in part]
                    places = [place for place, _, _ in part]
                    own, mask = scores[places], batch.mask[places]
                    labels, chosen, longer = _masks(labellings, windows, mask)
                    log_probs = head.log_prob_of(own, mask, labels, chosen, temperature).double()
                    extended = longer.any(1)
                    if extended.any():
                        continued = head.log_prob_of(
                            own[extended],
                            mask[extended],
                            labels[extended],
                            chosen[extended] | longer[extended],
                            temperature,
                        ).double()
                        share = (continued - log_probs[extended]).exp().clamp(max=1 - 1e-12)
                        log_probs[extended] += torch.log1p(-share)
                    for (_, row, number), value in zip(part, log_probs.cpu(), strict=True):
                        found[row][number] += value
        offset += len(chunk)
    for row, own_labels in enumerate(wanted):
        for number, labelling in enumerate(own_labels):
            if labelling.impossible:
                found[row][number] = -torch.inf
    return [list(own) for own in found]


def _masks(
    labellings: Sequence[FixedLabels], windows: Sequence[Window], mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels `[N, T]`, and the tokens that have them and that continue them, both bool."""
    labels = torch.zeros(mask.shape, dtype=torch.long)
    chosen = torch.zeros(mask.shape, dtype=torch.bool)
    longer = torch.zeros(mask.shape, dtype=torch.bool)
    for row, (labelling, window) in enumerate(zip(labellings, windows, strict=True)):
        first, kept = window.start, range(window.keep_start, window.keep_end)
        for token, label in enumerate(labelling.labels, labelling.start):
            if token in kept and label != MISSING:
                labels[row, token - first] = label
                chosen[row, token - first] = True
        end = labelling.start + len(labelling.labels)
        if labelling.continued is not None and end in kept and end - 1 in kept:
            labels[row, end - first] = labelling.continued
            longer[row, end - first] = True
    return labels.to(mask.device), chosen.to(mask.device), longer.to(mask.device)
