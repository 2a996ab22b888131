"""The input of a training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mtl.targets.teacher import TeacherOutput
    from mtl.text.example import Example


@dataclass(frozen=True)
class Batch:
    """Sentences of one corpus, or of several, as tensors, padded on the right.

    Args:
        features: The inputs of the embeddings, by feature name. A feature of word types
            (characters, affixes) has one row per distinct word, and `types [B, T]` contains the row
            of each token.
        mask: `[B, T]` bool, True on real tokens. B pairs make 2 B rows: all first sentences, then
            all second ones.
        targets: Task to its target tensor; only the heads of these tasks run. Label ids are int64,
            `[B, T]` for tokens or `[B]` for sentences. `mtl.targets.labelled` lists the other
            forms, and how missing values look.
        examples: The sentences, for metrics and messages; empty where nothing needs them.
        continues: Whether each row continues the same row of the previous batch (language-model
            streams).
        lead: The first tokens of each row, up to where the row of the next batch begins, if that is
            before the end of this one (chunks of streams that overlap).
        lr_factor: Factor on the learning rate for a step on this batch. It differs from 1 for
            chunks of streams with a random length.
        weights: Task to the weight of each sentence in the loss, `[B]`, where not all are 1.
        teacher: Task to the outputs of its teachers, in distillation.
        states: The hidden states of the teachers, `[B, T, D]`, zero on padding, if the model
            imitates them.
        mixed: Whether the sentences are from several corpora.
        tokens_of: Task to the number of real tokens of its corpus, if the batch is mixed.
    """

    # Features are stored per word type because most tokens repeat a word: the embedding then runs
    # once per distinct word instead of once per token.
    features: Mapping[str, Tensor]
    mask: Tensor
    targets: Mapping[str, Tensor]
    examples: Sequence[Example] = ()
    continues: bool = False
    lead: Batch | None = None
    lr_factor: float = 1.0
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    teacher: Mapping[str, TeacherOutput] = field(default_factory=dict)
    states: Tensor | None = None
    mixed: bool = False
    tokens_of: Mapping[str, int] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """The tasks that learn from the batch."""
        return list(dict.fromkeys([*self.targets, *self.teacher]))

    @property
    def tokens(self) -> int:
        """The number of real tokens."""
        return int(self.mask.sum())

    def to(self, device: torch.device | str, **options: Any) -> Batch:
        """Return the batch with its tensors on `device`."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, **options) for name, tensor in tensors.items()}

        return replace(
            self,
            features=move(self.features),
            mask=self.mask.to(device, **options),
            lead=self.lead and self.lead.to(device, **options),
            targets=move(self.targets),
            weights=move(self.weights),
            teacher={task: own.to(device, **options) for task, own in self.teacher.items()},
            states=None if self.states is None else self.states.to(device, **options),
        )
