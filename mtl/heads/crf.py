"""Tagger that labels the sentence as a whole. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from mtl.errors import MtlError, OptionError
from mtl.heads.tagger import Tagger, TaggerOptions
from mtl.layers.automata import Rule
from mtl.layers.crf import CRF
from mtl.layers.crf_variants import InputCRF
from mtl.layers.rules import Rules, best_paths, refuse_rules
from mtl.ops.crf_semirings import Chain
from mtl.options import PositiveInt, Requires, refuse_idle
from mtl.targets.base import Target, labelled
from mtl.text.spans import Scheme, transitions


class CRFTagger(Tagger):
    """A linear-chain CRF over the scores of a sentence (Huang et al. 2015; Lample et al. 2016).

    p(y | x) ∝ exp Σ_t (W h_t + b)[y_t] + transitions[y_t-1, y_t]

    It learns scores of transitions between labels; best for chunks and entities. With `transitions:
    input`, a transition also depends on the token: transitions[t] = transitions + Σ_r (G h_t)_r
    M_r, with `rank` matrices M (Lafferty et al. 2001; Ma and Hovy 2016).

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        scheme: The scheme of the labels, which a constrained CRF obeys.
        constrained: Whether sequences that violate the scheme have probability 0, in training and
            prediction. Needs labels that are span tags. Excludes label smoothing, which gives every
            label a probability.
        transitions: Whether scores of transitions are constant, or depend on the input, too. Then
            label smoothing is not defined, and the model cannot be exported or be part of an
            ensemble.
        rank: The number of matrices that each token mixes.
        rules: Rules on whole sequences, for prediction: {at_most: 1, labels: [A]}, {at_least: 1,
            labels: [A]}, {labels: [X], after: [Y]}, {labels: [X], with: [Y]}.
    """

    reads_temperature: ClassVar[bool] = False

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether tokens have single labels, known or partly known."""
        return target.is_sequence

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        scheme: Annotated[Scheme | None, Requires("constrained")] = None,
        constrained: bool = False,
        transitions: Literal["constant", "input"] = "constant",
        rank: Annotated[PositiveInt, Requires("transitions", ("input",))] = 4,
        rules: Sequence[Rule] = (),
        **options: Unpack[TaggerOptions],
    ) -> None:
        super().__init__(in_features, labels, **options)
        given = {"scheme": scheme, "constrained": constrained, "transitions": transitions}
        refuse_idle(CRFTagger, {**given, "rank": rank})
        allowed = _allowed(self.labels, scheme) if constrained else {}
        if transitions == "input":
            self.crf: CRF = InputCRF(len(self.labels), rank, **allowed)
            self.output = nn.Linear(self.output.in_features, self.crf.width)
        else:
            self.crf = CRF(len(self.labels), **allowed)
        self.rules = Rules(self.labels, rules) if rules else None
        if transitions == "input" and self.label_smoothing:
            raise OptionError("transitions", "expected constant with label_smoothing")
        if constrained and self.label_smoothing:
            raise OptionError(
                "constrained",
                "label_smoothing gives every label a probability, also where the scheme forbids "
                "it; set only one of the two",
            )

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood of each sentence's labels in nats, `[B]`.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            target: Label ids, int64 `[B, T]`, −1 where a label is missing; or possible labels, bool
                `[B, T, K]`. The loss is the likelihood of all label sequences that they allow.
        """
        scores = self.scores(hidden, mask)
        paths, known = target, mask
        # The likelihood of one path is cheaper, and most sentences are labelled in full. A compiled
        # graph cannot depend on values, so it always sums over paths.
        whole = not torch.compiler.is_compiling() and bool((labelled(target) | ~mask).all())
        if target.dtype != torch.bool and not whole:
            known = labelled(target) & mask
            ids = torch.arange(len(self.labels), device=scores.device)
            paths = ~known.unsqueeze(2) | (target.unsqueeze(2) == ids)
        log_likelihood: Tensor = self.crf(scores, paths, mask)
        loss = -log_likelihood
        if self.smoothing:
            loss = loss + self.smoothing * self._above_mean(scores, mask, known, target)
        weights = self.weights(target)
        if weights is None:
            return loss
        return loss * (weights * known).sum(1) / known.sum(1).clamp(min=1)

    def sample(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return random label sequences, each with its probability, `[B, T]`; 0 on padding."""
        return self.crf.sample(self.scores(hidden, mask), mask).masked_fill(~mask, 0)

    def imitation(
        self, hidden: Tensor, mask: Tensor, teacher: Tensor, temperature: float
    ) -> Tensor:
        """Return the expected negative log-likelihood under the marginals of a teacher, `[B]`.

        ln Z − E[score], exact through the operator of the CRF, and linear in the scores. The
        teacher gives one distribution per token, so labels of adjacent tokens count as
        independent; see `CRF.cross_entropy`. The k best paths of a teacher keep that dependence.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            teacher: The logarithms of its marginals, `[B, T, K]`, any finite values on padding.
            temperature: Has no effect: a path has one probability, not one softmax per token.
        """
        return self.crf.cross_entropy(self.scores(hidden, mask), teacher.exp(), mask)

    def _above_mean(self, scores: Tensor, mask: Tensor, known: Tensor, target: Tensor) -> Tensor:
        """Return the score of the known part of a path minus its mean over all paths, `[B]`.

        Label smoothing adds it to the loss: it is the increase of the expected loss if the path is
        replaced by a random one. Log Z occurs in both losses and cancels. Labels and transitions
        that are not known are the same in both.
        """
        crf, ids = self.crf, target.masked_fill(~known, 0)
        last = mask.sum(1, keepdim=True) - 1
        pairs = known[:, 1:] & known[:, :-1]
        own = scores.gather(2, ids.unsqueeze(2)).squeeze(2) - scores.mean(2)
        steps = crf.transitions - crf.transitions.mean()
        first = (crf.start_transitions - crf.start_transitions.mean())[ids[:, 0]] * known[:, 0]
        ends = (crf.end_transitions - crf.end_transitions.mean())[ids]
        final = torch.arange(mask.shape[1], device=mask.device) == last
        return (
            (own * known).sum(1)
            + (steps[ids[:, :-1], ids[:, 1:]] * pairs).sum(1)
            + first
            + (ends * (final & known)).sum(1)
        )

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions, start and end: −∞ if not allowed."""
        refuse_rules(self.rules)
        if self.crf.varies:
            raise MtlError(
                "the transitions of the head depend on the input, which exported models and "
                "ensembles cannot compute; use the run folder itself, or train a crf with constant "
                "transitions"
            )
        return self.crf.steps()

    def chain(self, scores: Tensor, temperature: float = 1.0) -> Chain:
        """Return the chain of the CRF."""
        return self.crf.chain(scores, temperature)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the ids of the most likely path (Viterbi), `[B, T]`, 0 on padding."""
        return best_paths(self.chain(self.scores(hidden, mask)), mask, self.rules)

    def log_marginals(self, scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
        """Return the logarithms of the marginals, `[B, T, K]`, zero on padding."""
        marginals = self.crf.marginals(scores, mask, temperature)
        tiny = torch.finfo(marginals.dtype).tiny
        return marginals.clamp(min=tiny).log().masked_fill(~mask.unsqueeze(2), 0)

    def log_prob_of(
        self,
        scores: Tensor,
        mask: Tensor,
        labels: Tensor,
        chosen: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return the log-probability of all paths with the chosen labels, `[B]`."""
        ids = torch.arange(len(self.labels), device=scores.device)
        possible = ~chosen.unsqueeze(2) | (labels.unsqueeze(2) == ids)
        if not self.crf.varies:
            # Scores add up over a document, and the difference of two large sums is inexact.
            scores = scores - scores.amax(2, keepdim=True)
        return self.crf.log_prob_of(scores, possible, mask, temperature)


def _allowed(labels: Sequence[str], scheme: Scheme | None) -> dict[str, Tensor]:
    """Return the label sequences that a scheme allows, as arguments of a CRF."""
    if scheme is None:
        raise OptionError("constrained", "the labels have no tagging scheme; set it to false")
    names = ("allowed_transitions", "allowed_start", "allowed_end")
    return dict(zip(names, map(torch.tensor, transitions(labels, scheme)), strict=True))
