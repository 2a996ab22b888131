"""Dynamic evaluation: a language model that goes on learning from the text that it has scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.model import MultiTaskModel

_LEAST = 1e-5
"""What is added to the root of a mean square, so that a weight that hardly moved stays."""


@dataclass(frozen=True)
class Dynamic:
    """How a model learns from each piece of a text after it was scored (Krause et al. 2017).

    θ ← θ − η·g / (√v + ε) + λ·(θ₀ − θ), with g the gradient of the mean loss of a word, v the mean
    of its squares over the pieces so far (the paper takes it over the training text) and θ₀ the
    trained weights. Plain: θ ← θ − η·g + λ·(θ₀ − θ).

    Args:
        lr: The learning rate η.
        decay: The share λ of the way back to the trained weights that is gone each piece, [0, 1).
        plain: Whether gradients are not scaled, which asks for another, larger η.
    """

    lr: float = 0.0005
    decay: float = 0.01
    plain: bool = False

    @contextmanager
    def adapting(self, model: MultiTaskModel) -> Iterator[Callable[[Tensor], None]]:
        """Give what makes a step down a loss; at the end the trained weights are back.

        Args:
            model: The model whose weights change.
        """
        weights = [p for p in model.parameters() if p.requires_grad]
        trained = [p.detach().clone() for p in weights]
        squares = [torch.zeros_like(p) for p in weights]
        steps = 0

        @torch.no_grad()
        def step(loss: Tensor) -> None:
            nonlocal steps
            steps += 1
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            for p, start, v, g in zip(weights, trained, squares, gradients, strict=True):
                if g is not None:
                    v.lerp_(g.square(), 1 / steps)
                    p.sub_(self.lr * (g if self.plain else g / (v.sqrt() + _LEAST)))
                    p.lerp_(start, self.decay)

        try:
            # The kernels of cuDNN for recurrent layers have no backward pass in evaluation.
            with torch.backends.cudnn.flags(enabled=False):
                yield step
        finally:
            with torch.no_grad():
                for p, start in zip(weights, trained, strict=True):
                    p.copy_(start)
