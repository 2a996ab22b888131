"""The probabilities of all labels, for sentences or for tokens.

Letters: N sentences, B windows, T tokens, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.errors import MtlError
from mtl.inference.base import BasePredictor
from mtl.inference.cutting import CHUNK, bounded
from mtl.inference.inputs import Sentence
from mtl.inference.readouts import label_probabilities, token_log_probs


def probabilities(
    predictor: BasePredictor, sentences: Sequence[Sentence], task: str
) -> tuple[list[str], list[NDArray[np.float64]]]:
    """Return the labels of a task, and their probabilities for each sentence.

    For taggers with a CRF, these are marginal probabilities of each token.

    Args:
        predictor: The predictor of the model.
        sentences: N sentences.
        task: A task with one label per sentence or per token.

    Returns:
        K labels, and per sentence an array `[K]`, or `[T, K]` for taggers.

    Raises:
        MtlError: The task has no labels out of a fixed list.
    """
    head, target = predictor.head(task), predictor.targets[task]
    if not target.plain_labels:
        raise MtlError(f"task {task!r}: has no probabilities of labels, it predicts {target.noun}")
    if target.level == "sentence":
        return list(head.labels), _of_sentences(predictor, sentences, task)
    return _of_tokens(predictor, sentences, task)


@torch.inference_mode()
def _of_sentences(
    predictor: BasePredictor, sentences: Sequence[Sentence], task: str
) -> list[NDArray[np.float64]]:
    rows = [prediction[task].logits for prediction in predictor.run(sentences, [task], logits=True)]
    if not rows:
        return []
    logits = torch.stack([row for row in rows if row is not None])
    logits = logits.double() / predictor.temperature(task).labels
    return list(predictor.head(task).log_probs_from(logits).exp().cpu().numpy())


@torch.inference_mode()
def _of_tokens(
    predictor: BasePredictor, sentences: Sequence[Sentence], task: str
) -> tuple[list[str], list[NDArray[np.float64]]]:
    head, scheme = predictor.head(task), predictor.schemes.get(task)
    temperature = predictor.temperature(task).labels
    labels, _ = label_probabilities(head, torch.empty(0, 0, len(head.labels)), scheme)
    found: list[NDArray[np.float64]] = []
    for chunk in bounded(sentences, CHUNK):
        rows = [np.zeros((len(sentence.example), len(labels))) for sentence in chunk]
        with predictor.evaluating():
            for batch in predictor.encoded(chunk, [task]):
                states = batch.hidden[task]
                log_probs = token_log_probs(head, states, batch.mask, temperature)  # [B, T, K]
                own = label_probabilities(head, log_probs.exp(), scheme)[1].double().cpu().numpy()
                for index, probabilities in zip(batch.indices, own, strict=True):
                    row, window = batch.pieces[index]
                    rows[row][window.kept] = probabilities[window.kept_inside]
        found += rows
    return labels, found
