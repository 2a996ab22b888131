"""One trunk per task, with weights factored over the tasks. Letter: M tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mtl.layers.binary_scale import binary_scale
from mtl.layers.factored import FactoredStack, Factors
from mtl.options import Bounds, NonNegativeFloat, Requires, refuse_idle
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.sharing.columns import TowerStates
from mtl.trunks.base import Trunk


class TensorFactorisation(Sharing):
    """One trunk per task, whose stacked weights are products of factors (Yang & Hospedales 2017).

    W_m = Σ_k s_mk B_k for every tensor W of a trunk: tasks mix the same bases B, with weights of
    their own for each tensor. So the model learns layer by layer which parts are shared.

    It takes the time of one trunk per task, plus the products that compute the weights. The factors
    start as a decomposition of random trunks.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        factors: The form of the bases. "last_axis": unrestricted. "tucker": a core with one matrix
            per axis. "tensor_train": a chain with one tensor per axis.
        rank: Share of the full rank along each axis, rounded up: for four tasks, 0.5 means two
            bases, and 1.0 leaves the tasks as free as separate trunks.
        sparsity: μ of the penalty μ Σ |s_mk| + `bases` Σ ‖B_k‖², with which a task uses few of the
            bases: GO-MTL (Kumar & Daumé 2012; with "last_axis"). Tasks with common bases form
            groups, which may overlap. The penalty is a sum over all weights, so it is small. 0:
            none.
        bases: Weight of the squared norm of the bases. Without it, bases grow while s shrinks.
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
        sparsity: NonNegativeFloat = 0.0,
        bases: Annotated[NonNegativeFloat, Requires("sparsity")] = 1e-4,
    ) -> None:
        super().__init__()
        refuse_idle(TensorFactorisation, {"sparsity": sparsity, "bases": bases})
        self.sparsity, self.bases = sparsity, bases
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
        """Return the weights of some tasks, by their names in a trunk."""
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
        """Compute the weights of the tasks and run with them; see `Sharing.forward`."""
        after = dict(state) if state else None
        layers = {}
        penalties = {}
        # Weights are float32, also where the trunks are computed in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            of_tasks = self._weights(tasks)
            if self.training and self.sparsity:
                penalties["codes"] = self._codes_penalty()
        for task, weights in of_tasks.items():
            given = "forward", x, mask, state[task] if state else None
            layers[task], own = functional_call(self.template, weights, given)
            if after is not None:
                after[task] = own
        return {task: TrunkOutput(own, after, penalties) for task, own in layers.items()}

    def _codes_penalty(self) -> Tensor:
        """Return μ Σ |s| + `bases` Σ ‖B‖², over the tensors of a trunk."""
        terms = [
            self.sparsity * stack.mix.abs().sum() + self.bases * stack.bases().square().sum()
            for stack in cast("list[FactoredStack]", self.stacks)
        ]
        return torch.stack(terms).sum()

    def initial_state(self, batch_size: int) -> TowerStates:
        """Return the states of all tasks before the first token."""
        return {
            task: functional_call(self.template, weights, ("initial_state", batch_size))
            for task, weights in self._weights(self.tasks).items()
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return all parameters: all tasks train the bases and the weights that mix them."""
        return list(self.parameters())

    @torch.no_grad()
    def learnt(self) -> dict[str, Tensor]:
        """Return the cosine similarities between the weights of tasks."""
        weights = self._weights(self.tasks).values()
        flat = torch.stack([torch.cat([w.flatten() for w in own.values()]) for own in weights])
        unit = nn.functional.normalize(flat / binary_scale(flat, dim=1))
        return {"cosine": unit @ unit.T}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, for rows and columns."""
        return {"cosine": (self.tasks, self.tasks)}


class _Template(nn.Module):
    """A trunk without its own weights; every call receives weights.

    Args:
        trunk: A trunk; its parameters become buffers that each call replaces.
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
