"""Moments of batch normalisation for averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.data.batch import Batch
from mtl.layers.batch_norm import MaskedBatchNorm


class Moments:
    """The running moments of batch normalisation that belong to averaged weights.

    The moments of training belong to the raw weights. The average gets its moments from a pass over
    the training data (Izmailov et al. 2018), with dropout off as in evaluation.

    Args:
        model: The model.
        batches: Returns the batches of a pass.
    """

    def __init__(self, model: nn.Module, batches: Callable[[], Iterable[Batch]]) -> None:
        self._model = model
        self._batches = batches
        norms = (m for m in model.modules() if isinstance(m, (MaskedBatchNorm, _BatchNorm)))
        # Layers without running moments use the moments of the batch.
        self._norms = [norm for norm in norms if norm.running_mean is not None]
        self._fitted: list[Tensor] = []

    def forget(self) -> None:
        """Compute the moments again for the next evaluation, as the weights have changed."""
        self._fitted = []

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use the moments in the model within the context, whose weights are the averaged ones."""
        raw = [buffer.clone() for buffer in self._buffers()]
        try:
            if self._norms and not self._fitted:
                self._fit()
                self._fitted = [buffer.clone() for buffer in self._buffers()]
            self._set(self._fitted)
            yield
        finally:
            self._set(raw)

    @torch.no_grad()
    def _fit(self) -> None:
        training = {module: module.training for module in self._model.modules()}
        momenta = [norm.momentum for norm in self._norms]
        device = next(self._model.parameters()).device
        self._model.eval()
        for norm in self._norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        try:
            for batch in self._batches():
                self._model(batch.to(device))
        finally:
            for norm, momentum in zip(self._norms, momenta, strict=True):
                norm.momentum = momentum
            for module, mode in training.items():
                module.training = mode

    def _buffers(self) -> list[Tensor]:
        return [buffer for norm in self._norms for buffer in norm.buffers()]

    def _set(self, values: Iterable[Tensor]) -> None:
        for buffer, value in zip(self._buffers(), values, strict=True):
            buffer.copy_(value)
