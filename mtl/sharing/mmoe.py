"""Trunks that each task mixes with its own weights, token by token. Letters: E experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from mtl.options import Bounds
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.trunks.base import State, Trunk


class MixtureOfExperts(Sharing):
    """Each task reads its own mixture of several trunks, the experts: MMoE (Ma et al. 2018).

    h_t = Σ_e g_te · h_e, g_t = softmax(W_t x), for every token; the same gates at all layers

    For tasks with an unknown degree of relatedness: a task may rely on experts that other tasks do
    not use. It takes the time of E trunks.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        experts: E, the number of trunks.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        experts: Annotated[int, Bounds(ge=2)] = 3,
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(make_trunk() for _ in range(experts))
        self.sizes = cast("Trunk", self.experts[0]).sizes
        self.gates = nn.ModuleDict(
            {task: nn.Linear(self.sizes[0], experts, bias=False) for task in tasks}
        )

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: list[State] | None = None
    ) -> dict[str, TrunkOutput]:
        """Run all experts and mix them for every task; see `Sharing.forward`."""
        runs = [
            expert(x, mask, state[i] if state else None) for i, expert in enumerate(self.experts)
        ]
        after = [own for _, own in runs] if state else None
        # By layer, [B, T, H, E].
        stacked = [
            torch.stack(outputs, dim=-1)
            for outputs in zip(*(hidden[1:] for hidden, _ in runs), strict=True)
        ]
        encoded = {}
        for task in tasks:
            gates = self.gates[task](x).softmax(-1).unsqueeze(-1)  # [B, T, E, 1]
            encoded[task] = TrunkOutput([x, *((h @ gates).squeeze(-1) for h in stacked)], after)
        return encoded

    def initial_state(self, batch_size: int) -> list[State]:
        """Return the states of all experts before the first token."""
        return [cast("Trunk", expert).initial_state(batch_size) for expert in self.experts]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the experts."""
        return list(self.experts.parameters())
