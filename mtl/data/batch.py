"""What a training step is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mtl.text.example import Example

MISSING = -1
"""Target id of a row that has no label for the task; sets and numbers are NaN there."""


def labelled(target: Tensor) -> Tensor:
    """Return which tokens `[B, T]` or sentences `[B]` have a target."""
    if target.is_floating_point():  # sets of labels [B, K], or numbers [B]
        return ~target.reshape(len(target), -1)[:, 0].isnan()
    return target != MISSING


@dataclass(frozen=True)
class Batch:
    """Sentences of one corpus as tensors, padded on the right.

    Args:
        features: What the embeddings read, by feature name. A feature of word types (characters,
            affixes) holds one row a distinct word, and `types [B, T]` says which row a token has.
        mask: `[B, T]` bool, True on real tokens. Of B pairs there are 2 B rows: all first
            sentences, then all second ones.
        targets: Task to label ids: `[B, T]` for taggers, `[B]` for classifiers; `MISSING`
            on padding and on every token of a sentence that has no labels for the task. Sets are
            `[B, K]`, 1.0 for the labels in them, numbers `[B]`, both float; NaN where missing.
            The tasks named here decide which heads run.
        examples: The sentences, for metrics and messages; empty where nobody needs them.
        continues: The rows go on where the previous batch ended (language-model streams).
        lr_factor: The learning rate of a step is multiplied by this: pieces of streams of random
            length.
    """

    features: Mapping[str, Tensor]
    mask: Tensor
    targets: Mapping[str, Tensor]
    examples: Sequence[Example] = ()
    continues: bool = False
    lr_factor: float = 1.0

    @property
    def tokens(self) -> int:
        """The number of real tokens."""
        return int(self.mask.sum())

    def to(self, device: torch.device | str, **options: Any) -> Batch:
        """Return the batch with its tensors on `device`."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, **options) for name, tensor in tensors.items()}

        mask = self.mask.to(device, **options)
        return replace(self, features=move(self.features), mask=mask, targets=move(self.targets))
