"""The loss of single labels in training. Letters: K labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError, did_you_mean
from mtl.heads.base import Head
from mtl.options import Default, NonNegativeFloat, PositiveFloat, Probability, RunContext
from mtl.targets.objectives import Objective, OneLabel

LabelSmoothing: TypeAlias = Annotated[Probability, Default(0.0)]
ClassWeights: TypeAlias = Annotated[
    Mapping[str, PositiveFloat] | Literal["balanced"] | None, Default(None)
]
Focus: TypeAlias = Annotated[NonNegativeFloat, Default(0.0)]
SINGLE_LABEL_OPTIONS = ("label_smoothing", "class_weights", "focal")
"""Options that change the loss of single labels, and have no meaning for other forms."""


class SingleLabelHead(Head):
    """Base of heads that can learn single labels with smoothing, class weights and a focal loss.

    They apply in training only: in evaluation the loss is the negative log-likelihood.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        label_smoothing: ε: training targets are the gold labels with probability 1 − ε, and any
            label with ε.
        class_weights: Label to the weight of its loss, by default 1; or "balanced" for the weights
            that `balance` computes; None for none.
        focal: γ of the focal loss; 0 for none. See `row_losses`.
        single: Whether each token or sentence has a single label.

    Raises:
        OptionError: An option is set and the labels are not single; or a weight has no label.
    """

    class_weights: Tensor | None
    objective: Objective | None
    """The form of labels without an order along the sentence; None: one label per token."""
    output: nn.Linear
    """The last layer, whose first outputs are the scores."""

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        label_smoothing: float,
        class_weights: Mapping[str, float] | Literal["balanced"] | None,
        focal: float = 0.0,
        single: bool,
    ) -> None:
        super().__init__(in_features, labels)
        values = (label_smoothing, class_weights, focal)
        for name, value in zip(SINGLE_LABEL_OPTIONS, values, strict=True):
            if value and not single:
                message = f"expects one label per {self.level}, got another form of labels"
                raise OptionError(name, message)
        self.label_smoothing = label_smoothing
        self.focal = focal
        self.balanced = class_weights == "balanced"
        weights = None
        if class_weights == "balanced":
            weights = torch.ones(len(self.labels))
        elif class_weights:
            weights = _in_order(class_weights, self.labels)
        # Balanced weights follow from the training data, so they are saved with the model.
        self.register_buffer("class_weights", weights, persistent=self.balanced)

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if an option for single labels is set and the labels are not single."""
        yield from super().check(options, context)
        if context.task not in context.single:
            for name in SINGLE_LABEL_OPTIONS:
                if options.get(name):
                    yield OptionError(name, f"expects one label per {cls.level}; leave it out")

    def balance(self, counts: Tensor) -> None:
        """Set balanced class weights: n / (k · n_c) for label c (King and Zeng 2001).

        n is the number of training labels, n_c how many of them are c, and k the number of labels
        that occur. So all labels have the same total weight, and the mean weight is 1.

        Args:
            counts: `[K]`, the number n_c of each label in the training data.
        """
        assert self.class_weights is not None
        occurring = (counts > 0).sum()
        weights = counts.sum() / (occurring * counts.clamp(min=1))
        self.class_weights.copy_(torch.where(counts > 0, weights, 1.0))

    def start(self, counts: Tensor, number: int) -> bool:
        """Set the biases so that all predictions start at the frequencies of the labels.

        Return whether they were set: a head whose `output` has no bias for each score is left as it
        is.

        Otherwise, the first steps learn the frequencies, with large gradients that move the trunk
        too, which delays all tasks (compare the prior of Lin et al. 2017, section 4.1). Numbers
        start at their mean. With class weights, a label of weight w counts w times.

        Args:
            counts: `[K]`, the number n_c of each label; fractions for uncertain labels.
            number: The number n of labelled tokens or sentences.
        """
        total = float(number)
        if self.class_weights is not None:
            counts = counts * self.class_weights.to(counts)
            total = float(counts.sum())
        scores = (self.objective or OneLabel(self.labels)).start(counts, total)
        bias = getattr(self.output, "bias", None)
        if not isinstance(bias, Tensor) or len(bias) < len(scores):
            return False
        with torch.no_grad():
            bias[: len(scores)] = scores.to(bias)
        return True

    @property
    def smoothing(self) -> float:
        """The label smoothing in use: 0 in evaluation."""
        return self.label_smoothing if self.training else 0.0

    def weights(self, target: Tensor) -> Tensor | None:
        """Return the class weight of each label, None in evaluation or without class weights.

        Args:
            target: Label ids of any shape; where they are negative, the weight is arbitrary.
        """
        if self.class_weights is None or not self.training:
            return None
        return self.class_weights[target.clamp(min=0)]

    def row_losses(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row with a softmax of its own, `[N]`, 0 without a label.

        In training it is (1 − p)^γ · w · (smoothed cross-entropy). p is the probability of the gold
        label and w its class weight. The first factor is the focal loss (Lin et al. 2017), with
        which rows that are right already count less.

        Args:
            scores: `[N, K]`.
            target: Label ids `[N]`, negative for none.
        """
        gold = target.masked_fill(target < 0, -100)
        losses = functional.cross_entropy(
            scores, gold, reduction="none", label_smoothing=self.smoothing
        )
        if self.focal and self.training:
            log_probs = scores.log_softmax(1).gather(1, target.clamp(min=0).unsqueeze(1))
            # Not 0: for γ < 1 its power has no finite derivative.
            missing = (-torch.expm1(log_probs.squeeze(1))).clamp(min=1e-6)
            losses = losses * missing**self.focal
        weights = self.weights(target)
        return losses if weights is None else losses * weights


def _in_order(weights: Mapping[str, float], labels: Sequence[str]) -> Tensor:
    """Return the weight of each label, `[K]`."""
    for label in weights:
        if label not in labels:
            near = did_you_mean(label, labels)
            raise OptionError("class_weights", f"unknown label {label!r}{near}")
    return torch.tensor([weights.get(label, 1.0) for label in labels])
