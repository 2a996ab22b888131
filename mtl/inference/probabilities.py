"""The probabilities of all labels, for sentences or for tokens.

Letters: N sentences, B windows, T tokens, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.data.windows import windows
from mtl.errors import MtlError
from mtl.heads import Head
from mtl.inference.cutting import chunks
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.readouts import label_probabilities
from mtl.text.example import Example

_WINDOWS = 32
"""Windows per batch."""


def probabilities(
    predictor: Predictor, sentences: Sequence[Sentence], task: str
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
    head, target = predictor.model.head(task), predictor.batcher.targets[task]
    if not target.plain_labels:
        raise MtlError(f"task {task!r}: has no probabilities of labels, it predicts {target.noun}")
    if target.level == "sentence":
        return list(head.labels), _of_sentences(predictor, head, sentences, task)
    return _of_tokens(predictor, head, [sentence.example for sentence in sentences], task)


@torch.inference_mode()
def _of_sentences(
    predictor: Predictor, head: Head, sentences: Sequence[Sentence], task: str
) -> list[NDArray[np.float64]]:
    rows = [prediction[task].logits for prediction in predictor.run(sentences, [task], logits=True)]
    if not rows:
        return []
    logits = torch.stack([row for row in rows if row is not None])
    return list(head.log_probs_from(logits.double()).exp().cpu().numpy())


@torch.inference_mode()
def _of_tokens(
    predictor: Predictor, head: Head, examples: Sequence[Example], task: str
) -> tuple[list[str], list[NDArray[np.float64]]]:
    model, scheme = predictor.model, predictor.schemes.get(task)
    labels, _ = label_probabilities(head, torch.empty(0, 0, len(head.labels)), scheme)
    parts: list[list[NDArray[np.float64]]] = [[] for _ in examples]
    pieces = [
        (row, window)
        for row, example in enumerate(examples)
        for window in windows(len(example), predictor.max_length, predictor.overlap)
        if len(example)
    ]
    training = model.training
    model.eval()
    for chunk in chunks(pieces, _WINDOWS):
        texts = [Example(examples[row].tokens[w.start : w.end]) for row, w in chunk]
        batch = predictor.batcher.batch(texts).to(next(model.parameters()).device)
        hidden = model.encode(batch, [task]).hidden[task]
        log_probs = head.log_probs(hidden, batch.mask).exp()  # [B, T, K]
        _, found = label_probabilities(head, log_probs, scheme)
        for (row, w), own in zip(chunk, found.double().cpu().numpy(), strict=True):
            parts[row].append(own[w.keep_start - w.start : w.keep_end - w.start])
    model.train(training)
    empty = np.zeros((0, len(labels)))
    return labels, [np.concatenate([empty, *own]) for own in parts]
