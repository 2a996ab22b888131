"""Cross-stitch units. Letters: M tasks, B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mtl.options import Fraction, PositiveFloat
from mtl.sharing.columns import Mixed, shares
from mtl.trunks.base import Trunk


class CrossStitch(Mixed):
    """A trunk a task; after every layer each reads a mixture of all (Misra et al. 2016).

    x̃_a = Σ_b α_ab x_b, with a matrix α a layer, also after the last one, whose mixture the heads
    read (in the paper fc7, the layer below the outputs). Learns how much two tasks have in common,
    layer by layer, for the price of a trunk a task.

    Args:
        tasks: The names of all tasks, two at least.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
        alpha: Whether a layer has one matrix for all its units (task), or each unit one (channel).
        balance: Each task's share in its own mixture at the start; the others have equal parts of
            the rest, so that shares sum to 1.
        lr_factor: How many times the learning rate of the run α learns at. The paper takes 100 to
            1000, by plain SGD; Adam needs no such factor.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        alpha: Literal["task", "channel"] = "task",
        balance: Fraction = 0.9,
        lr_factor: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(tasks, make_trunk, lr_factor=lr_factor)
        start = shares(len(tasks), balance)
        self.alpha = nn.ParameterList(
            start.clone() if alpha == "task" else start[..., None].repeat(1, 1, size)
            for size in self.sizes[1:]
        )

    def between(self, i: int, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the mixtures after layer i (from 1), a tensor `[B, T, H]` a column."""
        alpha = self.alpha[i - 1]
        mixture = "ab,b...h->a...h" if alpha.ndim == 2 else "abh,b...h->a...h"
        return torch.einsum(mixture, alpha, torch.stack(list(outputs))).unbind()

    def learnt(self) -> dict[str, Tensor]:
        """Return α by layer: row a says what task a reads. Of many channels it is the mean."""
        found = {f"alpha.{i}": alpha.detach() for i, alpha in enumerate(self.alpha, 1)}
        return {n: alpha if alpha.ndim == 2 else alpha.mean(2) for n, alpha in found.items()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which rows and columns are of."""
        tasks = list(self.trunks)
        return {f"alpha.{i}": (tasks, tasks) for i in range(1, len(self.alpha) + 1)}
