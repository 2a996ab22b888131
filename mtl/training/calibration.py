"""Fit the temperature of probabilities on sentences that were not trained on (Guo et al. 2017).

All scores of a head are divided by one number, the temperature, before they become probabilities.
It minimises the negative log-likelihood of what users see with a confidence: of the gold label of
each token or sentence, for a CRF under the marginals; and, for spans, of the fact that a predicted
span is right or wrong. One answer beside the N known ones counts as an even mixture of all labels
(Platt 1999), so that a small development set without errors gives no certainty. Letters: B windows,
T tokens, N answers, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mtl.data.corpus import Split
from mtl.data.windows import Window
from mtl.heads import Tagger
from mtl.inference.base import BasePredictor
from mtl.inference.cutting import CHUNK, bounded
from mtl.inference.inputs import Sentence
from mtl.targets.base import MISSING, labelled
from mtl.text.example import of_tokens
from mtl.text.spans import OUTSIDE, Span, read_spans
from mtl.training.evaluation import gather

LIMITS = (0.1, 10.0)
"""The smallest and the largest temperature."""
_STEPS = 30
"""Steps of the search. They divide the interval of the logarithm by more than 10⁶."""
_GOLDEN = (math.sqrt(5) - 1) / 2

NegativeLogLikelihood = Callable[[float], float]
"""Maps a temperature to the negative log-likelihood of labels, in nats."""


def obstacle(predictor: BasePredictor, task: str) -> str | None:
    """Return the reason why a task cannot be calibrated; None if it can."""
    target, head = predictor.targets[task], predictor.head(task)
    if target.open_vocabulary or target.values not in ("labels", "sets"):
        return f"predicts {target.noun}, which have no confidence"
    if target.level == "token" and not isinstance(head, Tagger):
        return f"its head {type(head).__name__} is not derived from mtl.heads.Tagger"
    return None


@torch.inference_mode()
def likelihood(
    predictor: BasePredictor, split: Split, task: str
) -> tuple[NegativeLogLikelihood, int]:
    """Return the negative log-likelihood of a split as a function, and the number of labels in it.

    The model reads the sentences once. Labels that training never saw do not count.

    Args:
        predictor: The predictor of the model.
        split: The sentences.
        task: A task without an `obstacle`.
    """
    if predictor.targets[task].level == "token":
        return _of_tokens(predictor, split, task)
    found = gather(predictor, split, task)
    if found is None:
        return (lambda temperature: 0.0), 0
    (logits, target), head = found, predictor.head(task)

    count = int(labelled(target).sum())

    def nll(temperature: float) -> float:
        log_probs = head.log_probs_from(logits.double() / temperature)
        return float(_nll(log_probs, target, _smoothing(count)))

    return nll, count


def _of_tokens(
    predictor: BasePredictor, split: Split, task: str
) -> tuple[NegativeLogLikelihood, int]:
    head, target = predictor.head(task), predictor.targets[task]
    assert isinstance(head, Tagger)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    examples = (example for example in split if task in example.labels)
    for chunk in bounded(map(Sentence, examples), CHUNK):
        golds = [sentence.example.labels[task] for sentence in chunk]
        wanted = [target.tensor([g], len(s.example))[0] for g, s in zip(golds, chunk, strict=True)]
        with predictor.evaluating():
            for batch in predictor.encoded(chunk, [task]):
                scores = head.scores(batch.hidden[task], batch.mask)
                windows = [batch.pieces[index] for index in batch.indices]
                own = _in_windows([(wanted[row], window) for row, window in windows], scores)
                parts.append((scores, batch.mask, own.to(scores.device)))

    count = sum(int(labelled(own).sum()) for _, _, own in parts)

    def nll(temperature: float) -> float:
        with torch.inference_mode():
            every = (
                _nll(head.log_marginals(scores, mask, temperature).double(), own, _smoothing(count))
                for scores, mask, own in parts
            )
            return float(sum(every))

    return nll, count


@torch.inference_mode()
def span_likelihood(
    predictor: BasePredictor, split: Split, task: str
) -> tuple[NegativeLogLikelihood, int]:
    """Return the negative log-likelihood of the correctness of spans, and the number of spans.

    A span is right if a gold span is equal. Spans with unlabelled tokens do not count, and neither
    do sentences that are longer than a window, or that a metric would not count.

    Args:
        predictor: The predictor of the model.
        split: The sentences.
        task: A task with span tags and without an `obstacle`.
    """
    head, comparable = predictor.head(task), predictor.targets[task].comparable
    assert isinstance(head, Tagger)
    parts: list[tuple[Tensor, Tensor, Tensor, list[list[Span]]]] = []
    right: list[bool] = []
    for chunk in bounded((Sentence(own) for own in split if task in own.labels), CHUNK):
        with predictor.evaluating():
            for batch in predictor.encoded(chunk, [task]):
                states = batch.hidden[task]
                ids = head.decode(states, batch.mask)
                spans: list[list[Span]] = []
                for (row, window), path in zip(
                    (batch.pieces[i] for i in batch.indices), ids.tolist(), strict=True
                ):
                    gold = comparable(chunk[row].example.labels[task])
                    tags = () if gold is None else of_tokens(gold)
                    whole = window.end - window.start == len(tags)
                    found = read_spans(head.labels[i] for i in path[: len(tags) if whole else 0])
                    known = [own for own in found if None not in tags[own.start : own.end]]
                    expected = read_spans(OUTSIDE if tag is None else tag for tag in tags)
                    right += [own in expected for own in known]
                    spans.append(known)
                parts.append((head.scores(states, batch.mask), batch.mask, ids, spans))
    is_right = torch.tensor(right).double()

    def nll(temperature: float) -> float:
        with torch.inference_mode():
            rows = [head.span_log_probs(*own, temperature).double().cpu() for own in parts]
        return float(_binary(torch.cat(rows), is_right, _smoothing(len(right))))

    return nll, len(right)


def _in_windows(wanted: Sequence[tuple[Tensor, Window]], scores: Tensor) -> Tensor:
    """Return targets of windows, missing except for the tokens that each window keeps."""
    first = wanted[0][0]
    missing = (
        False if first.dtype == torch.bool else math.nan if first.is_floating_point() else MISSING
    )
    own = first.new_full((*scores.shape[:2], *first.shape[1:]), missing)
    for row, (target, window) in enumerate(wanted):
        own[row, window.kept_inside] = target[window.kept]
    return own


def _smoothing(count: int) -> float:
    """Return the share of one further answer."""
    return 1 / (count + 1)


def _nll(log_probs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the negative log-likelihood of gold values, a scalar.

    Args:
        log_probs: Log-probabilities, `[…, K]`.
        target: Ids `[…]`; possible labels, bool `[…, K]`; or sets, float `[…, K]`.
        smoothing: The weight of an even mixture of all labels; the gold value has the rest.
    """
    known = labelled(target)
    log_probs, target = log_probs[known], target[known]
    if target.is_floating_point():
        return _binary(log_probs, target, smoothing)
    if target.dtype == torch.bool:
        own = log_probs.masked_fill(~target, -torch.inf).logsumexp(-1).sum()
    else:
        own = log_probs.gather(-1, target.unsqueeze(-1)).sum()
    return (smoothing - 1) * own - smoothing * log_probs.mean(-1).sum()


def _binary(log_probs: Tensor, right: Tensor, smoothing: float) -> Tensor:
    """Return the negative log-likelihood of answers that are right (1.0) or wrong (0.0)."""
    right = (1 - smoothing) * right + smoothing / 2
    # ln(1 − p) in float64; p = 1 counts as a little less.
    others = torch.log1p(-log_probs.exp().clamp(max=1 - 1e-12))
    return -(right * log_probs + (1 - right) * others).sum()


def fit_temperature(nll: NegativeLogLikelihood) -> float:
    """Return the temperature with the least negative log-likelihood.

    For a softmax it is a convex function of 1 / temperature, so it has one minimum, which a
    golden-section search over the logarithm of the temperature finds.

    Args:
        nll: Maps a temperature to the negative log-likelihood.
    """
    low, high = map(math.log, LIMITS)
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    values = [nll(math.exp(place)) for place in inner]
    for _ in range(_STEPS):
        if values[0] <= values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - _GOLDEN * (high - low)
            values[0] = nll(math.exp(inner[0]))
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + _GOLDEN * (high - low)
            values[1] = nll(math.exp(inner[1]))
    return math.exp((low + high) / 2)
