"""Parameter groups of the optimiser: frozen weights, learning rates, gradual unfreezing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from mtl.config.run import FineTuning, Run
from mtl.experiment.kinds import build
from mtl.model import MultiTaskModel
from mtl.trunks import Trunk


def freeze(run: Run, model: MultiTaskModel) -> None:
    """Freeze the parts that the run file names in `frozen`."""
    tuning = run.training.fine_tuning or FineTuning()
    parts: dict[str, list[nn.Module]] = {
        "embedding": [model.embedding],
        "trunk": [*_trunks(model)],
    }
    heads = set(model.embedding.head_parameters())
    for name in tuning.frozen:
        for module in parts[name]:
            for parameter in set(module.parameters()) - heads:
                parameter.requires_grad_(False)


def make_optimizer(
    run: Run, model: MultiTaskModel, weighting: nn.Module, companions: Iterable[nn.Module] = ()
) -> torch.optim.Optimizer:
    """Return the optimiser of all trainable weights.

    There is a group per layer if fine-tuning treats layers differently, a group per head or part
    of the sharing with its own learning rate, and a group without decay, for the weights of the
    weighting and, if the run file says so, for vectors. `since` is the epoch from which a group is
    trained. The first group has the learning rate of the run file.

    Args:
        run: The run.
        model: The model.
        weighting: The weighting, which may have weights of its own.
        companions: Modules that are trained with the model, at the rate of heads.
    """
    tuning = run.training.fine_tuning
    below = _below_heads(model) if tuning else {}
    lrs = _head_rates(run, model)
    factors = model.sharing.lr_factors()
    members: dict[tuple[int, float | None, float, bool], list[nn.Parameter]] = {
        (0, None, 1.0, True): []
    }
    further = [parameter for module in companions for parameter in module.parameters()]
    if tuning and tuning.head_lr is not None:
        lrs |= dict.fromkeys(further, tuning.head_lr)
    # Decay would pull learned scales of losses to 1, which is not a simpler model.
    scales = set(weighting.parameters())
    for parameter in (*model.parameters(), *weighting.parameters(), *further):
        if parameter.requires_grad:
            decays = parameter not in scales and (run.training.decay_biases or parameter.ndim > 1)
            factor = factors.get(parameter, 1.0)
            key = below.get(parameter, 0), lrs.get(parameter), factor, decays
            members.setdefault(key, []).append(parameter)
    groups: list[dict[str, Any]] = []
    for (_, lr, _, decays), own in members.items():
        groups.append({"params": own})
        if lr is not None:
            groups[-1]["lr"] = lr
        if not decays:
            groups[-1]["weight_decay"] = 0.0
    optimizer: torch.optim.Optimizer = build("optimizer", run.training.optimizer, groups)
    for group, (depth, _, factor, _) in zip(optimizer.param_groups, members, strict=True):
        group["lr"] *= factor
        if tuning:
            group["lr"] /= tuning.lr_ratio**depth
            group["since"] = depth if tuning.gradual else 0
    return optimizer


def _head_rates(run: Run, model: MultiTaskModel) -> dict[nn.Parameter, float]:
    """Return the learning rate of each parameter of the heads that have their own."""
    tuning = run.training.fine_tuning or FineTuning()
    embedded = set(model.embedding.parameters())  # language models may share them
    rates = {
        parameter: run.tasks[name].lr or tuning.head_lr
        for name, head in model.heads.items()
        for parameter in head.parameters()
        if parameter not in embedded
    }
    rates |= dict.fromkeys(model.embedding.head_parameters(), tuning.head_lr)
    return {parameter: rate for parameter, rate in rates.items() if rate is not None}


def _trunks(model: MultiTaskModel) -> list[Trunk]:
    return [module for module in model.sharing.modules() if isinstance(module, Trunk)]


def _below_heads(model: MultiTaskModel) -> dict[nn.Parameter, int]:
    """Return the distance to the heads, in layers, of each parameter of trunks and embedding."""
    depths: dict[nn.Parameter, int] = {}
    for trunk in _trunks(model):
        for depth, parameters in enumerate(reversed(trunk.layer_parameters()), 1):
            depths |= dict.fromkeys(parameters, depth)
    lowest = max(depths.values(), default=0) + 1
    heads = set(model.embedding.head_parameters())
    embedding = [p for p in model.embedding.parameters() if p not in heads]
    return depths | dict.fromkeys(embedding, lowest)
