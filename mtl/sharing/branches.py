"""One trunk that divides into branches. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, cast

from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.options import RunContext
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.sharing.groups import number_groups
from mtl.trunks.base import State, Trunk

BranchStates = dict[str, State]
"""Branch to the states of its layers."""


class Branches(Sharing):
    """A trunk that divides into branches of tasks towards its last layer (Lu et al. 2017).

    Each layer exists once per group of tasks, and the groups of a layer are parts of the groups of
    the layer below. So related tasks share more layers than others. In the paper, the groups are
    found while a thin network grows; here, they are an option. `mtl relate --branches` finds them
    with the search of the paper.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        by_layer: The groups of tasks of each layer, from the first layer up, such as
            [[[pos, chunk, ner]], [[pos], [chunk, ner]]]. The last list is also for the layers above
            it. null: all tasks share all layers but the last, which each task has of its own.
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        by_layer: list[list[list[str]]] | None = None,
    ) -> None:
        super().__init__()
        trunk = make_trunk()
        self.sizes = list(trunk.sizes)
        layers = _all_layers(tasks, by_layer, trunk.num_layers)
        self.branch_of = [{t: group[0] for group in layer for t in group} for layer in layers]
        """For each layer, task to the first task of its group, which names the branch."""
        self.trunks = nn.ModuleDict(
            {group[0]: make_trunk() if n else trunk for n, group in enumerate(layers[-1])}
        )
        for name in self.trunks:
            lower = [i for i, of in enumerate(self.branch_of) if name not in of.values()]
            _remove_layers(self.branch(name), lower)

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for groups that are not branches of all tasks."""
        yield from super().check(options, context)
        try:
            _check_groups(list(context.tasks), options["by_layer"])
        except OptionError as error:
            yield error

    def branch(self, name: str) -> Trunk:
        """Return the trunk of a branch; the layers that it shares belong to another branch."""
        return cast("Trunk", self.trunks[name])

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: BranchStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Run each layer once per group of the tasks; see `Sharing.forward`."""
        hidden = {task: [x] for task in tasks}
        after = {name: list(own) for name, own in state.items()} if state else None
        for i, branch_of in enumerate(self.branch_of, 1):
            outputs: dict[str, Tensor] = {}
            for task in tasks:
                name = branch_of[task]
                if name not in outputs:
                    before = state[name][i - 1] if state else None
                    outputs[name], new = self.branch(name).step(i, hidden[task], mask, before)
                    if after is not None:
                        after[name][i - 1] = new
                hidden[task].append(outputs[name])
        return {task: TrunkOutput(layers, after) for task, layers in hidden.items()}

    def initial_state(self, batch_size: int) -> BranchStates:
        """Return the state of every branch before the first token."""
        return {name: self.branch(name).initial_state(batch_size) for name in self.trunks}

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the layers that several tasks read."""
        found: list[nn.Parameter] = []
        for i, branch_of in enumerate(self.branch_of):
            names = list(branch_of.values())
            for name in dict.fromkeys(names):
                if names.count(name) > 1:
                    found += self.branch(name).layer_parameters()[i]
        return found


class _Elsewhere(nn.Module):
    """The place of a layer that another branch has."""

    def initial(self, batch_size: int) -> None:
        """Return None: the layer carries no state."""

    initial_state = initial


def _remove_layers(trunk: Trunk, layers: Sequence[int]) -> None:
    """Remove the weights of some layers of a trunk, counted from 0.

    Raises:
        OptionError: The trunk does not separate its layers.
    """
    by_layer = trunk.layer_parameters()
    if len(by_layer) != trunk.num_layers:
        raise OptionError(
            "", f"{type(trunk).__name__} does not separate its layers; choose another trunk"
        )
    unused = {parameter for i in layers for parameter in by_layer[i]}
    for name, module in list(trunk.named_modules()):
        own = set(module.parameters())
        if name and own and own <= unused:
            trunk.set_submodule(name, _Elsewhere())
            unused -= own


def _all_layers(
    tasks: Sequence[str], groups: list[list[list[str]]] | None, number: int
) -> list[list[list[str]]]:
    """Return the groups of every layer, in the order of the tasks.

    Raises:
        OptionError: The groups are not branches of all tasks, or of more layers than there are.
    """
    if groups is None:
        return [[list(tasks)]] * (number - 1) + [[[task] for task in tasks]]
    _check_groups(tasks, groups)
    if len(groups) > number:
        raise OptionError(
            "by_layer",
            f"expected at most {number} lists, one per layer of the trunk, got {len(groups)}",
        )
    place = {task: n for n, task in enumerate(tasks)}
    ordered = [
        sorted((sorted(group, key=place.__getitem__) for group in layer), key=lambda g: place[g[0]])
        for layer in groups
    ]
    return ordered + ordered[-1:] * (number - len(ordered))


def _check_groups(tasks: Sequence[str], groups: list[list[list[str]]] | None) -> None:
    """Raise OptionError if groups are not branches of all tasks."""
    if groups is None:
        return
    if not groups:
        raise OptionError("by_layer", "expected at least one list of groups, got none")
    if any(not group for layer in groups for group in layer):
        raise OptionError("by_layer", "expected at least one task per group, got an empty group")
    found = [number_groups(tasks, layer, "by_layer") for layer in groups]
    for height, (below, above) in enumerate(pairwise(found), 1):
        for one, other in combinations(tasks, 2):
            if above[one] == above[other] and below[one] != below[other]:
                raise OptionError(
                    "by_layer",
                    f"{one!r} and {other!r} are in one group of layer {height + 1}, but in two "
                    f"groups of layer {height}; branches cannot join",
                )
