"""Tagger that obeys rules. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from torch import Tensor

from mtl.heads.softmax import SoftmaxTagger
from mtl.heads.tagger import TaggerOptions
from mtl.layers.automata import Rule
from mtl.layers.constraints import Constraints
from mtl.layers.rules import Rules, best_paths, refuse_rules
from mtl.ops.crf_semirings import Chain
from mtl.options import NonNegativeFloat
from mtl.targets.base import Target
from mtl.text.spans import Scheme


class ConstrainedTagger(SoftmaxTagger):
    """Learns each label alone, and predicts the best allowed sequence (He et al. 2017).

    y = arg max Σ_t log softmax(W h_t + b)[y_t] over the allowed y, by Viterbi

    It trains as fast as softmax and never predicts a malformed sequence. Probabilities and
    confidences come from the softmax.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        scheme: The scheme of the labels: only sequences that are well formed in it are predicted.
            null for labels that are not span tags.
        never: Pairs of labels whose second label never directly follows the first, as in
            [[B-PER, I-LOC]]; null in place of a label is the edge of the sentence: [null, X]
            never starts with X, [X, null] never ends with it.
        rules: Rules on whole sequences: {at_most: 1, labels: [A]}, {at_least: 1, labels: [A]},
            {labels: [X], after: [Y]}, {labels: [X], with: [Y]}.
        focal: γ of the focal loss: the loss of a token whose label has the probability p is
            multiplied by (1 - p)^γ in training, so that easy tokens count less (Lin et al. 2017);
            0 for none.
    """

    takes_objective: ClassVar[bool] = False

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether tokens have single labels, known or partly known."""
        return target.is_sequence

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        scheme: Scheme | None = None,
        never: Sequence[tuple[str | None, str | None]] = (),
        rules: Sequence[Rule] = (),
        focal: NonNegativeFloat = 0.0,
        **options: Unpack[TaggerOptions],
    ) -> None:
        super().__init__(in_features, labels, focal=focal, **options)
        self.constraints = Constraints(self.labels, scheme=scheme, never=never)
        self.rules = Rules(self.labels, rules) if rules else None

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions, start and end: −∞ if not allowed, else 0."""
        refuse_rules(self.rules)
        return self.constraints.steps()

    def chain(self, scores: Tensor, temperature: float = 1.0) -> Chain:
        """Return the scores, and transitions that are −∞ if not allowed, else 0."""
        transitions, start, end = (own.to(scores) for own in self.constraints.steps())
        return scores / temperature, transitions, start, end

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the ids of the best allowed sequence, `[B, T]`, 0 on padding."""
        scores = self.scores(hidden, mask)
        if self.rules is not None:
            return best_paths(self.chain(scores), mask, self.rules)
        paths: Tensor = self.constraints(scores, mask)
        return paths
