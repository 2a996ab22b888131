"""Optimisers of torch with typed, bounded and documented options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from mtl.options import Fraction, NonNegativeFloat, PositiveFloat
from mtl.registry import Registry

Parameters = Iterable[torch.Tensor] | Iterable[dict[str, Any]]


class SGD(torch.optim.SGD):
    """Stochastic gradient descent with optional momentum (Robbins & Monro 1951).

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        momentum: Momentum factor.
        nesterov: Whether to use Nesterov momentum (Nesterov 1983).
        weight_decay: Coefficient of the L2 penalty.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.1,
        momentum: Fraction = 0.0,
        nesterov: bool = False,
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(
            parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )


class Adam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015), in torch's fused implementation.

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the first and second moment of the gradients.
        weight_decay: Coefficient of the L2 penalty.
        amsgrad: Whether to use the largest second moment so far, AMSGrad (Reddi et al. 2018).
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.003,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        weight_decay: NonNegativeFloat = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, betas=betas, weight_decay=weight_decay, amsgrad=amsgrad, fused=True
        )


class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), in torch's fused implementation.

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the first and second moment of the gradients.
        weight_decay: Coefficient of the decay: each step subtracts lr · weight_decay · weight.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.001,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        weight_decay: NonNegativeFloat = 0.01,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


class NAdam(torch.optim.NAdam):
    """Adam with Nesterov momentum (Dozat 2016).

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the first and second moment of the gradients.
        weight_decay: Coefficient of the L2 penalty.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.002,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay)


class Adamax(torch.optim.Adamax):
    """Adam with the infinity norm (Kingma & Ba 2015).

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the first moment and of the infinity norm of the gradients.
        weight_decay: Coefficient of the L2 penalty.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.002,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay)


class Adagrad(torch.optim.Adagrad):
    """Adagrad (Duchi et al. 2011).

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        weight_decay: Coefficient of the L2 penalty.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.01,
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)


class Adadelta(torch.optim.Adadelta):
    """Adadelta (Zeiler 2012).

    Args:
        parameters: Parameters or parameter groups.
        lr: Factor of the update.
        rho: Decay rate of the running averages of squared gradients and updates.
        weight_decay: Coefficient of the L2 penalty.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 1.0,
        rho: Fraction = 0.95,
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, rho=rho, weight_decay=weight_decay)


class RMSprop(torch.optim.RMSprop):
    """RMSprop (Tieleman & Hinton 2012).

    Args:
        parameters: Parameters or parameter groups.
        lr: Learning rate.
        alpha: Decay rate of the second moment of the gradients.
        momentum: Momentum factor.
        weight_decay: Coefficient of the L2 penalty.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        lr: PositiveFloat = 0.01,
        alpha: Fraction = 0.99,
        momentum: Fraction = 0.0,
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(
            parameters, lr=lr, alpha=alpha, momentum=momentum, weight_decay=weight_decay
        )


OPTIMIZERS: Registry[torch.optim.Optimizer] = Registry(
    "optimizer",
    torch.optim.Optimizer,
    {
        "sgd": SGD,
        "adam": Adam,
        "adamw": AdamW,
        "nadam": NAdam,
        "adamax": Adamax,
        "adagrad": Adagrad,
        "adadelta": Adadelta,
        "rmsprop": RMSprop,
    },
)


def decays(options: Mapping[str, Any]) -> bool:
    """Return whether an optimiser with these options has weight decay."""
    return bool(options.get("weight_decay"))
