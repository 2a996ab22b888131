"""The uncertainty of a model about the labels of sentences.

Letters: T tokens, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtl.errors import MtlError
from mtl.inference.base import BasePredictor
from mtl.inference.inputs import Sentence
from mtl.inference.probabilities import probabilities

UncertaintyMeasure: TypeAlias = Literal["entropy", "confidence"]
"""The measure: `entropy` of the labels, or one minus the probability of the best label."""


def uncertainties(
    predictor: BasePredictor, sentences: Sequence[Sentence], task: str, measure: UncertaintyMeasure
) -> NDArray[np.float64]:
    """Return the uncertainty of each sentence, from 0 to 1, `[sentences]`.

    For taggers it is the mean over the tokens (as Shen et al. 2017 normalise by the length, so that
    long sentences have no advantage), of the marginal probabilities of a CRF; for sets of labels,
    the mean over the labels.

    Args:
        predictor: The predictor of the model.
        sentences: The sentences.
        task: A task with labels or with sets of labels per sentence.
        measure: The measure of a distribution.

    Raises:
        MtlError: The task has no probabilities of labels.
    """
    target = predictor.targets[task]
    if target.plain_labels:
        _, found = probabilities(predictor, sentences, task)
        return np.array([_mean(np.atleast_2d(own), measure) for own in found])
    if target.values == "sets" and target.level == "sentence":
        answers = predictor.run(sentences, [task], confidence=True)
        return np.array([_of_set(answer[task].confidence, measure) for answer in answers])
    raise MtlError(
        f"task {task!r}: it has {target.noun}, without probabilities of labels; name other tasks "
        "with --task"
    )


def _of_set(confidence: object, measure: UncertaintyMeasure) -> float:
    assert isinstance(confidence, Mapping)
    own = np.array([[p, 1 - p] for p in confidence.values()])
    return _mean(own, measure)


def _mean(distributions: NDArray[np.float64], measure: UncertaintyMeasure) -> float:
    """Return the mean uncertainty of distributions `[T, K]`; 0 without tokens."""
    count = distributions.shape[1]
    if not len(distributions) or count < 2:
        return 0.0
    if measure == "confidence":
        # From 0 to 1, whatever the number of labels is.
        return float((1 - distributions.max(1)).mean() * count / (count - 1))
    logs = np.log(distributions, where=distributions > 0, out=np.zeros_like(distributions))
    return float(-(distributions * logs).sum(1).mean() / math.log(count))
