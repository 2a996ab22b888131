"""The whole model: embedding, sharing, heads. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.embeddings import SubwordVectors
from mtl.heads.base import Head
from mtl.heads.lm import LanguageModel
from mtl.layers.scalar_mix import ScalarMix
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.targets import labelled

Layer = int | Literal["mix"]
"""Which layer a head reads: 0 the embedding, 1 the first layer, -1 the last, or a learned mix."""


@dataclass(frozen=True)
class ModelOutput:
    """What one forward pass gives.

    Args:
        losses: Task to the negative log-likelihood of each sentence in nats, `[B]`; zero for
            sentences without labels for the task.
        penalties: Further terms of the loss by name, each a scalar.
        state: What the trunks carry to the next piece of the text.
    """

    losses: Mapping[str, Tensor]
    penalties: Mapping[str, Tensor] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True)
class HeadInputs:
    """What the sharing made of a batch.

    Args:
        hidden: Task to what its head reads, `[B, T, H]`.
        penalties: Further terms of the loss by name, each a scalar.
        state: What the trunks carry to the next piece of the text.
    """

    hidden: Mapping[str, Tensor]
    penalties: Mapping[str, Tensor]
    state: Any


class MultiTaskModel(nn.Module):
    """One embedding, shared trunks, and a head a task.

    Args:
        embedding: Maps features and mask to `[B, T, D]`, or to `SubwordVectors`, which are merged
            into words again before heads read them.
        sharing: Encodes token vectors for the tasks.
        heads: Head name to head; a head may serve several tasks.
        head_of: Task to the name of its head.
        layers: Task to the layer that its head reads.
        columns: Task to the part of the layer that its head reads, where that is not all of it:
            one of two stacks.
    """

    def __init__(
        self,
        embedding: nn.Module,
        sharing: Sharing,
        heads: Mapping[str, Head],
        *,
        head_of: Mapping[str, str],
        layers: Mapping[str, Layer],
        columns: Mapping[str, slice] | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.sharing = sharing
        self.heads = nn.ModuleDict(heads)
        self.head_of = dict(head_of)
        self.layers = dict(layers)
        self.columns = dict(columns or {})
        depth = len(sharing.sizes) - 1
        self.mixes = nn.ModuleDict(
            {task: ScalarMix(depth) for task, layer in layers.items() if layer == "mix"}
        )
        self.label_vectors = nn.ModuleDict(
            {
                task: nn.Linear(len(self.head(task).labels), dim, bias=False)
                for task, dim in sharing.label_dims.items()
                if self.head(task).level == "token"
                and self.head(task).labels
                and not isinstance(self.head(task), LanguageModel)
            }
        )

    def head(self, task: str) -> Head:
        """Return the head of a task."""
        head = self.heads[self.head_of[task]]
        assert isinstance(head, Head)
        return head

    def encode(self, batch: Batch, tasks: Iterable[str], state: Any = None) -> HeadInputs:
        """Return what the heads of the tasks read."""
        x = self.embedding(batch.features, batch.mask)
        if not isinstance(x, SubwordVectors):
            return self.encode_vectors(x, batch.mask, tasks, state)
        encoding = self.encode_vectors(x.vectors, x.mask, tasks, state)
        words = {task: x.words(hidden) for task, hidden in encoding.hidden.items()}
        return replace(encoding, hidden=words)

    def encode_vectors(
        self, x: Tensor, mask: Tensor, tasks: Iterable[str], state: Any = None
    ) -> HeadInputs:
        """Return what `encode` does, given token vectors `[B, T, D]` and the mask `[B, T]`."""
        more = [self._expected_label] if self.sharing.label_dims else []
        encoded: dict[str, TrunkOutput] = self.sharing(x, mask, list(tasks), state, *more)
        penalties: dict[str, Tensor] = {}
        for own in encoded.values():
            penalties |= own.penalties
        return HeadInputs(
            {task: self._read(task, own.layers) for task, own in encoded.items()},
            penalties,
            next(iter(encoded.values())).state,
        )

    def _read(self, task: str, layers: Sequence[Tensor]) -> Tensor:
        layer = self.layers[task]
        hidden: Tensor = self.mixes[task](layers[1:]) if layer == "mix" else layers[layer]
        return hidden[..., self.columns[task]] if task in self.columns else hidden

    def _expected_label(self, task: str, layers: Sequence[Tensor], mask: Tensor) -> Tensor | None:
        """Return Σ_k p(k) e_k of each token, `[B, T, E]`; see `LabelVectors`."""
        if task not in self.label_vectors:
            return None
        log_probs = self.head(task).log_probs(self._read(task, layers), mask)
        probabilities = log_probs.exp() * mask.unsqueeze(-1)
        vectors: Tensor = self.label_vectors[task](probabilities)
        return vectors

    def forward(self, batch: Batch, state: Any = None) -> ModelOutput:
        """Return the losses of the tasks that `batch.targets` names."""
        encoding = self.encode(batch, batch.targets, state)
        losses = {
            task: self._loss(task, encoding.hidden[task], batch.mask, target)
            for task, target in batch.targets.items()
        }
        return ModelOutput(losses, encoding.penalties, encoding.state)

    def _loss(self, task: str, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        head = self.head(task)
        known = labelled(target)
        known = known if known.ndim == 1 else known.any(1)
        if known.all():
            return head.loss(hidden, mask, target)
        losses = hidden.new_zeros(len(known))
        if known.any():
            rows = known.repeat(len(mask) // len(known))  # of pairs both
            losses[known] = head.loss(hidden[rows], mask[rows], target[known])
        return losses

    @torch.no_grad()
    def predict(self, batch: Batch, tasks: Iterable[str]) -> dict[str, list[Any]]:
        """Return label names: a tuple of T strings a sentence (taggers), or what `named` gives."""
        lengths = batch.mask.sum(1).tolist()
        predicted: dict[str, list[Any]] = {}
        for task, states in self.encode(batch, tasks).hidden.items():
            head = self.head(task)
            ids = head.decode(states, batch.mask)
            predicted[task] = (
                list(head.named(ids))
                if head.level == "sentence"
                else [
                    tuple(head.labels[i] for i in row[:length])
                    for row, length in zip(ids.tolist(), lengths, strict=True)
                ]
            )
        return predicted
