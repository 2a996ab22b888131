"""The loss of a task on a batch: of its gold labels, and of the outputs of its teachers."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.layers.binary_scale import binary_scale
from mtl.model import ModelOutput
from mtl.targets import labelled


def mean_loss(output: ModelOutput, batch: Batch, task: str, gold_share: float) -> Tensor:
    """Return the loss per labelled token (taggers) or sentence (classifiers), a scalar.

    A sentence with gold labels and with the output of a teacher has the loss
    λ · gold + (1 − λ) · teacher (Clark et al. 2019), where λ is the share of gold labels. A
    sentence with only one of the two has its loss. A sentence of weight w counts as if it were in
    the batch w times.

    Args:
        output: The losses of all sentences.
        batch: The batch.
        task: The task.
        gold_share: λ, from 0 to 1.
    """
    if task not in batch.teacher:
        losses, counts = output.losses[task], _gold_counts(batch, task)
    else:
        teacher, losses = batch.teacher[task], output.imitation[task]
        counts = teacher.counts(batch.mask)
        if task in batch.targets:
            gold = _gold_counts(batch, task)
            share = torch.where(teacher.known, gold_share, 1.0) * (gold > 0)
            losses = share * output.losses[task] + (1 - share) * losses
            counts = share * gold + (1 - share) * counts
    if task not in batch.weights:
        total = counts.sum()
        return losses.sum() / torch.where(total > 0, total, 1)
    weights = batch.weights[task]
    weights = weights / binary_scale(weights)  # only their ratios count, and sums stay finite
    counts = counts * weights
    total = counts.sum()
    return (losses * weights).sum() / torch.where(total > 0, total, 1)


def _gold_counts(batch: Batch, task: str) -> Tensor:
    """Return the number of labelled tokens or sentences of each sentence, `[B]`."""
    known = labelled(batch.targets[task])
    return known.long() if known.ndim == 1 else known.sum(1)
