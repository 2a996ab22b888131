"""Elastic weight consolidation: weights that stay near their earlier values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def diagonal_fisher(losses: Iterable[Tensor], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Return the diagonal of the Fisher information, one tensor per parameter.

    F_i = mean over sentences of (∂ ln p(y | x) / ∂θ_i)². If the labels y are drawn from the model,
    its expectation is the Fisher information, which equals the expected second derivatives of the
    loss; with gold labels it is the empirical Fisher information.

    Args:
        losses: −ln p(y | x) of one sentence each, a scalar; each is released before the next one
            is computed. At least one.
        parameters: The parameters θ. A loss need not depend on all of them.
    """
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    number = 0
    for loss in losses:
        number += 1
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total += gradient.square()
    return [total / number for total in sums]


class Anchor:
    """A quadratic penalty that holds each weight near its old value (Kirkpatrick et al. 2017).

    λ/2 · Σ_i F_i (θ_i − θ*_i)². Weights with a large Fisher information F_i, on which the earlier
    tasks depend most, are held most firmly.

    Args:
        parameters: The weights θ. Their values at this moment are θ*.
        fisher: F, one tensor per parameter, not negative.
        weight: λ.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], fisher: Sequence[Tensor], weight: float
    ) -> None:
        self.parameters = list(parameters)
        self.fisher = [own.detach() for own in fisher]
        self.old = [parameter.detach().clone() for parameter in parameters]
        self.weight = weight

    def penalty(self) -> Tensor:
        """Return the penalty, a scalar; its gradient is λ F (θ − θ*)."""
        terms = [
            (fisher * (parameter - old).square()).sum()
            for parameter, fisher, old in zip(self.parameters, self.fisher, self.old, strict=True)
        ]
        return 0.5 * self.weight * torch.stack(terms).sum()
