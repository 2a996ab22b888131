"""Suggest the sentences whose labels would help a model most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl.analysis.suggest.selection import choose
from mtl.analysis.suggest.uncertainty import UncertaintyMeasure, uncertainties
from mtl.errors import MtlError, check_number
from mtl.inference.cutting import CHUNK, bounded
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction
from mtl.trained_model import TrainedModel


@dataclass(frozen=True)
class Suggestion:
    """A sentence to label.

    Args:
        index: Its index in the input, from 0.
        uncertainty: The uncertainty of the model, from 0 to 1.
        prediction: The predictions of the model.
    """

    index: int
    uncertainty: float
    prediction: Prediction


def suggest(
    model: TrainedModel,
    sentences: Sequence[Sentence],
    number: int,
    tasks: Sequence[str] | None = None,
    *,
    measure: UncertaintyMeasure = "entropy",
    diverse: bool = True,
) -> list[Suggestion]:
    """Return the sentences to label next, in the order of the choice.

    Args:
        model: A model that was trained on the labels so far.
        sentences: Unlabelled sentences; those without words are left out.
        number: The number of sentences to choose.
        tasks: The tasks; None: all whose labels are not derived from the text. The uncertainty of a
            sentence is the mean over them.
        measure: The measure of uncertainty.
        diverse: Whether the sentences should differ from each other; see `choose`.

    Raises:
        MtlError: A task has no probabilities of labels, compares pairs or does not exist; or the
            number is below 1.
    """
    check_number(number)
    selected = model.selection.labelling(tasks)
    if model.selection.compare_pairs(selected):
        raise MtlError(f"{', '.join(selected)}: compares pairs; expected single sentences")
    rows = [row for row, sentence in enumerate(sentences) if sentence.example.tokens]
    pool = [sentences[row] for row in rows]
    if not pool:
        raise MtlError("the text has no words; expected at least one sentence")
    uncertainty = np.mean(
        [uncertainties(model.predictor, pool, task, measure) for task in selected], axis=0
    )
    vectors = sentence_vectors(model, pool, selected[0]) if diverse else None
    chosen = choose(uncertainty, vectors, number)
    predictions = model.predictor.run([pool[own] for own in chosen], selected, confidence=True)
    return [
        Suggestion(rows[own], float(uncertainty[own]), prediction)
        for own, prediction in zip(chosen, predictions, strict=True)
    ]


def sentence_vectors(
    model: TrainedModel, sentences: Sequence[Sentence], task: str
) -> NDArray[np.float32]:
    """Return the mean of the states that the head of a task reads in each sentence, `[N, H]`.

    Raises:
        MtlError: The model is an ensemble.
    """
    means = [
        states.mean(0)
        for chunk in bounded(sentences, CHUNK)
        for states in model.hidden_states(chunk, task)
    ]
    return np.stack(means)
