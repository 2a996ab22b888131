"""Given labels that a model finds less probable than another label.

Letters: T tokens, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtl.analysis.audit.issues import Change, IssueKind, labels_text


def suspicion(given: float, others: float, tokens: int = 1) -> float:
    """Return √(p(given)^(1/n) (1 − p(suggested))), from 0 to 1; the lower, the more suspicious.

    p(given) alone ranks random errors best, and 1 − p(suggested), which almost equals the margin
    between both, ranks confusions of similar labels best (Northcutt et al. 2021 compare both). The
    geometric mean is close to the better one in each case. The joint probability of n tokens counts
    as its geometric mean per token: otherwise, long spans would be more suspicious than short ones.

    Args:
        given: The probability of the given label.
        others: One minus the probability of the suggested label.
        tokens: n, the number of tokens that the labels belong to.
    """
    return math.sqrt(given ** (1 / tokens) * max(given, others))


class Doubt(NamedTuple):
    """A label or span of a sentence that may be wrong; see `Issue` for the fields."""

    kind: IssueKind
    given: str
    suggested: str
    score: float
    given_probability: float
    suggested_probability: float
    start: int | None
    end: int | None
    changes: tuple[Change, ...]


def token_doubts(
    labels: Sequence[str], probabilities: NDArray[np.float64], given: Sequence[str | None]
) -> Iterator[Doubt]:
    """Yield the doubts about labels of tokens: another label is more probable.

    A label that the model does not know has probability 0.

    Args:
        labels: The K labels.
        probabilities: The probability of each label, `[T, K]`.
        given: The label of each token; None where it has none.
    """
    index = {label: place for place, label in enumerate(labels)}
    best = probabilities.argmax(1)
    for token, label in enumerate(given):
        if label is None:
            continue
        own = float(probabilities[token, index[label]]) if label in index else 0.0
        most = float(probabilities[token, best[token]])
        if own == most:
            continue
        other = labels[best[token]]
        change = Change(token, label, other)
        # The sum of the others is exact where one minus the largest is rounded to zero.
        rest = float(np.delete(probabilities[token], best[token]).sum())
        score = suspicion(own, rest)
        yield Doubt("label", label, other, score, own, most, token, token + 1, (change,))


def sentence_doubts(
    labels: Sequence[str], probabilities: NDArray[np.float64], given: str
) -> Iterator[Doubt]:
    """Yield at most one doubt: about the label of a sentence; see `token_doubts`.

    Args:
        labels: The K labels.
        probabilities: The probability of each label, `[K]`.
        given: The label.
    """
    for doubt in token_doubts(labels, probabilities[np.newaxis], [given]):
        change = Change(None, doubt.given, doubt.suggested)
        yield doubt._replace(start=None, end=None, changes=(change,))


def set_doubts(
    probabilities: Mapping[str, float], given: Collection[str], predicted: Collection[str]
) -> Iterator[Doubt]:
    """Yield at most one doubt: about the set of labels of a sentence.

    Its probability is the smallest one of a difference: that a label in only one of both sets is in
    the set, or not in it, as given.

    Args:
        probabilities: Label to the probability that it is in the set.
        given: The given set.
        predicted: The predicted set.
    """
    differences = sorted(set(given) ^ set(predicted))
    if not differences:
        return
    as_given = {
        label: probabilities.get(label, 0.0) if label in given else 1 - probabilities[label]
        for label in differences
    }
    old, new = sorted(given), sorted(predicted)
    own = min(as_given.values())
    yield Doubt(
        "label",
        labels_text(old),
        labels_text(new),
        suspicion(own, own),
        own,
        1 - own,
        None,
        None,
        (Change(None, old, new),),
    )
