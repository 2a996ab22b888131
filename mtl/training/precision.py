"""Mixed precision: the types of trunks in training, and the scale of float16 losses."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which embedding and trunks are computed in the type of `precision`.

    The weights stay float32.
    """
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _TYPES[precision])


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16, without which it is slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        # oneDNN, which computes the matrix products, knows the processor.
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type != "cpu"


class LossScale:
    """Dynamic loss scaling for float16 (Micikevicius et al. 2018).

    The gradients of the losses are multiplied by a power of two, so that small ones do not vanish
    in float16, and the gradients of the weights are divided by it. After gradients that are not
    finite, the step is skipped and the scale halved. After `GROWTH` good steps it doubles.
    """

    GROWTH = 2000
    LEAST = 2.0**-14
    """With a smaller scale, gradients are not finite for another reason than the type."""

    def __init__(self) -> None:
        self.scale = 2.0**16
        self.good = 0
        """The number of good steps since the last change of the scale."""

    def apply(self, terms: Iterable[Tensor]) -> None:
        """Scale the gradients that will flow into terms of the loss, scalars."""
        for term in terms:
            if term.requires_grad:
                term.register_hook(self._scaled)  # type: ignore[no-untyped-call]

    def _scaled(self, gradient: Tensor) -> Tensor:
        return gradient * self.scale

    def remove(self, gradients: Iterable[Tensor]) -> None:
        """Divide the gradients of the weights by the scale, in place."""
        torch._foreach_mul_([*gradients], 1 / self.scale)

    def update(self, finite: bool) -> None:
        """Adapt the scale after a step.

        Args:
            finite: Whether the gradients of the step were finite.
        """
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.scale /= 2
        elif self.good == self.GROWTH:
            self.scale, self.good = 2 * self.scale, 0

    @property
    def exhausted(self) -> bool:
        """Whether gradients were not finite with any scale."""
        return self.scale < self.LEAST
