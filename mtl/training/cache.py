"""The neural cache of language models (Grave et al. 2017).

Letters: B streams, T tokens of a chunk, S remembered tokens, H width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.targets import MISSING


@dataclass(frozen=True)
class Cache:
    """Options of the neural cache: words that followed similar states become more probable.

    p(w) = (1 − λ)·p_model(w) + λ·p_cache(w), p_cache(w) ∝ Σ_i [w_i+1 = w] exp(θ h_t·h_i) over the
    last tokens i of the text. The first token of a stream has p_model alone.

    Args:
        window: The number of tokens that are remembered, at least 1.
        theta: The sharpness θ: with 0 all tokens count equally; higher favours similar states.
        weight: The weight λ of the cache, in (0, 1).
    """

    window: int = 2000
    theta: float = 0.3
    weight: float = 0.1


class Memory:
    """The states and words of each stream so far.

    Args:
        cache: The options of the cache.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._states: Tensor | None = None
        self._words: Tensor | None = None

    def mix(self, hidden: Tensor, mask: Tensor, target: Tensor, log_probs: Tensor) -> Tensor:
        """Return the log-probability of each target, `[B, T]`; remember the chunk.

        Args:
            hidden: The input of the head, `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens.
            target: `[B, T]`, the word after each token.
            log_probs: `[B, T]`, the log-probability of each target under the model.

        Returns:
            `[B, T]`, zero on padding.
        """
        cache = self.cache
        following = target.masked_fill(~mask, MISSING)
        states, words = hidden, following
        if self._states is not None and self._words is not None:
            states = torch.cat([self._states, hidden], dim=1)
            words = torch.cat([self._words, following], dim=1)
        positions = torch.arange(states.shape[1], device=mask.device)
        back = positions[-mask.shape[1] :].unsqueeze(1) - positions  # [T, S]
        seen = ((back > 0) & (back <= cache.window)) & (words != MISSING).unsqueeze(1)  # [B, T, S]
        scores = (cache.theta * hidden @ states.mT).masked_fill(~seen, -torch.inf)
        same = words.unsqueeze(1) == target.unsqueeze(2)
        cached = scores.masked_fill(~same, -torch.inf).logsumexp(2) - scores.logsumexp(2)
        mixed = torch.logaddexp(
            log_probs + math.log1p(-cache.weight), cached + math.log(cache.weight)
        )
        self._states, self._words = states[:, -cache.window :], words[:, -cache.window :]
        return torch.where(seen.any(2), mixed, log_probs).masked_fill(~mask, 0)
