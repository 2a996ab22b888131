"""Sluice networks. Letters: M tasks, S subspaces, L layers, B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.options import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    RunContext,
    options_of,
)
from mtl.sharing.base import TrunkOutput
from mtl.sharing.columns import Mixed, TowerStates, shares
from mtl.trunks.base import Trunk


class Sluice(Mixed):
    """Learns the shared parts of each layer, and the layers that tasks read (Ruder 2019).

    A layer of each task is divided into subspaces G_{m,1} … G_{m,S}. The next layer reads mixtures
    of all M·S subspaces, with one matrix α per layer. A head reads Σ_l β_{m,l} h̃_{m,l}, the last
    entry of `TrunkOutput.layers`, after the layers themselves. λ Σ ‖G_{m,1}ᵀ G_{m,2}‖²_F over
    layers and tasks makes the weights of a task's subspaces orthogonal. Hard sharing, cross-stitch
    units and low supervision are special cases of α and β.

    The directions of a layer are divided and mixed separately by the same α, so that independent
    directions stay independent.

    Args:
        tasks: The names of all tasks, at least two.
        make_trunk: A function without arguments that returns a new `Trunk`.
        subspaces: The number S of subspaces of a layer.
        balance: Initial share of a subspace in its own mixture, and of the last layer in the input
            of a head; the others have equal shares of the rest, so that shares sum to 1.
        orthogonality: The weight λ of the penalty; 0: none.
        lr_factor: Factor of the learning rate for α and β.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        subspaces: PositiveInt = 2,
        balance: Fraction = 0.9,
        orthogonality: NonNegativeFloat = 0.01,
        lr_factor: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(tasks, make_trunk, lr_factor=lr_factor)
        trunk, widths = self.column(tasks[0]), self.sizes[1:]
        if len(set(widths)) > 1:
            raise OptionError(
                "", f"layers of widths {widths} cannot be mixed; give all the same width"
            )
        if widths[0] % (trunk.directions * subspaces):
            raise OptionError(
                "subspaces",
                f"{widths[0] // trunk.directions} units per direction cannot be divided into "
                f"{subspaces} equal parts",
            )
        if orthogonality and subspaces > 1:
            try:
                trunk.unit_weights(1)
            except ValueError as error:
                raise OptionError("orthogonality", f"{error}; set it to 0") from error
        self.sizes.append(widths[0])
        self.directions = trunk.directions
        self.subspaces = subspaces
        self.orthogonality = orthogonality
        self.alpha = nn.ParameterList(shares(len(tasks) * subspaces, balance) for _ in widths)
        last = shares(len(widths), balance)[-1:] if len(widths) > 1 else torch.ones(1, 1)
        self.beta = nn.Parameter(last.repeat(len(tasks), 1))

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for a weight of the orthogonality of a single subspace."""
        yield from super().idle(options, context)
        default = next(o.default for o in options_of(cls) if o.name == "orthogonality")
        if options["subspaces"] == 1 and options["orthogonality"] not in (0, default):
            yield OptionError("orthogonality", "has no effect with one subspace; leave it out")

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode for some tasks with all towers; see `Sharing.forward`."""
        beta = dict(zip(self.trunks, self.beta, strict=True))
        penalties = {}
        if self.training and self.orthogonality and self.subspaces > 1:
            # Products of weights need float32, also where the trunks are computed in bfloat16.
            with torch.autocast(x.device.type, enabled=False):
                penalties["orthogonality"] = self.orthogonality * self.overlap()
        return {
            task: replace(
                own,
                layers=[*own.layers, _weighed(beta[task], own.layers[1:])],
                penalties=penalties,
            )
            for task, own in super().forward(x, mask, tasks, state).items()
        }

    def between(self, i: int, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Mix the outputs of layer i (from 1): one `[B, T, H]` tensor per tower in and out."""
        tasks, cuts = len(outputs), self.subspaces
        alpha = self.alpha[i - 1].view(tasks, cuts, tasks, cuts)
        stacked = torch.stack(list(outputs))
        parts = stacked.view(*stacked.shape[:3], self.directions, cuts, -1)
        return torch.einsum("msnu,nbtduw->mbtdsw", alpha, parts).flatten(3).unbind()

    def overlap(self) -> Tensor:
        """Return ‖GᵀG'‖²_F, summed over the pairs of subspaces of each layer of each task."""
        total = self.beta.new_zeros(())
        trunks = [self.column(task) for task in self.trunks]
        for i in range(1, trunks[0].num_layers + 1):
            weights = torch.stack([trunk.unit_weights(i) for trunk in trunks])
            for one, other in combinations(weights.chunk(self.subspaces, dim=-1), 2):
                total = total + (one.mT @ other).pow(2).sum()
        return total

    def learnt(self) -> dict[str, Tensor]:
        """Return α by layer, one row per subspace, ordered by task; and β, one row per task."""
        matrices = {f"alpha.{i}": alpha.detach() for i, alpha in enumerate(self.alpha, 1)}
        return {**matrices, "beta": self.beta.detach()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the subspaces as `TASK.1`, `TASK.2` for α; tasks and layers for β."""
        subspaces = [f"{task}.{s}" for task in self.trunks for s in range(1, self.subspaces + 1)]
        layers = [str(i) for i in range(1, len(self.alpha) + 1)]
        axes = {f"alpha.{layer}": (subspaces, subspaces) for layer in layers}
        return {**axes, "beta": (list(self.trunks), layers)}


def _weighed(weights: Tensor, layers: Sequence[Tensor]) -> Tensor:
    return torch.einsum("l,l...->...", weights, torch.stack(list(layers)))
