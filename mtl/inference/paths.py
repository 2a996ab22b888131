"""The most probable label sequences of taggers. Letters: T tokens, K labels, P sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.errors import MtlError, check_number
from mtl.heads import Head, Tagger
from mtl.inference.cutting import chunks
from mtl.inference.predictor import Predictor
from mtl.text.example import Example

_SENTENCES = 32
"""Sentences per batch."""


def has_paths(head: Head) -> TypeGuard[Tagger]:
    """Return whether a head has label sequences: one label per token."""
    return isinstance(head, Tagger) and head.objective is None


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
        log-probabilities `[P]`. A sequence that does not exist has −∞ and the labels of the first
        one. All sequences have −∞ if the sentence is longer than `max_length`, so that the model
        reads it in several windows.

    Raises:
        MtlError: The task does not label tokens, or the number is below 1.
    """
    check_number(number)
    head = predictor.head(task)
    if not has_paths(head):
        raise MtlError(f"task {task!r}: has no label sequences")
    temperature = predictor.temperature(task).labels
    shapes = [(number, len(example)) for example in examples]
    found = [(np.zeros(shape, dtype=np.int64), np.full(number, -np.inf)) for shape in shapes]
    able = [row for row, example in enumerate(examples) if 0 < len(example) <= predictor.max_length]
    with predictor.evaluating():
        for rows in chunks(sorted(able, key=lambda row: len(examples[row])), _SENTENCES):
            batch = predictor.batcher.batch([Example(examples[row].tokens) for row in rows])
            batch = batch.to(predictor.device)
            hidden = predictor.model.encode(batch, [task]).hidden[task]
            paths, log_probs = head.n_best(hidden, batch.mask, number, temperature=temperature)
            for row, own, own_scores in zip(
                rows, paths.cpu(), log_probs.double().cpu(), strict=True
            ):
                found[row] = own[:, : len(examples[row])].numpy(), own_scores.numpy()
    return list(head.labels), found
