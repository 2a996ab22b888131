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
from mtl.heads import Head, Tagger
from mtl.inference.cutting import chunks
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.readouts import label_probabilities
from mtl.ops.crf import crf_log_partition
from mtl.ops.crf_paths import crf_n_best
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


@torch.inference_mode()
def best_paths(
    predictor: Predictor, examples: Sequence[Example], task: str, number: int
) -> tuple[list[str], list[tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    """Return the labels of the head of a task, and the most probable label sequences.

    Args:
        predictor: The predictor of the model.
        examples: The sentences.
        task: A task with one label per token.
        number: P, the number of sequences per sentence.

    Returns:
        K labels, in the scheme of the head; and per sentence label ids `[P, T]`, best first, with
        log-probabilities `[P]`. A sequence that does not exist is the first one with −∞. So are
        all sequences of a sentence longer than `max_length`, which is read in several windows.

    Raises:
        MtlError: The task does not label tokens.
    """
    head = predictor.model.head(task)
    if not (isinstance(head, Tagger) and head.objective is None):
        raise MtlError(f"task {task!r}: has no label sequences")
    training = predictor.model.training
    predictor.model.eval()
    shapes = [(number, len(example)) for example in examples]
    found = [(np.zeros(shape, dtype=np.int64), np.full(number, -np.inf)) for shape in shapes]
    able = [row for row, example in enumerate(examples) if 0 < len(example) <= predictor.max_length]
    for rows in chunks(sorted(able, key=lambda row: len(examples[row])), _WINDOWS):
        batch = predictor.batcher.batch([Example(examples[row].tokens) for row in rows])
        batch = batch.to(next(predictor.model.parameters()).device)
        scores = head.scores(predictor.model.encode(batch, [task]).hidden[task], batch.mask)
        size = scores.shape[2]
        none = scores.new_zeros(size, size), scores.new_zeros(size), scores.new_zeros(size)
        steps = head.steps() or none
        paths, totals = crf_n_best(scores, *steps, batch.mask, number)
        log_probs = totals - crf_log_partition(scores, *steps, batch.mask).unsqueeze(1)
        paths = torch.where(log_probs.isfinite().unsqueeze(2), paths, paths[:, :1])
        for row, own, own_scores in zip(rows, paths.cpu(), log_probs.double().cpu(), strict=True):
            found[row] = own[:, : len(examples[row])].numpy(), own_scores.numpy()
    predictor.model.train(training)
    return list(head.labels), found
