"""What a training run reports as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mtl.training.evaluation import Evaluation

EVERY = 20
"""One step in so many is written down,"""
RARE = 5 * EVERY
"""and one in so many with the gradients of its tasks, which take the time of a step or two more."""


@dataclass(frozen=True)
class Gradients:
    """How the tasks of a step pull at what they share, before any weight.

    Args:
        norms: Task to the norm of the gradient of its loss by the shared parameters.
        cosines: Task to the cosine between its gradient and that of each task after it: below 0
            where they are in conflict.
    """

    norms: Mapping[str, float]
    cosines: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Step:
    """One update of the weights.

    Args:
        epoch: The epoch, from 0.
        step: The step of the run, from 0.
        losses: Task to its mean loss in nats, per token (taggers) or per sentence (classifiers).
        weights: Task to the weight that its loss had.
        weighted: Task to its loss as weighted, with what the weighting adds to it.
        penalties: Further terms of the loss by name.
        total: What was minimised: the weighted losses and the penalties.
        gradients: How the tasks pull; None where there are less than two, where they share nothing,
            and at most steps.
        lr: The learning rate.
        grad_norm: The global norm of the model's gradients before it was clipped.
        tokens: Task to the number of tokens trained on.
        seconds: How long the step took.
    """

    epoch: int
    step: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    weighted: Mapping[str, float]
    penalties: Mapping[str, float]
    total: float
    gradients: Gradients | None
    lr: float
    grad_norm: float
    tokens: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class Learnt:
    """A quantity that a person may read of what was learnt, such as how much tasks share.

    Args:
        values: A scalar, a vector or a matrix, on the CPU.
        axes: The names of the rows and of the columns, or of the entries of a vector; empty where
            they have none.
    """

    values: Tensor
    axes: tuple[Sequence[str], ...] = ()


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch.

    Args:
        epoch: The epoch, from 0.
        step: The number of steps so far.
        losses: Task to the mean of its losses over the epoch.
        dev: Scores on the development sets; None when no task has one.
        score: The score of the run, higher is better; None when nothing was evaluated.
        improved: Whether the model is the best so far.
        resting: The tasks that train no more.
        tokens_per_second: Task to its tokens by the seconds of the steps it took part in.
        seconds: How long training took, evaluation not counted.
        learnt: What sharing and weighting have learnt, by `sharing.NAME` and `weighting.NAME`; of a
            mixing that follows the scores `mixing.shares`, how much each corpus was drawn.
    """

    epoch: int
    step: int
    losses: Mapping[str, float]
    dev: Evaluation | None
    score: float | None
    improved: bool
    resting: frozenset[str]
    tokens_per_second: Mapping[str, float]
    seconds: float
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
