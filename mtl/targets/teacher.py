"""Outputs of a teacher for the sentences of a batch, and the loss of a head that learns from them.

Letters: B sentences, T tokens, H width of the hidden states, K labels, N paths.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor


class Imitator(Protocol):
    """A head, which can learn from probabilities and from labels."""

    def imitation(
        self, hidden: Tensor, mask: Tensor, teacher: Tensor, temperature: float
    ) -> Tensor:
        """Return the loss for log-probabilities of a teacher; see `Head.imitation`."""

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss for label ids; see `Head.loss`."""


class TeacherOutput(ABC):
    """The outputs of the teachers of a task for B sentences; some sentences may lack one."""

    @property
    @abstractmethod
    def known(self) -> Tensor:
        """Whether there is an output for each sentence, `[B]` bool."""

    @property
    @abstractmethod
    def of_tokens(self) -> bool:
        """Whether the output is one per token, and not one per sentence."""

    @abstractmethod
    def rows(self, chosen: Tensor | slice) -> Self:
        """Return the outputs of the chosen sentences, a slice or `[B]` bool."""

    @abstractmethod
    def to(self, device: torch.device | str, **options: Any) -> Self:
        """Return the outputs with their tensors on a device."""

    @abstractmethod
    def loss(self, head: Imitator, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`; each must have an output.

        Args:
            head: The head of the task.
            hidden: `[B, T, H]`, or `[2 B, T, H]` for pairs.
            mask: `[B, T]` or `[2 B, T]` bool, True on real tokens, which come first.
        """

    def counts(self, mask: Tensor) -> Tensor:
        """Return the number of outputs per sentence, `[B]`: of its tokens, or 1."""
        known = self.known
        return known * mask[: len(known)].sum(1) if self.of_tokens else known.long()


@dataclass(frozen=True)
class SoftTargets(TeacherOutput):
    """The probabilities of all labels (Hinton et al. 2015).

    Args:
        log_probs: `[B, K]` or `[B, T, K]`, 0 on padding, NaN for sentences without an output.
        temperature: The temperature of the loss.
    """

    log_probs: Tensor
    temperature: float

    @property
    def known(self) -> Tensor:
        """Whether there is an output for each sentence, `[B]` bool."""
        return ~self.log_probs.flatten(1)[:, 0].isnan()

    @property
    def of_tokens(self) -> bool:
        """Whether each token has a distribution."""
        return self.log_probs.ndim == 3

    def rows(self, chosen: Tensor | slice) -> Self:
        """Return the outputs of the chosen sentences."""
        return replace(self, log_probs=self.log_probs[chosen])

    def to(self, device: torch.device | str, **options: Any) -> Self:
        """Return the outputs on a device."""
        return replace(self, log_probs=self.log_probs.to(device, **options))

    def loss(self, head: Imitator, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the divergence from the teacher; see `Head.imitation`."""
        return head.imitation(hidden, mask, self.log_probs, self.temperature)


@dataclass(frozen=True)
class WeightedLabels(TeacherOutput):
    """One label, or the N best label sequences, each with its probability (Wang et al. 2020).

    Args:
        labels: Label ids, int64 `[B, N]` or `[B, N, T]`, anything on padding.
        weights: `[B, N]`; they sum to one, or to zero for sentences without an output.
    """

    labels: Tensor
    weights: Tensor

    @property
    def known(self) -> Tensor:
        """Whether there is an output for each sentence, `[B]` bool."""
        return self.weights.sum(1) > 0

    @property
    def of_tokens(self) -> bool:
        """Whether each token has a label."""
        return self.labels.ndim == 3

    def rows(self, chosen: Tensor | slice) -> Self:
        """Return the outputs of the chosen sentences."""
        return replace(self, labels=self.labels[chosen], weights=self.weights[chosen])

    def to(self, device: torch.device | str, **options: Any) -> Self:
        """Return the outputs on a device."""
        labels, weights = (x.to(device, **options) for x in (self.labels, self.weights))
        return replace(self, labels=labels, weights=weights)

    def loss(self, head: Imitator, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return Σ_n weight_n · loss for label sequence n."""
        number = self.weights.shape[1]
        losses = head.loss(
            hidden.repeat_interleave(number, 0),
            mask.repeat_interleave(number, 0),
            self.labels.flatten(0, 1),
        )
        return (losses.view(-1, number) * self.weights).sum(1)
