"""A trunk a task, whose weights are factored over the tasks. Letter: M tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mtl.layers.factored import FactoredStack, Factors
from mtl.options import Bounds
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.sharing.columns import TowerStates
from mtl.trunks.base import Trunk


class TensorFactorisation(Sharing):
    """A trunk a task, whose stacked weights are a product of factors (Yang & Hospedales 2017).

    W_m = Σ_k s_mk B_k for every tensor W of a trunk: tasks mix the same bases B, each tensor in a
    way of its own, so that what is shared, and how much, is learnt layer by layer.

    It takes as much time as a trunk a task, and the products that make the weights. It starts as
    the decomposition of trunks that are made at random.

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
        factors: What the bases are. "last_axis": anything. "tucker": a core, with a matrix for each
            axis. "tensor_train": a chain of tensors, one an axis.
        rank: Share of the full rank that is kept along each axis, rounded up: 0.5 of four tasks are
            two bases, 1.0 leaves the tasks as free as trunks of their own.
    """

    min_tasks = 2
    has_trunks = False

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        factors: Factors = "tucker",
        rank: Annotated[float, Bounds(gt=0, le=1)] = 0.5,
    ) -> None:
        super().__init__()
        self.tasks = list(tasks)
        trunks = [make_trunk() for _ in tasks]
        alike = zip(*(trunk.named_parameters() for trunk in trunks), strict=True)
        stacks = {
            own[0][0]: torch.stack([parameter.detach() for _, parameter in own]) for own in alike
        }
        self.names = list(stacks)
        self.stacks = nn.ModuleList(
            FactoredStack(stack, factors, rank) for stack in stacks.values()
        )
        self.template = _Template(trunks[0])
        self.sizes = trunks[0].sizes

    def _weights(self, tasks: Sequence[str]) -> dict[str, dict[str, Tensor]]:
        """Return the weights of some tasks, by the names that they have in a trunk."""
        rows = [self.tasks.index(task) for task in tasks]
        weights: dict[str, dict[str, Tensor]] = {task: {} for task in tasks}
        for name, stack in zip(self.names, self.stacks, strict=True):
            factored = cast("FactoredStack", stack)
            found = torch.tensordot(factored.mix[rows], factored.bases(), 1)
            for task, own in zip(tasks, found, strict=True):
                weights[task][f"trunk.{name}"] = own
        return weights

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Make the weights of the tasks asked for and run with them; see `Sharing.forward`."""
        after = dict(state) if state else None
        layers = {}
        for task, weights in self._weights(tasks).items():
            given = "forward", x, mask, state[task] if state else None
            layers[task], own = functional_call(self.template, weights, given)
            if after is not None:
                after[task] = own
        return {task: TrunkOutput(own, after) for task, own in layers.items()}

    def initial_state(self, batch_size: int) -> TowerStates:
        """Return the states of all tasks before the first token."""
        return {
            task: functional_call(self.template, weights, ("initial_state", batch_size))
            for task, weights in self._weights(self.tasks).items()
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return all parameters: tasks have bases in common, and each a row of what mixes them."""
        return list(self.parameters())

    @torch.no_grad()
    def learnt(self) -> dict[str, Tensor]:
        """Return how alike the weights of tasks are: the cosines between them."""
        weights = self._weights(self.tasks).values()
        flat = torch.stack([torch.cat([w.flatten() for w in own.values()]) for own in weights])
        unit = nn.functional.normalize(flat)
        return {"cosine": unit @ unit.T}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which are rows and columns."""
        return {"cosine": (self.tasks, self.tasks)}


class _Template(nn.Module):
    """A trunk without weights of its own, which it is given at each call.

    Args:
        trunk: A trunk, whose parameters become places for others.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        for module in trunk.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach(), persistent=False)

    def forward(self, method: str, *given: Any) -> Any:
        """Call a method of the trunk."""
        return getattr(self.trunk, method)(*given)
