"""Tagger that obeys rules. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mtl.heads.softmax import SoftmaxTagger
from mtl.layers.constraints import Constraints
from mtl.layers.token_attention import TokenAttention
from mtl.options import PositiveFloat, PositiveInt, Probability
from mtl.text.spans import Scheme


class ConstrainedTagger(SoftmaxTagger):
    """Learns each label on its own, and gives the best sequence that is allowed (He et al. 2017).

    y = arg max Σ_t log softmax(W h_t + b)[y_t] over the allowed y, by Viterbi

    Trains as fast as softmax, and never gives a malformed sequence. Probabilities and confidences
    are those of the softmax.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        scheme: Scheme that span labels are learnt in, and whose well-formed sequences alone are
            given; null for that of the corpus. Labels that are no spans have none.
        never: Pairs of labels of which the second never follows the first at once, as in
            [[B-PER, I-LOC]]; null in place of a label is the edge of the sentence: [null, X]
            never starts with X, [X, null] never ends with it.
    """

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        dropout: Probability = 0.4,
        hidden_size: PositiveInt | None = None,
        scheme: Scheme | None = None,
        never: Sequence[tuple[str | None, str | None]] = (),
        attention: TokenAttention | None = None,
        window: PositiveInt = 5,
        label_smoothing: Probability = 0.0,
        class_weights: Mapping[str, PositiveFloat] | None = None,
    ) -> None:
        super().__init__(
            in_features,
            labels,
            dropout=dropout,
            hidden_size=hidden_size,
            scheme=scheme,
            attention=attention,
            window=window,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
        )
        self.constraints = Constraints(self.labels, scheme=scheme, never=never)

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions, start and end: −∞ where something is not allowed, else 0."""
        return self.constraints.transitions, self.constraints.start, self.constraints.end

    def decode(self, hidden: Tensor, mask: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return the ids of the best allowed sequence, `[B, T]`, 0 on padding.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            allowed: `[B, T, K]` bool: the labels that each token may have, as a gazetteer or an
                annotator knows them; None: any.

        Raises:
            ValueError: A sentence has no sequence that is allowed.
        """
        paths: Tensor = self.constraints(self.scores(hidden, mask), mask, allowed)
        return paths
