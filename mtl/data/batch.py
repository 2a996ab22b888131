"""What a training step is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mtl.text.example import Example


@dataclass(frozen=True)
class Batch:
    """Sentences of one corpus as tensors, padded on the right.

    Args:
        features: What the embeddings read, by feature name. A feature of word types (characters,
            affixes) holds one row a distinct word, and `types [B, T]` says which row a token has.
        mask: `[B, T]` bool, True on real tokens. Of B pairs there are 2 B rows: all first
            sentences, then all second ones.
        targets: Task to its target tensor; its heads run. Label ids are int64, `[B, T]` for tokens
            or `[B]` for sentences; `mtl.targets.labelled` lists the other forms and says how
            missing values look.
        examples: The sentences, for metrics and messages; empty where nobody needs them.
        continues: The rows go on where the previous batch ended (language-model streams).
        lr_factor: The factor of the learning rate for a step on this batch, for chunks of streams
            whose length is random.
        weights: Task to the weight of each sentence in the loss, `[B]`, where not all are 1.
    """

    features: Mapping[str, Tensor]
    mask: Tensor
    targets: Mapping[str, Tensor]
    examples: Sequence[Example] = ()
    continues: bool = False
    lr_factor: float = 1.0
    weights: Mapping[str, Tensor] = field(default_factory=dict)

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
            targets=move(self.targets),
            weights=move(self.weights),
        )
