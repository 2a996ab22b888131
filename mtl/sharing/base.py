"""The contract of sharing: how the tasks share trunks. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn

LabelVectors = Callable[[str, Sequence[Tensor], Tensor], Tensor | None]
"""Gives the expected vector of each token's label, given a task, its layers and the mask."""


@dataclass(frozen=True)
class TrunkOutput:
    """What a trunk made of a batch, for one task.

    Args:
        layers: Outputs by layer, each `[B, T, H_i]`; layers[0] are the token vectors.
        state: What all trunks together carry to the next piece of the text, so it is the same for
            every task of a batch.
        penalties: Further terms of the loss by name, each a scalar. What several tasks give under
            one name is one term; a term of one task alone has the task in its name.
    """

    layers: list[Tensor]
    state: Any = None
    penalties: Mapping[str, Tensor] = field(default_factory=dict)


class Sharing(nn.Module, ABC):
    """Runs the trunk or trunks for the tasks of a batch.

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
    """

    min_tasks: ClassVar[int] = 1
    """With fewer tasks there is nothing to share so."""
    has_trunks: ClassVar[bool] = True
    """Whether its trunks have weights of their own, which may start from others and be frozen."""
    sizes: list[int]
    """Widths of `TrunkOutput.layers`; see `sizes_of`."""
    label_dims: Mapping[str, int] = MappingProxyType({})
    """Tasks whose predicted labels it reads, and the width of the vectors that it wants of them.

    If there are some, the model calls `forward` with one more argument, `LabelVectors`: it gives
    Σ_k p(k) e_k by the head's probabilities, `[B, T, E]`, zero on padding; None for a task whose
    labels belong to sentences or are words."""

    @abstractmethod
    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: Any = None
    ) -> dict[str, TrunkOutput]:
        """Encode token vectors for some tasks.

        Args:
            x: `[B, T, D]` token vectors, zero on padding.
            mask: `[B, T]` bool, True on real tokens.
            tasks: The tasks whose heads will read.
            state: What `TrunkOutput.state` was for the piece of text before, or None
                when nothing is carried.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """Return the state before the first token, for texts that come in pieces."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that several tasks train."""

    def sizes_of(self, task: str) -> list[int]:
        """Return the widths of the layers that a task is given: by default, `sizes`."""
        return self.sizes

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """Return how many times the learning rate of the run some parameters learn at."""
        return {}

    def begin_epoch(self, epoch: int) -> None:
        """Take notice that an epoch (from 0) begins; what it keeps must follow from the weights."""

    def learnt(self) -> dict[str, Tensor]:
        """Return what a person may read of what was learnt, by name: scalars, vectors, matrices."""
        return {}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the rows and columns of what `learnt` gives, where they have some."""
        return {}
