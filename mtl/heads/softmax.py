"""Tagger that labels every token by itself. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

import torch
from torch import Tensor

from mtl.heads.tagger import Tagger, TaggerOptions
from mtl.layers.inputs import check_labels
from mtl.options import NonNegativeFloat
from mtl.targets.base import Target, labelled
from mtl.targets.objectives import Objective


class SoftmaxTagger(Tagger):
    """p(y_t | x) = softmax(W h_t + b): each label on its own, given the sentence (–).

    The fastest tagger; best where neighbouring labels hardly restrict each other, as in POS. It is
    also the head for other values per token: given an objective in place of label names, the loss
    of a sentence is the sum of the objective over its labelled tokens.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, or an objective.
        focal: γ of the focal loss: the loss of a token whose label has the probability p is
            multiplied by (1 - p)^γ in training, so that easy tokens count less (Lin et al. 2017);
            0 for none.
    """

    takes_objective: ClassVar[bool] = True

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str] | Objective,
        *,
        focal: NonNegativeFloat = 0.0,
        **options: Unpack[TaggerOptions],
    ) -> None:
        super().__init__(in_features, labels, focal=focal, **options)

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether there is a value per token, other than the words of the text."""
        return target.level == "token" and not target.open_vocabulary

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            target: Label ids, int64 `[B, T]`, −1 where a label is missing; possible labels, bool
                `[B, T, K]`; or the target of the objective, float `[B, T, …]`, NaN where it is
                missing.
        """
        scores = self.scores(hidden, mask)
        if self.objective is not None:
            known = labelled(target) & mask
            losses = scores.new_zeros(mask.shape)
            # An objective of one score per row takes numbers without a last dimension.
            rows = target[known].squeeze(-1) if self.objective.size == 1 else target[known]
            losses[known] = self.objective.loss(scores[known], rows)
            return losses.sum(1)
        if target.dtype == torch.bool:
            return self._partial_loss(scores, mask, target)
        known = mask & labelled(target)
        check_labels("target", target, len(self.labels), known)
        gold = target.masked_fill(~known, -1)
        return self.row_losses(scores.flatten(0, 1), gold.flatten()).view_as(gold).sum(1)

    def _partial_loss(self, scores: Tensor, mask: Tensor, possible: Tensor) -> Tensor:
        """Return −Σ_t log Σ p(k), summed over the possible labels k of each token, `[B]`."""
        # On padding no label is possible: all of them keep the gradient finite.
        possible = possible | ~mask.unsqueeze(2)
        log_probs = scores.log_softmax(2).masked_fill(~possible, -torch.inf)
        return -(log_probs.logsumexp(2) * mask).sum(1)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B, T]`, 0 on padding.

        With an objective, its predictions `[B, T, …]`, anything on padding.
        """
        scores = self.scores(hidden, mask)
        if self.objective is None:
            return scores.argmax(2).masked_fill(~mask, 0)
        decoded = self.objective.decode(scores.flatten(0, 1))
        return decoded.reshape(*mask.shape, *decoded.shape[1:])

    def log_marginals(self, scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
        """Return the log-probability of every label, `[B, T, K]`, zero on padding."""
        scores = scores / temperature
        if self.objective is None:
            log_probs = scores.log_softmax(2)
        else:
            log_probs = self.objective.log_probs(scores.flatten(0, 1))
            log_probs = log_probs.reshape(*mask.shape, -1)
        return log_probs.masked_fill(~mask.unsqueeze(2), 0)

    def log_prob_of(
        self,
        scores: Tensor,
        mask: Tensor,
        labels: Tensor,
        chosen: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return the summed log-probabilities of the chosen labels, `[B]`."""
        log_probs = (scores / temperature).log_softmax(2)
        own = log_probs.gather(2, labels.unsqueeze(2)).squeeze(2)  # [B, T]
        return own.masked_fill(~(chosen & mask), 0).sum(1)
