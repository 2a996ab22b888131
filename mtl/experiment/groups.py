"""Parameter groups of the optimiser: frozen weights, learning rates, gradual unfreezing."""

from __future__ import annotations

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
    for name in tuning.frozen:
        for module in parts[name]:
            module.requires_grad_(False)


def make_optimizer(run: Run, model: MultiTaskModel, weighting: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of all trainable weights.

    There is a group per layer if fine-tuning treats layers differently, and a group per head or
    part of the sharing with its own learning rate. `since` is the epoch from which a group is
    trained. The first group has the learning rate of the run file.
    """
    tuning = run.training.fine_tuning
    below = _below_heads(model) if tuning else {}
    embedded = set(model.embedding.parameters())  # language models may share them
    lrs = {
        parameter: lr
        for name, head in model.heads.items()
        if (lr := run.tasks[name].lr) is not None
        for parameter in head.parameters()
        if parameter not in embedded
    }
    factors = model.sharing.lr_factors()
    members: dict[tuple[int, float | None, float], list[nn.Parameter]] = {(0, None, 1.0): []}
    for parameter in (*model.parameters(), *weighting.parameters()):
        if parameter.requires_grad:
            key = below.get(parameter, 0), lrs.get(parameter), factors.get(parameter, 1.0)
            members.setdefault(key, []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": own} if lr is None else {"params": own, "lr": lr}
        for (_, lr, _), own in members.items()
    ]
    optimizer: torch.optim.Optimizer = build("optimizer", run.training.optimizer, groups)
    for group, (depth, _, factor) in zip(optimizer.param_groups, members, strict=True):
        group["lr"] *= factor
        if tuning:
            group["lr"] /= tuning.lr_ratio**depth
            group["since"] = depth if tuning.gradual else 0
    return optimizer


def _trunks(model: MultiTaskModel) -> list[Trunk]:
    return [module for module in model.sharing.modules() if isinstance(module, Trunk)]


def _below_heads(model: MultiTaskModel) -> dict[nn.Parameter, int]:
    """Return the distance to the heads, in layers, of each parameter of trunks and embedding."""
    depths: dict[nn.Parameter, int] = {}
    for trunk in _trunks(model):
        for depth, parameters in enumerate(reversed(trunk.layer_parameters()), 1):
            depths |= dict.fromkeys(parameters, depth)
    lowest = max(depths.values(), default=0) + 1
    return depths | dict.fromkeys(model.embedding.parameters(), lowest)
