"""What all taggers have in common. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from mtl.heads.base import Head
from mtl.layers.dropout import VariationalDropout
from mtl.options import PositiveInt, Probability

Scheme = Literal["bio", "iob1", "iobes"]


class Tagger(Head):
    """One label a token: dropout, an optional hidden layer, and a score for every label.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        dropout: Probability of dropping a unit of the hidden states, the same for all tokens of
            a sentence.
        hidden_size: Width of a hidden layer with tanh before the scores; null for none.
        scheme: Scheme that span labels are learnt in; null for that of the corpus. IOBES often
            gains a little over BIO.
    """

    level = "token"

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        dropout: Probability = 0.4,
        hidden_size: PositiveInt | None = None,
        scheme: Scheme | None = None,
    ) -> None:
        super().__init__(in_features, labels)
        self.scheme = scheme
        self.dropout = VariationalDropout(dropout)
        self.hidden = (
            nn.Sequential(nn.Linear(in_features, hidden_size), nn.Tanh())
            if hidden_size
            else nn.Identity()
        )
        self.output = nn.Linear(hidden_size or in_features, len(self.labels))

    def scores(self, hidden: Tensor) -> Tensor:
        """Return the score of every label, `[B, T, K]`, given hidden states `[B, T, H]`."""
        scores: Tensor = self.output(self.hidden(self.dropout(hidden)))
        return scores

    @abstractmethod
    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, T, K]`, zero on padding."""
