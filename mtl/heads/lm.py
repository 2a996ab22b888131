"""Language model head. Letters: B sentences, T tokens, H width, V words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.heads.base import Head
from mtl.layers.activation_penalties import activation_penalty, temporal_activation_penalty
from mtl.layers.adaptive import AdaptiveSoftmax, TiedAdaptiveSoftmax
from mtl.layers.dropout import VariationalDropout
from mtl.layers.inputs import check_width
from mtl.layers.next_word import FullSoftmax, MixtureOfSoftmaxes, NextWord, TiedSoftmax
from mtl.options import (
    Bounds,
    NonNegativeFloat,
    PositiveInt,
    Probability,
    Requires,
    refuse_idle,
)
from mtl.targets.base import Target, labelled

OutputLayer = Literal["tied", "full", "adaptive", "tied_adaptive", "mos"]


class LanguageModel(Head):
    """Language model: a tagger that predicts the neighbouring word of each token.

    The label source decides which word it predicts, the next or the previous one (`labels: {text:
    next}`). On a trunk with two independent directions it reads the direction that has not seen
    this word.

    Args:
        in_features: Width H of the hidden states.
        labels: The V words, sorted by frequency, most frequent first.
        embedding: `[V, D]`, the input word vectors that tied outputs share; None for a separate
            table.
        output: The output layer. "tied": the input word vectors (Inan et al. 2016); "full":
            separate output vectors; "adaptive": clusters of rare words with fewer dimensions,
            several times faster (Grave et al. 2016); "tied_adaptive": both; "mos": a mixture of
            tied softmaxes (Yang et al. 2017).
        cutoffs: Number of more frequent words before each cluster of adaptive outputs, increasing.
            Values below 1 are fractions of the vocabulary; larger values are numbers of words,
            which stay the same if the vocabulary grows when a run starts from another one.
        num_softmaxes: Number of softmaxes of "mos".
        dropout: Dropout probability of the hidden states; the same units for all tokens.
        activation: Weight α of the penalty α·mean(h²) on the states after dropout, in training (AR;
            Merity et al. 2017 use 2).
        temporal: Weight β of the penalty β·mean((h_t − h_t+1)²) on the states before dropout, in
            training (TAR; Merity et al. 2017 use 1).
    """

    level = "token"

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        embedding: nn.Parameter | None = None,
        *,
        output: OutputLayer = "tied",
        cutoffs: Annotated[
            tuple[Annotated[float, Bounds(gt=0)], ...],
            Requires("output", ("adaptive", "tied_adaptive")),
        ] = (0.1, 0.4),
        num_softmaxes: Annotated[PositiveInt, Requires("output", ("mos",))] = 4,
        dropout: Probability = 0.4,
        activation: NonNegativeFloat = 0.0,
        temporal: NonNegativeFloat = 0.0,
    ) -> None:
        refuse_idle(
            LanguageModel, {"output": output, "cutoffs": cutoffs, "num_softmaxes": num_softmaxes}
        )
        super().__init__(in_features, labels)
        self.dropout = VariationalDropout(dropout)
        self.activation = activation
        self.temporal = temporal
        number = len(self.labels)
        if embedding is None:
            embedding = nn.Parameter(torch.randn(number, in_features) / in_features**0.5)
        if list(cutoffs) != sorted(set(cutoffs)):
            raise OptionError("cutoffs", f"expected rising numbers, got {list(cutoffs)}")
        cuts = sorted({max(1, int(cut * number if cut < 1 else cut)) for cut in cutoffs})
        cuts = [cut for cut in cuts if cut < number]
        if not cuts and output in ("adaptive", "tied_adaptive"):
            raise OptionError(
                "cutoffs",
                f"expected one below the {number} words of the vocabulary, got {list(cutoffs)}; "
                "for so few words choose the output 'tied'",
            )
        self.output: NextWord
        if output == "full":
            self.output = FullSoftmax(in_features, number)
        elif output == "adaptive":
            self.output = AdaptiveSoftmax(in_features, number, cutoffs=cuts)
        elif output == "tied_adaptive":
            self.output = TiedAdaptiveSoftmax(in_features, embedding, cutoffs=cuts)
        elif output == "mos":
            self.output = MixtureOfSoftmaxes(in_features, embedding, num_softmaxes=num_softmaxes)
        else:
            self.output = TiedSoftmax(in_features, embedding)

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether the labels are the words of the text."""
        return target.open_vocabulary

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood of each sentence in nats, `[B]`.

        In training it includes the penalties AR and TAR.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            target: `[B, T]` int64 word ids, ignored on padding; −1 for tokens without a loss.
        """
        check_width(hidden, self.in_features)
        # `_log_probs_of` rather than `log_probs_of`, so that AR sees the same dropout mask.
        dropped = self.dropout(hidden)
        losses = -self._log_probs_of(dropped, mask, target).sum(1)
        if self.training and self.activation:
            losses = losses + self.activation * activation_penalty(dropped, mask)
        if self.training and self.temporal:
            losses = losses + self.temporal * temporal_activation_penalty(hidden, mask)
        return losses

    def log_probs_of(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the log-probability of each target word, `[B, T]`, zero on padding."""
        return self._log_probs_of(self.dropout(hidden), mask, target)

    def _log_probs_of(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        values = hidden.new_zeros(mask.shape)
        known = labelled(target) & mask
        if known.any():
            # These tokens only: scores over the vocabulary are most of the cost.
            values[known] = -self.output.loss(hidden[known], target[known])
        return values

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the id of the most likely word for each token, `[B, T]`."""
        return self.log_probs(hidden, mask).argmax(2)

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the log-probabilities of all words, `[B, T, V]`, zero on padding."""
        check_width(hidden, self.in_features)
        flat = self.output.log_probs(self.dropout(hidden).flatten(0, 1))
        return flat.view(*mask.shape, -1).masked_fill(~mask.unsqueeze(2), 0)
