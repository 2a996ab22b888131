"""The loss of a task on a development set, for runs that select the epoch by it."""

from __future__ import annotations

import torch

from mtl.data.encoding import Batcher
from mtl.data.loader import Loader
from mtl.model import MultiTaskModel
from mtl.training.objective import gold_counts


@torch.no_grad()
def loss_sum(
    model: MultiTaskModel, batcher: Batcher, loader: Loader, task: str
) -> tuple[float, int]:
    """Return the negative log-likelihood of the labels of a task, in nats, and their number.

    Smoothing, dropout and the weights of classes and sentences belong to training and have no
    effect here. Labels that the training data lacks have no probability, and do not count. The sum
    does not depend on the batches, up to rounding.

    Args:
        model: The model.
        batcher: Converts examples to batches.
        loader: The batches of the sentences, without windows that overlap.
        task: A task with labels, not a language model.
    """
    device = next(model.parameters()).device
    total, labels = 0.0, 0
    with model.evaluating():
        for index in range(loader.size):
            batch = loader.batch(batcher, 0, index, [task])
            if task in batch.targets:
                losses = model(batch.to(device)).losses[task]
                total += losses.double().sum().item()
                labels += int(gold_counts(batch, task).sum())
    return total, labels
