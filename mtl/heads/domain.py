"""Adversarial domain classifier. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mtl.errors import OptionError
from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.gradient_reversal import GradientReversal, ramp_notes
from mtl.layers.sequence import Pooling, pool
from mtl.options import (
    NonNegativeFloat,
    PositiveInt,
    Probability,
    Requires,
    RunContext,
    check_choice,
    refuse_idle,
)
from mtl.targets.objectives import OneLabel

Goal: TypeAlias = Literal["reversal", "uniform", "inverted"]


class DomainClassifier(Classifier):
    """Domain-adversarial classifier with gradient reversal (Ganin and Lempitsky 2015).

    p(y | x) = softmax(W drop(relu(U pool_t h_t + c)) + b), with a reversed gradient for h

    The head learns to classify domains, and the trunk learns to make this impossible. As an
    auxiliary task it makes the hidden states transfer better to other domains. Its score should
    fall to chance level, and is excluded from the mean that selects the best epoch.

    With `goal: uniform`, the trunk minimises λ · −(1/K) Σ_k log p(k | x) instead (Tzeng et al.
    2015), with W, U, b and c fixed. The minimum is the uniform distribution. Reversed gradients
    have no minimum: they also reward a classifier that is wrong with high confidence.

    With `goal: inverted`, the trunk minimises λ · −log(1 − p(y | x)) for the domain y of the
    sentence, again with W, U, b and c fixed. For two domains, this is the loss with inverted labels
    of generative adversarial networks (Goodfellow et al. 2014). With a frozen trunk for one domain
    and a copy of it for the other, it is adversarial discriminative domain adaptation (ADDA, Tzeng
    et al. 2017). In training, the loss includes the term of `uniform` or `inverted`.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        pooling: The mean, maximum or sum over the tokens, or the state of the last token.
        hidden_size: Width of the hidden layer.
        goal: The trunk learns to increase the loss of the head (reversal), to make all domains
            equally probable (uniform), or to make another domain probable (inverted). The last two
            need one domain per sentence.
        strength: λ: the gradient for the trunk is multiplied by −λ, or the term of the other goals
            by λ; with 0 only the head learns.
        ramp: Number of batches over which λ grows from 0, with the factor 2 / (1 + e^(−10 p)) − 1;
            null for a constant λ.
        dropout: Dropout probability of the hidden layer.
    """

    adversarial = True

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        pooling: Pooling = "mean",
        hidden_size: PositiveInt = 100,
        goal: Goal = "reversal",
        strength: NonNegativeFloat = 1.0,
        ramp: Annotated[PositiveInt | None, Requires("strength")] = None,
        dropout: Probability = 0.5,
        **options: Unpack[ClassifierOptions],
    ) -> None:
        check_choice("pooling", pooling, get_args(Pooling))
        check_choice("goal", goal, get_args(Goal))
        refuse_idle(DomainClassifier, {"strength": strength, "ramp": ramp})
        super().__init__(in_features, labels, hidden_size, dropout, **options)
        if goal != "reversal" and not isinstance(self.objective, OneLabel):
            raise OptionError("goal", f"{goal} expects one label per sentence")
        if goal == "inverted" and self.objective.size < 2:
            raise OptionError("goal", "inverted expects at least two labels")
        self.goal = goal
        self.pooling = pooling
        self.reversal = GradientReversal(strength, ramp)
        self.hidden = nn.Sequential(nn.Linear(in_features, hidden_size), nn.ReLU())

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run ends long before the end of the ramp."""
        yield from super().notes(options, context)
        yield from ramp_notes(options["ramp"], sum(context.batches.values()))

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if the goal needs single labels and the labels are not single."""
        yield from super().check(options, context)
        goal = options.get("goal")
        if goal in ("uniform", "inverted") and context.task not in context.single:
            yield OptionError("goal", f"{goal} expects one label per sentence; leave it out")

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden layer, `[B, P]`."""
        pooled = pool(hidden, mask, self.pooling)
        if self.goal != "reversal":
            pooled = pooled.detach()  # the trunk learns from another term, see `loss`
        # Reversed before the hidden layer, so that all layers of the head learn to classify.
        vectors: Tensor = self.hidden(self.reversal(pooled))
        return vectors

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`; in training with the goal's term."""
        strength = self.reversal.factor  # before a pass is counted
        loss = super().loss(hidden, mask, target)
        if self.goal == "reversal" or not self.training:
            return loss
        vectors = _fixed(self.hidden, pool(hidden, mask, self.pooling))
        if self.comparison is not None:
            vectors = self.comparison(vectors)
        log_probs = _fixed(self.output, self.dropout(vectors)).log_softmax(-1)
        if self.goal == "uniform":
            return loss - strength * log_probs.mean(-1)
        own = functional.one_hot(target, len(self.labels)).bool()
        return loss - strength * log_probs.masked_fill(own, -torch.inf).logsumexp(-1)


def _fixed(module: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a module; its parameters get no gradient."""
    fixed = {name: parameter.detach() for name, parameter in module.named_parameters()}
    output: Tensor = functional_call(module, fixed, x)
    return output
