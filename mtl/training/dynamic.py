"""Dynamic evaluation: a language model learns from text after scoring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.model import MultiTaskModel

_LEAST = 1e-5
"""ε in the update, so that weights with tiny gradients hardly move."""
_TINY = 1e-30
"""The smallest mean of √v, for text without any gradient."""


@dataclass(frozen=True)
class Dynamic:
    """Options of dynamic evaluation (Krause et al. 2017).

    After each chunk of text, θ ← θ − η·g / (√v + ε) + min(1, λ·r)·(θ₀ − θ). Here g is the gradient
    of the mean loss per word, v the mean of g² over the chunks so far (in the paper, over the
    training text), r = √v / mean(√v) with the mean over all weights, and θ₀ the trained weights.
    Weights with large gradients thus return faster. With `plain`, θ ← θ − η·g + λ·(θ₀ − θ).

    Args:
        lr: The learning rate η.
        decay: The decay λ towards the trained weights per chunk, in [0, 1).
        plain: Whether to use plain SGD, which needs a larger learning rate.
    """

    lr: float = 0.002
    decay: float = 0.0
    plain: bool = False

    @contextmanager
    def adapting(self, model: MultiTaskModel) -> Iterator[Callable[[Tensor], None]]:
        """Yield a function that takes one step on a loss; restore the trained weights on exit.

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
            if self.plain:
                for p, start, g in zip(weights, trained, gradients, strict=True):
                    if g is not None:
                        p.sub_(self.lr * g).lerp_(start, self.decay)
                return
            roots = []
            for v, g in zip(squares, gradients, strict=True):
                if g is not None:
                    v.lerp_(g.square(), 1 / steps)
                roots.append(v.sqrt())
            mean = torch.cat([root.flatten() for root in roots]).mean().clamp(min=_TINY)
            for p, start, root, g in zip(weights, trained, roots, gradients, strict=True):
                if g is not None:
                    p.sub_(self.lr * g / (root + _LEAST))
                    p.lerp_(start, (self.decay * root / mean).clamp_(max=1))

        try:
            # Recurrent cuDNN kernels have no backward pass in evaluation mode.
            with torch.backends.cudnn.flags(enabled=False):
                yield step
        finally:
            with torch.no_grad():
                for p, start in zip(weights, trained, strict=True):
                    p.copy_(start)
