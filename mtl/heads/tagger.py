"""What all taggers have in common. Letters: B sentences, T tokens, H width, K labels, N spans."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mtl.errors import did_you_mean
from mtl.heads.base import Head
from mtl.layers.dropout import VariationalDropout
from mtl.layers.token_attention import (
    TokenAttention,
    TokenAttentionLayer,
    token_attention,
    token_weights,
)
from mtl.options import PositiveFloat, PositiveInt, Probability
from mtl.text.spans import Scheme, Span, read_spans


class FoundSpan(NamedTuple):
    """A span, and the probability that each of its tokens has the label it was given."""

    span: Span
    confidence: float


class Tagger(Head):
    """One label a token: dropout, optional layers, and a score for every label.

    Smoothing and class weights are for training: in evaluation the loss is the likelihood alone.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        dropout: Probability of dropping a unit of the hidden states, the same for all tokens of
            a sentence.
        hidden_size: Width of a hidden layer with tanh before the scores; null for none.
        scheme: Scheme that span labels are learnt in; null for that of the corpus. IOBES often
            gains a little over BIO.
        attention: What each token sees beside its own state: the other tokens of the sentence,
            weighted by a score of both states, by key_value those just before it, or by
            multi_head in four ways at once; null for nothing.
        window: How many tokens key_value looks back.
        label_smoothing: ε: the labels to learn are the right ones with probability 1 − ε, and
            any with ε.
        class_weights: Label to what its tokens count for in training, by default 1. In a CRF,
            whose loss is not one of tokens, a sentence counts for the mean of its tokens.
    """

    level = "token"
    class_weights: Tensor | None

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        dropout: Probability = 0.4,
        hidden_size: PositiveInt | None = None,
        scheme: Scheme | None = None,
        attention: TokenAttention | None = None,
        window: PositiveInt = 5,
        label_smoothing: Probability = 0.0,
        class_weights: Mapping[str, PositiveFloat] | None = None,
    ) -> None:
        super().__init__(in_features, labels)
        self.scheme = scheme
        self.dropout = VariationalDropout(dropout)
        self.attention: TokenAttentionLayer | None = None
        if attention:
            layer = token_attention(attention, in_features, window)
            self.attention, in_features = layer, in_features + layer.out_features
        self.hidden = (
            nn.Sequential(nn.Linear(in_features, hidden_size), nn.Tanh())
            if hidden_size
            else nn.Identity()
        )
        self.output = nn.Linear(hidden_size or in_features, len(self.labels))
        self.label_smoothing = label_smoothing
        weights = _in_order(class_weights, self.labels) if class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)

    def scores(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the score of every label, `[B, T, K]`.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        x = self.dropout(hidden)
        if self.attention is not None:
            contexts, _ = self.attention(x, mask)
            x = torch.cat([x, contexts], dim=2)
        scores: Tensor = self.output(self.hidden(x))
        return scores

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Return how much each token looks at each other one, `[B, N, T, T]`; None: not at all."""
        return token_weights(self.attention, hidden, mask) if self.attention else None

    def steps(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return what labels score beside their tokens: transitions `[K, K]`, start and end `[K]`.

        `decode` gives the sequence whose scores and steps sum to most; None: steps count nothing.
        """
        return None

    @property
    def smoothing(self) -> float:
        """The label smoothing at work: none in evaluation."""
        return self.label_smoothing if self.training else 0.0

    def weights(self, target: Tensor) -> Tensor | None:
        """Return what each token counts for, `[B, T]`; None in evaluation, or if all are equal.

        Args:
            target: Label ids, `[B, T]`; anything on padding.
        """
        if self.class_weights is None or not self.training:
            return None
        return self.class_weights[target.clamp(min=0)]

    @abstractmethod
    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, T, K]`, zero on padding."""

    @abstractmethod
    def log_prob_of(self, scores: Tensor, mask: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """Return the log-probability that the chosen tokens have these labels, `[B]`.

        Args:
            scores: What `scores` gave, `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            labels: Label ids, `[B, T]`.
            chosen: `[B, T]` bool: whose labels matter; the others may have any.
        """

    @torch.no_grad()
    def spans(self, hidden: Tensor, mask: Tensor) -> list[list[FoundSpan]]:
        """Return the spans of each sentence as `decode` tags them, with their confidences.

        The confidence is the joint probability of the labels of a span, all else left open
        (Culotta and McCallum 2004): for tokens labelled on their own, the product of theirs.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.

        Raises:
            MtlError: The labels are no span tags.
        """
        paths = self.decode(hidden, mask)
        lengths = mask.sum(1).tolist()
        found = [
            read_spans(self.labels[label] for label in path[:length])
            for path, length in zip(paths.tolist(), lengths, strict=True)
        ]
        certain = self.confidences(hidden, mask, paths, found)
        both = zip(found, certain, strict=True)
        return [list(map(FoundSpan, spans, own)) for spans, own in both]

    @torch.no_grad()
    def confidences(
        self, hidden: Tensor, mask: Tensor, labels: Tensor, spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Return how probable it is that the tokens of each span have these labels.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            labels: Label ids, `[B, T]`.
            spans: Those of each sentence.
        """
        rows = torch.tensor(
            [[row, s.start, s.end] for row, own in enumerate(spans) for s in own],
            dtype=torch.long,
            device=mask.device,
        ).reshape(-1, 3)  # [N, 3]
        row, start, end = rows.unbind(1)
        positions = torch.arange(mask.shape[1], device=mask.device)
        inside = (positions >= start.unsqueeze(1)) & (positions < end.unsqueeze(1))  # [N, T]
        scores = self.scores(hidden, mask)[row]
        certain = iter(self.log_prob_of(scores, mask[row], labels[row], inside).exp().tolist())
        return [[next(certain) for _ in own] for own in spans]


def _in_order(weights: Mapping[str, float], labels: Sequence[str]) -> Tensor:
    """Return the weight of each label, `[K]`."""
    for label in weights:
        if label not in labels:
            near = did_you_mean(label, labels)
            raise ValueError(f"class_weights: there is no label {label!r}{near}")
    return torch.tensor([weights.get(label, 1.0) for label in labels])
