"""Shared experts beside experts of each task. Letters: M tasks, E and S experts, L layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.options import PositiveInt, RunContext
from mtl.sharing.base import Sharing, TrunkOutput, refuse_one_sided
from mtl.trunks.base import State, Trunk

ExpertStates = tuple[list[State], dict[str, list[State]]]
"""The states of the shared experts, and task to the states of its experts."""


class ProgressiveExtraction(Sharing):
    """Shared experts beside experts of each task: PLE and CGC (Tang et al. 2020).

    h_t,l = Σ_e g_te · h_te,l + Σ_s g_ts · h_s,l,  g_t = softmax(W_t,l h_t,l-1), for every token

    A task mixes its own experts with the shared ones, and never reads the experts of another task,
    so that unrelated tasks disturb each other less than in `mmoe`. With `progressive`, every layer
    of the trunks is a level: the experts of a task read the mixture of the task, and the shared
    experts a mixture of all experts, with gates of their own. The gates of level 1 read the token
    vectors. It takes the time of M·E + S trunks, and in the last layer of E + S trunks per task.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        experts: E, the number of trunks of each task.
        shared_experts: S, the number of trunks that all tasks read.
        progressive: Whether the mixtures of a layer are the input of the next (PLE). false: experts
            are separate trunks, and a task mixes them with the same gates at all layers (CGC). A
            batch then runs only the experts of its tasks and the shared ones.
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        experts: PositiveInt = 1,
        shared_experts: PositiveInt = 1,
        progressive: bool = True,
    ) -> None:
        super().__init__()
        self.shared = nn.ModuleList(make_trunk() for _ in range(shared_experts))
        self.own = nn.ModuleDict(
            {task: nn.ModuleList(make_trunk() for _ in range(experts)) for task in tasks}
        )
        self.sizes = cast("Trunk", self.shared[0]).sizes
        levels = len(self.sizes) - 1
        if levels == 1 and not progressive:
            raise OptionError("progressive", "a trunk of one layer has one level; leave it out")
        self.progressive = progressive
        read = self.sizes[: levels if progressive else 1]
        own, every = experts + shared_experts, experts * len(tasks) + shared_experts
        self.gates = nn.ModuleList(
            nn.ModuleDict({task: nn.Linear(size, own, bias=False) for task in tasks})
            for size in read
        )
        self.shared_gates = nn.ModuleList(nn.Linear(size, every, bias=False) for size in read[:-1])

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], make_trunk: Callable[[], Trunk], context: RunContext
    ) -> Self:
        """Return the sharing that a run file describes; see `Sharing.from_options`."""
        made = super().from_options(options, make_trunk, context)
        if made.shared_gates:
            refuse_one_sided(cast("Trunk", made.shared[0]), context)
        return made

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: ExpertStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Run the experts layer by layer and mix them; see `Sharing.forward`."""
        experts: dict[str | None, Sequence[nn.Module]] = {None: list(self.shared)}
        experts |= {task: list(cast("nn.ModuleList", own)) for task, own in self.own.items()}
        before: dict[str | None, list[State]] = {None: state[0]} if state else {}
        before.update(state[1] if state else {})
        after: dict[str | None, list[State]] = {
            name: [list(own) for own in states] for name, states in before.items()
        }
        # The inputs of each expert by layer; with `progressive`, experts of a task read the same.
        read = {name: [[x] for _ in trunks] for name, trunks in experts.items()}
        layers = {task: [x] for task in tasks}
        for i in range(1, len(self.sizes)):
            level, whole = (i - 1, i < len(self.sizes) - 1) if self.progressive else (0, False)
            outputs: dict[str | None, list[Tensor]] = {}
            for name in (None, *(self.own if whole else tasks)):
                outputs[name] = []
                for e, expert in enumerate(experts[name]):
                    carried = before[name][e][i - 1] if state else None
                    output, new = cast("Trunk", expert).step(i, read[name][e], mask, carried)
                    outputs[name].append(output)
                    if state:
                        after[name][e][i - 1] = new
            mixed: dict[str | None, Tensor] = {
                task: self._mixed(
                    self.gates[level][task],  # type: ignore[index]
                    read[task][0][-1] if self.progressive else x,
                    [*own, *outputs[None]],
                )
                for task, own in outputs.items()
                if task is not None
            }
            for task in tasks:
                layers[task].append(mixed[task])
            if whole:
                every = [output for own in outputs.values() for output in own]
                mixed[None] = self._mixed(self.shared_gates[level], read[None][0][-1], every)
            for name, own in outputs.items():
                for e, output in enumerate(own):
                    read[name][e].append(mixed.get(name, output) if self.progressive else output)
        carried = (after.pop(None), after) if state else None
        return {task: TrunkOutput(own, carried) for task, own in layers.items()}

    def _mixed(self, gate: nn.Module, x: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Return the mixture of `[B, T, H]` tensors by gates that read `x`."""
        gates = gate(x).softmax(-1).unsqueeze(-1)  # [B, T, E, 1]
        mixture: Tensor = (torch.stack(list(outputs), dim=-1) @ gates).squeeze(-1)
        return mixture

    def initial_state(self, batch_size: int) -> ExpertStates:
        """Return the states of all experts before the first token."""

        def of(experts: nn.Module) -> list[State]:
            trunks = cast("nn.ModuleList", experts)
            return [cast("Trunk", expert).initial_state(batch_size) for expert in trunks]

        return of(self.shared), {task: of(own) for task, own in self.own.items()}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of shared experts, and of all that these read.

        With `progressive`, they read the experts of all tasks below the last layer, and through
        these the gates below the last but one.
        """
        found = [*self.shared.parameters(), *self.shared_gates.parameters()]
        if self.progressive:
            trunks = [
                cast("Trunk", expert)
                for own in self.own.values()
                for expert in cast("nn.ModuleList", own)
            ]
            found += (p for own in trunks for layer in own.layer_parameters()[:-1] for p in layer)
            found += (p for gates in self.gates[:-2] for p in gates.parameters())
        return found
