"""The loss of a task: of its gold labels, and of the outputs of its teachers. B: sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.layers.binary_scale import binary_scale
from mtl.model import ModelOutput
from mtl.targets import labelled

LossUnit: TypeAlias = Literal["token", "sentence", "max_length"]
"""The unit that the loss of a step is a mean over, for tasks with labels of tokens.

With "token", the sum over all labels is divided by the number of labels; with "sentence", by the
number of sentences with labels; with "max_length", by this number times the labels of the sentence
with the most. For labels of sentences the three are equal."""


class Total(NamedTuple):
    """The units that the loss of a task is divided by.

    Args:
        units: The number of units, or the sum of their weights divided by `scale`; not zero.
        scale: A power of two that the weights of sentences are divided by; None without weights.
        factor: A further divisor: the most labels of a sentence for "max_length", otherwise 1.
    """

    units: Tensor
    scale: Tensor | None = None
    factor: float = 1.0


def unit_sum(batches: Sequence[Batch], task: str, gold_share: float, unit: LossUnit) -> Total:
    """Return the units of a task in the batches of a step that have the task; they may be zero.

    Args:
        batches: The batches.
        task: The task.
        gold_share: λ, from 0 to 1; see `mean_loss`.
        unit: The unit of the loss.
    """
    counts = [_counts(batch, task, gold_share) for batch in batches]
    scale, factor = None, 1.0
    if unit == "max_length":
        factor = max(1.0, *(float(count.max()) for count in counts))
    if unit != "token":
        counts = [(count > 0).long() for count in counts]
    if any(task in batch.weights for batch in batches):
        weights = [_weights(batch, task) for batch in batches]
        scale = binary_scale(torch.cat(weights))  # only their ratios count, and sums stay finite
        counts = [count * (own / scale) for count, own in zip(counts, weights, strict=True)]
    return Total(torch.stack([count.sum() for count in counts]).sum(), scale, factor)


def divisor_of(found: Total) -> Total:
    """Return the result of `unit_sum` with a number of units that is not zero."""
    units: Tensor = torch.where(found.units > 0, found.units, torch.ones_like(found.units))
    return found._replace(units=units)


def mean_loss(
    output: ModelOutput, batch: Batch, task: str, gold_share: float, divisor: Total | None = None
) -> Tensor:
    """Return the loss per unit: a labelled token, or a sentence for classifiers; a scalar.

    A sentence with gold labels and with the output of a teacher has the loss
    λ · gold + (1 − λ) · teacher (Clark et al. 2019), where λ is the share of gold labels. A
    sentence with only one of the two has its loss. A sentence of weight w counts as if it were in
    the batch w times.

    Args:
        output: The losses of all sentences.
        batch: The batch.
        task: The task.
        gold_share: λ, from 0 to 1.
        divisor: The units to divide by; None: the labels of the batch.
    """
    units, scale, factor = divisor or divisor_of(unit_sum([batch], task, gold_share, "token"))
    if task not in batch.teacher:
        losses = output.losses[task]
    else:
        losses = output.imitation[task]
        if task in batch.targets:
            share = _shares(batch, task, gold_share)
            losses = share * output.losses[task] + (1 - share) * losses
    if scale is not None:
        losses = losses * (_weights(batch, task) / scale).to(losses.device)
    return losses.sum() / (units * factor)


def learnable(batch: Batch) -> Batch:
    """Return the batch without the targets in which nothing is labelled: their loss is constant.

    Examples are a window or a stream without labels, and partial labels that allow every label.
    """
    kept = {task: target for task, target in batch.targets.items() if labelled(target).any()}
    return batch if len(kept) == len(batch.targets) else replace(batch, targets=kept)


def _counts(batch: Batch, task: str, gold_share: float) -> Tensor:
    """Return the number of labels of each sentence, gold or of a teacher, `[B]`."""
    if task not in batch.teacher:
        return gold_counts(batch, task)
    counts = batch.teacher[task].counts(batch.mask)
    if task not in batch.targets:
        return counts
    share = _shares(batch, task, gold_share)
    return share * gold_counts(batch, task) + (1 - share) * counts


def _shares(batch: Batch, task: str, gold_share: float) -> Tensor:
    """Return the share of the gold labels of each sentence, `[B]`."""
    known = batch.teacher[task].known
    return torch.where(known, gold_share, 1.0) * (gold_counts(batch, task) > 0)


def gold_counts(batch: Batch, task: str) -> Tensor:
    """Return the number of labelled tokens or sentences of each sentence, `[B]`."""
    known = labelled(batch.targets[task])
    return known.long() if known.ndim == 1 else known.sum(1)


def _weights(batch: Batch, task: str) -> Tensor:
    """Return the weight of each sentence in the loss of a task, `[B]`."""
    if task in batch.weights:
        return batch.weights[task]
    return torch.ones(len(_counts(batch, task, 1.0)))
