"""Towers: one trunk per task, side by side. Letters: M tasks, B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.trunks.base import State, Trunk

TowerStates = dict[str, State]
"""Task to the state of its trunk."""


class Columns(Sharing):
    """One trunk per task (a tower), all of the same shape, stepped together layer by layer.

    A layer of all towers is a Python loop: most time is spent in matrix products, which a CPU
    computes hardly faster when they are batched.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
    """

    def __init__(self, tasks: Sequence[str], make_trunk: Callable[[], Trunk]) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict({task: make_trunk() for task in tasks})
        self.sizes = list(self.column(tasks[0]).sizes)

    def column(self, task: str) -> Trunk:
        """Return the trunk of a task."""
        return cast("Trunk", self.trunks[task])

    def between(self, i: int, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Mix the outputs of layer i (from 1): one `[B, T, H]` tensor per tower in and out."""
        return outputs

    def run(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None
    ) -> dict[str, TrunkOutput]:
        """Encode for some tasks with their towers alone; see `Sharing.forward`."""
        hidden = {task: [x] for task in tasks}
        after: TowerStates = {task: [] for task in tasks}
        for i in range(1, self.column(tasks[0]).num_layers + 1):
            steps = [
                self.column(task).step(i, hidden[task], mask, state[task][i - 1] if state else None)
                for task in tasks
            ]
            outputs = self.between(i, [output for output, _ in steps])
            for task, output, (_, new) in zip(tasks, outputs, steps, strict=True):
                hidden[task].append(output)
                after[task].append(new)
        carried = {**state, **after} if state else None
        return {task: TrunkOutput(layers, carried) for task, layers in hidden.items()}

    def initial_state(self, batch_size: int) -> TowerStates:
        """Return the state of every trunk before the first token."""
        return {task: self.column(task).initial_state(batch_size) for task in self.trunks}


class Mixed(Columns):
    """Towers that read each other, so that all of them run for every task.

    Args:
        tasks: The names of all tasks, at least two.
        make_trunk: A function without arguments that returns a new `Trunk`.
        lr_factor: Factor of the learning rate for the weights of the mixtures.
    """

    min_tasks = 2

    def __init__(
        self, tasks: Sequence[str], make_trunk: Callable[[], Trunk], *, lr_factor: float
    ) -> None:
        if len(tasks) < self.min_tasks:
            raise OptionError("", f"expected at least two tasks, got {list(tasks)}")
        super().__init__(tasks, make_trunk)
        self.lr_factor = lr_factor

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode for some tasks with all towers; see `Sharing.forward`."""
        outputs = self.run(x, mask, list(self.trunks), state)
        return {task: outputs[task] for task in tasks}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return all parameters: every task trains every trunk through the mixtures."""
        return list(self.parameters())

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """Return the factor of all parameters outside the trunks."""
        of_trunks = set(self.trunks.parameters())
        return {p: self.lr_factor for p in self.parameters() if p not in of_trunks}


def shares(count: int, own: float) -> Tensor:
    """Return a matrix `[count, count]` with `own` on its diagonal, whose rows sum to 1."""
    matrix = torch.full((count, count), (1 - own) / (count - 1))
    return matrix.fill_diagonal_(own)
