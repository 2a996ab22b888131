"""A model whose word vectors are multiplied by gates; see `mtl.inference.attribution`."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mtl.embeddings import EmbeddingOutput
from mtl.inference.predictor import Predictor
from mtl.text.example import Example


class GatedModel:
    """A copy in float64 of a model, alone or in an ensemble.

    Args:
        predictor: The predictor of the model.
        device: The device of the copy.
    """

    def __init__(self, predictor: Predictor, device: torch.device) -> None:
        self._batcher, self._device = predictor.batcher, device
        model = copy.deepcopy(predictor.model).to(device, torch.float64)
        self.model = model.eval().requires_grad_(False)

    def encode(
        self, examples: Sequence[Example], task: str, gates: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the hidden states of a task, `[B, T, H]`, and their mask, for gates `[B, T]`."""
        batch = self._batcher.batch(examples).to(self._device)
        embedded = self.model.embed(batch.features, batch.mask)
        gated = _gated(embedded, gates, self.model.embedding.head_size)
        # cuDNN computes gradients of recurrent layers in training mode only.
        with torch.backends.cudnn.flags(enabled=False):
            hidden = self.model.encode_vectors(gated, [task]).hidden[task]
        return hidden, batch.mask


def _gated(embedded: EmbeddingOutput, gates: Tensor, beside: int) -> EmbeddingOutput:
    """Return the output of an embedding with the vectors of words multiplied by gates.

    Args:
        embedded: The output.
        gates: `[B, T]`, one per word.
        beside: The number of features that `to_words` appends to the hidden states.
    """
    by_position = gates
    if embedded.words is not None:  # special tokens have no gate
        by_position = functional.pad(gates, (1, 0), value=1.0).gather(1, embedded.words)

    def to_words(hidden: Tensor) -> Tensor:
        states = embedded.to_words(hidden)
        if not beside:
            return states
        own, further = states[..., :-beside], states[..., -beside:]
        return torch.cat([own, further * gates.unsqueeze(2)], dim=2)

    vectors = embedded.vectors * by_position.unsqueeze(2)
    return embedded._replace(vectors=vectors, to_words=to_words, gates=gates)
