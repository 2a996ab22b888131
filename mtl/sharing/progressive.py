"""A trained trunk, and a second one beside it that reads it. Letters: H width, A adapter width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from torch import Tensor, nn

from mtl.errors import OptionError, did_you_mean
from mtl.options import NonNegativeInt, RunContext
from mtl.sharing.base import Sharing, TrunkOutput, refuse_one_sided
from mtl.trunks.base import State, Trunk

States = tuple[State, State]
"""The states of the old and of the new column."""


class Progressive(Sharing):
    """A frozen column for old tasks, and a new column that reads its layers (Rusu et al. 2016).

    z_l = h_l + U_l relu(V_l h'_l), for layer l with output h_l in the new column and h'_l in the
    old one; layer l + 1 of the new column and the heads of the new tasks read z_l

    With `adapter_size: 0`, z_l = h_l: the columns are two separate trunks, such as the source and
    target encoders of ADDA (Tzeng et al. 2017); see the head `domain`, `goal: inverted`.

    The old column and the embedding have the weights of the run of `trunk.init` and are frozen, so
    that only their heads change old tasks; with `weight: 0` for the old tasks, nothing does. Words
    that the other run does not know get the vector of unknown words. Prediction takes the time of
    two trunks. Unlike in the paper, the columns share one embedding, the new column starts from
    the weights of the old one, and the adapters start from zero.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        old: The old tasks, which read the old column.
        adapter_size: Width A of the adapters; 0 for no adapters.
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        old: list[str],
        adapter_size: NonNegativeInt = 32,
    ) -> None:
        super().__init__()
        if unknown := sorted({*old} - {*tasks}):
            raise OptionError(
                "old", f"unknown task {unknown[0]!r}{did_you_mean(unknown[0], tasks)}"
            )
        if not old or not {*tasks} - {*old}:
            raise OptionError("old", "expected at least one old task, and a task that is not old")
        self.old = frozenset(old)
        self.new = [task for task in tasks if task not in self.old]
        self.trunk = make_trunk()
        self.column = make_trunk()
        self.sizes = self.trunk.sizes
        self.adapters = nn.ModuleList(
            nn.Sequential(nn.Linear(size, adapter_size), nn.ReLU(), nn.Linear(adapter_size, size))
            for size in (self.sizes[1:] if adapter_size else [])
        )
        for adapter in self.adapters:
            assert isinstance(adapter, nn.Sequential)
            for parameter in adapter[-1].parameters():
                nn.init.zeros_(parameter)

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], make_trunk: Callable[[], Trunk], context: RunContext
    ) -> Self:
        """Return the sharing that a run file describes, with a frozen old column."""
        made = super().from_options(options, make_trunk, context)
        refuse_one_sided(made.trunk, context)
        made.freezes_embedding = context.starts
        made.trunk.requires_grad_(not context.starts)
        return made

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for a run without trained weights for the old column."""
        yield from super().check(options, context)
        if not context.starts:
            yield OptionError(
                "", "the old column is the trunk of another run; set trunk.init to its folder"
            )

    @classmethod
    def fits(cls, options: Mapping[str, Any], tasks: Sequence[str]) -> bool:
        """Return whether both columns keep a task."""
        return 0 < len({*options["old"]} & {*tasks}) < len(tasks)

    def attach(
        self, embedding: Sequence[nn.Parameter], of_tasks: Mapping[str, Sequence[nn.Parameter]]
    ) -> None:
        """Freeze the embedding with the old column, which reads it."""
        for parameter in embedding if self.freezes_embedding else ():
            parameter.requires_grad_(False)

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: States | None = None
    ) -> dict[str, TrunkOutput]:
        """Run the old column, and the new one if a new task reads it; see `Sharing.forward`."""
        old_state, new_state = state or (None, None)
        layers, old_after = self.trunk(x, mask, old_state)
        new_layers, new_after = layers, new_state
        if not self.old.issuperset(tasks):
            new_layers, new_after = self._new(x, mask, layers, new_state)
        carried = (old_after, new_after) if state else None
        return {
            task: TrunkOutput(layers if task in self.old else new_layers, carried) for task in tasks
        }

    def _new(
        self, x: Tensor, mask: Tensor, old: Sequence[Tensor], state: State | None
    ) -> tuple[list[Tensor], State | None]:
        """Return the layers z of the new column and its state."""
        hidden, after = [x], []
        for i in range(1, len(self.sizes)):
            output, new = self.column.step(i, hidden, mask, state[i - 1] if state else None)
            if self.adapters:
                # New tasks do not train the old column, also if it is not frozen.
                output = output + self.adapters[i - 1](old[i].detach()) * mask.unsqueeze(2)
            hidden.append(output)
            after.append(new)
        return hidden, after if state else None

    def initial_state(self, batch_size: int) -> States:
        """Return the states of both columns before the first token."""
        return self.trunk.initial_state(batch_size), self.column.initial_state(batch_size)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of each column that several tasks read."""
        old = [*self.trunk.parameters()] if len(self.old) > 1 else []
        new = [*self.column.parameters(), *self.adapters.parameters()] if len(self.new) > 1 else []
        return [*old, *new]
