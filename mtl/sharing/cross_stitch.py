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
    """One trunk per task; after every layer each reads a mixture of all (Misra et al. 2016).

    x̃_a = Σ_b α_ab x_b, with one matrix α per layer. Heads read the mixture after the last layer (in
    the paper after fc7, the layer below the outputs). It learns layer by layer how much two tasks
    share, at the cost of one trunk per task.

    Args:
        tasks: The names of all tasks, at least two.
        make_trunk: A function without arguments that returns a new `Trunk`.
        alpha: One matrix per layer (task), or one per unit (channel).
        balance: Initial share of each task in its own mixture; the others have equal shares of the
            rest, so that shares sum to 1.
        lr_factor: Factor of the learning rate for α. The paper uses 100 to 1000 with plain SGD;
            Adam needs no such factor.
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
        """Mix the outputs of layer i (from 1): one `[B, T, H]` tensor per tower in and out."""
        alpha = self.alpha[i - 1]
        mixture = "ab,b...h->a...h" if alpha.ndim == 2 else "abh,b...h->a...h"
        return torch.einsum(mixture, alpha, torch.stack(list(outputs))).unbind()

    def learnt(self) -> dict[str, Tensor]:
        """Return α by layer, or its mean over channels: row a has the shares that task a reads."""
        matrices = {f"alpha.{i}": alpha.detach() for i, alpha in enumerate(self.alpha, 1)}
        return {n: alpha if alpha.ndim == 2 else alpha.mean(2) for n, alpha in matrices.items()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, for rows and columns."""
        tasks = list(self.trunks)
        return {f"alpha.{i}": (tasks, tasks) for i in range(1, len(self.alpha) + 1)}
