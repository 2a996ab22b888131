"""Events that a training run yields: steps and epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mtl.training.evaluation import Evaluation


@dataclass(frozen=True)
class Gradients:
    """Gradients of the unweighted losses with respect to the shared parameters, by task.

    Args:
        norms: The gradient norm of each task.
        cosines: The cosine between the gradients of two tasks, by the first and the second task;
            below 0 if they conflict. Each pair occurs once.
    """

    norms: Mapping[str, float]
    cosines: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Step:
    """One update of the weights.

    Args:
        epoch: The epoch, from 0.
        step: The step of the run, from 0.
        losses: The mean loss by task in nats, per token (taggers) or per sentence (classifiers).
        weights: The weight of the loss, by task.
        weighted: The weighted loss by task, including terms that the weighting adds.
        penalties: Further terms of the loss by name.
        total: The minimised loss: the sum of weighted losses and penalties.
        gradients: Gradient statistics; None at most steps, for a single task, and if the tasks
            share no parameters.
        lr: The learning rate.
        grad_norm: The global gradient norm of the model before clipping; 0 for a step that is
            skipped, as its float16 gradients are not finite.
        tokens: The number of training tokens by task.
        seconds: The duration of the step.
        warning: A warning for the user; empty for none.
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
    warning: str = ""


@dataclass(frozen=True)
class Learnt:
    """A learned quantity of interest, such as how much two tasks share.

    Args:
        values: A scalar, vector or matrix, on the CPU.
        axes: The names of rows and columns, or of the entries of a vector; empty for no names.
    """

    values: Tensor
    axes: tuple[Sequence[str], ...] = ()


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch.

    Args:
        epoch: The epoch, from 0.
        step: The number of steps so far.
        losses: The mean loss over the epoch, by task.
        dev: Scores on the development sets; None if no task can be scored.
        score: The score of the run, higher is better; None if nothing was evaluated.
        improved: Whether the model is the best so far.
        stopped: The tasks whose training has stopped.
        tokens_per_second: Training speed by task, over the steps with this task.
        seconds: The duration of training, without evaluation.
        snapshot: The cycle of the schedule that ended, from 1, if its model is to be kept.
    """

    epoch: int
    step: int
    losses: Mapping[str, float]
    dev: Evaluation | None
    score: float | None
    improved: bool
    stopped: frozenset[str]
    tokens_per_second: Mapping[str, float]
    seconds: float
    snapshot: int | None = None
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
    """Learned quantities of sharing and weighting, named `sharing.NAME` and `weighting.NAME`.

    A mixing that depends on scores adds `mixing.shares`, the share of batches of each corpus."""
