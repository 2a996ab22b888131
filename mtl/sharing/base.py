"""The contract of sharing: how the tasks share trunks. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.options import Checked, RunContext, constructor_options
from mtl.trunks.base import Trunk

LabelVectors = Callable[[str, Sequence[Tensor], Tensor], Tensor | None]
"""A function from a task, its layers and the mask to the expected label vector of each token."""


@dataclass(frozen=True)
class TrunkOutput:
    """The output of the trunks for a batch and one task.

    Args:
        layers: Outputs by layer, each `[B, T, H_i]`; layers[0] are the token vectors.
        state: The state that all trunks together carry to the next chunk of the text. It is the
            same for all tasks of a batch.
        penalties: Further terms of the loss by name, each a scalar. Equal names of several tasks
            are one term; the name of a term of a single task contains the task.
    """

    layers: list[Tensor]
    state: Any = None
    penalties: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Restricted:
    """The options of a sharing for some of its tasks.

    Args:
        options: The options.
        note: The difference to the sharing of all tasks, for the user; empty if there is none.
    """

    options: Mapping[str, Any]
    note: str = ""


class Sharing(Checked, nn.Module, ABC):
    """Runs the trunk or trunks for the tasks of a batch.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
    """

    min_tasks: ClassVar[int] = 1
    """The smallest number of tasks."""
    has_trunks: ClassVar[bool] = True
    """Whether its trunks own their weights, so that these can be loaded and frozen."""
    without_trunk: ClassVar[bool] = False
    """Whether it works without any layers, when all heads read the embedding."""
    needs_shared_head: ClassVar[bool] = False
    """Whether it differs from hard sharing only for tasks that share a head."""
    freezes_embedding: bool = False
    """Whether the embedding stays as the run of `trunk.init` has it, new words being unknown."""
    sizes: list[int]
    """Widths of `TrunkOutput.layers`; see `sizes_of`."""
    label_dims: Mapping[str, int] = MappingProxyType({})
    """Tasks whose predicted labels the sharing reads, and the width E of their label vectors.

    If it is not empty, the model calls `forward` with one more argument, `LabelVectors`: a function
    that returns Σ_k p(k) e_k for the probabilities of the head, `[B, T, E]`, zero on padding. It
    returns None for a task whose labels belong to sentences or are words."""

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], make_trunk: Callable[[], Trunk], context: RunContext
    ) -> Self:
        """Return the sharing that a run file describes.

        Args:
            options: All options.
            make_trunk: A function without arguments that returns a new `Trunk`.
            context: The run.

        Raises:
            OptionError: An option does not fit the tasks or the trunk.
        """
        own = constructor_options(cls, options)
        return cls(list(context.tasks), make_trunk, **own)

    @classmethod
    def fits(cls, options: Mapping[str, Any], tasks: Sequence[str]) -> bool:
        """Return whether some tasks of a run can have this sharing without the others.

        Args:
            options: All options.
            tasks: The tasks that remain, at least `min_tasks`.
        """
        return True

    @classmethod
    def restricted_to(
        cls, options: Mapping[str, Any], tasks: Sequence[str], context: RunContext
    ) -> Restricted:
        """Return the options for fewer tasks.

        By default, the other tasks are removed from every option that is a list of tasks or a list
        of lists of tasks, and lists that become empty are removed from those around them.

        Args:
            options: All options.
            tasks: The tasks that remain, at least `min_tasks`.
            context: The run with all its tasks.
        """
        return Restricted(
            {
                name: among(value, tasks) if _are_tasks(value, context.tasks) else value
                for name, value in options.items()
            }
        )

    @abstractmethod
    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: Any = None
    ) -> dict[str, TrunkOutput]:
        """Encode token vectors for some tasks.

        Args:
            x: `[B, T, D]` token vectors, zero on padding.
            mask: `[B, T]` bool, True on real tokens.
            tasks: The tasks whose heads will read.
            state: `TrunkOutput.state` of the preceding chunk of text, or None if no state is
                carried.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """Return the state before the first token, for texts in chunks."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that several tasks train."""

    def sizes_of(self, task: str) -> list[int]:
        """Return the widths of the layers that a task reads: by default, `sizes`."""
        return self.sizes

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """Return factors of the learning rate for parameters that have one; others have 1."""
        return {}

    def begin_epoch(self, epoch: int) -> None:
        """Prepare an epoch (from 0). Any state it stores must follow from the weights.

        The weights change during the epoch, so `epoch_state` contains this state.
        """

    def begin_corpus(self) -> None:
        """Prepare for the next corpus of an epoch that trains one corpus after the other.

        Like `begin_epoch`; it is not called for the first corpus of an epoch.
        """

    def attach(
        self, embedding: Sequence[nn.Parameter], of_tasks: Mapping[str, Sequence[nn.Parameter]]
    ) -> None:
        """Receive the parameters of the rest of the model, once it is built.

        Args:
            embedding: The parameters of the embedding.
            of_tasks: Task to the parameters of its head and of its label vectors.
        """

    def epoch_state(self) -> dict[str, Tensor]:
        """Return the state that `begin_epoch` has stored, for resuming within the epoch."""
        return {}

    def restore_epoch(self, state: Mapping[str, Tensor]) -> None:
        """Restore the result of `epoch_state`, in place of `begin_epoch`."""

    def learnt(self) -> dict[str, Tensor]:
        """Return learned quantities for the report, by name: scalars, vectors or matrices."""
        return {}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of rows and columns of learned quantities, if they have any."""
        return {}


def refuse_one_sided(trunk: Trunk, context: RunContext) -> None:
    """Raise OptionError if a language model would read the direction that it must not read.

    For sharings that compute factors of the units of both directions from both directions.

    Args:
        trunk: A trunk of the sharing.
        context: The run.
    """
    for task, word in context.texts.items():
        if word != "same" and trunk.stacks > 1:
            raise OptionError(
                "",
                f"task {task!r} reads one of two independent directions, and the gates or masks of "
                "this sharing read both; set bidirectional of the trunk to false, or choose "
                "another sharing",
            )


def among(names: Sequence[Any], tasks: Sequence[str]) -> list[Any]:
    """Return a list of tasks, or of lists of tasks, without the other tasks and empty lists."""
    left = [among(name, tasks) if isinstance(name, list) else name for name in names]
    return [name for name in left if name and (isinstance(name, list) or name in tasks)]


def _are_tasks(value: Any, tasks: Sequence[str]) -> bool:
    """Return whether an option is a list of tasks, or of lists of tasks."""
    return isinstance(value, list) and all(
        name in tasks if isinstance(name, str) else _are_tasks(name, tasks) for name in value
    )
