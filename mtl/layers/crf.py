"""A linear-chain CRF as a layer. Letters: B sentences, T tokens, K labels."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from mtl.layers.inputs import check_labels, check_mask
from mtl.ops.crf import crf_log_likelihood, crf_log_partition, crf_marginals, crf_viterbi
from mtl.ops.crf_paths import crf_entropy, crf_n_best, crf_sample, ends
from mtl.ops.crf_semirings import Chain

Reduction = Literal["none", "sum", "mean", "token_mean"]


class CRF(nn.Module):
    """Linear-chain conditional random field (Lafferty et al. 2001).

    p(y | x) ∝ exp(start[y_1] + Σ emissions[t, y_t] + Σ transitions[y_t-1, y_t] + end[y_T])

    Parameters have the same names and shapes as in `torchcrf.CRF`, so state dicts are
    interchangeable. All methods take emissions `[B, T, K]` and a mask `[B, T]`, bool, True on real
    tokens, which come first; without a mask all tokens are real. They raise ValueError if shapes or
    types are wrong. Gradients have no second derivatives.

    Forbidden paths are excluded from the partition function and are never decoded. A tagging scheme
    can thus be enforced in training and in prediction. The constraints are not part of the state
    dict.

    Args:
        num_tags: The number of labels K.
        allowed_transitions: `[K, K]` bool: whether the label of the column may follow the label of
            the row; None allows all.
        allowed_start: `[K]` bool, the labels that may come first; None allows all.
        allowed_end: `[K]` bool, the labels that may come last; None allows all.

    The labels and pairs that a tagging scheme allows are the finite entries of
    `Constraints(labels, scheme=…).steps()`.
    """

    varies: ClassVar[bool] = False
    """Whether transitions differ from token to token, so that `steps` is not all of the chain."""

    def __init__(
        self,
        num_tags: int,
        *,
        allowed_transitions: Tensor | None = None,
        allowed_start: Tensor | None = None,
        allowed_end: Tensor | None = None,
    ) -> None:
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"num_tags: expected at least 1, got {num_tags}")
        self.num_tags = num_tags
        self.forbidden_transitions: Tensor
        self.forbidden_start: Tensor
        self.forbidden_end: Tensor
        self.start_transitions = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.end_transitions = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))
        self._forbid("transitions", allowed_transitions, self.transitions)
        self._forbid("start", allowed_start, self.start_transitions)
        self._forbid("end", allowed_end, self.end_transitions)
        self._free = all(x is None for x in (allowed_transitions, allowed_start, allowed_end))

    @torch.no_grad()
    def set_frequencies(self, tags: Tensor, pairs: Tensor, first: Tensor) -> None:
        """Set the transitions so that sequences have the frequencies of neighbouring tags.

        transitions[i, j] = log p(j | i) / p(j) and start[j] = log p_1(j) / p(j), where p_1 is the
        distribution of first tags. With the emissions log p(j) at each token, p(y | x) is then the
        Markov chain p_1(y_1) Π p(y_t | y_t-1). One tag with the distribution p is added to each
        count of tags after i and of first tags. The end transitions become zero.

        Args:
            tags: `[K]`, p, above zero.
            pairs: `[K, K]`, how often the tag of the column follows the tag of the row.
            first: `[K]`, how often each tag is the first.
        """
        following = pairs / tags + 1
        self.transitions.copy_((following / (pairs.sum(1, keepdim=True) + 1)).log())
        self.start_transitions.copy_(((first / tags + 1) / (first.sum() + 1)).log())
        self.end_transitions.zero_()

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        return f"num_tags={self.num_tags}"

    def _forbid(self, name: str, allowed: Tensor | None, scores: Tensor) -> None:
        """Check `allowed` and store its negation as a buffer."""
        if allowed is None:
            allowed = torch.ones_like(scores, dtype=torch.bool)
        if allowed.dtype != torch.bool or allowed.shape != scores.shape:
            raise ValueError(
                f"allowed_{name}: expected bool {list(scores.shape)}, "
                f"got {allowed.dtype} {list(allowed.shape)}"
            )
        if name != "transitions" and not allowed.any():
            raise ValueError(f"allowed_{name}: expected at least one label, so that paths exist")
        self.register_buffer(f"forbidden_{name}", ~allowed, persistent=False)

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of transitions `[K, K]`, start `[K]` and end `[K]`.

        Forbidden entries are −∞.
        """
        scores = self.transitions, self.start_transitions, self.end_transitions
        if self._free:  # unconstrained: saves three copies per call
            return scores
        forbidden = self.forbidden_transitions, self.forbidden_start, self.forbidden_end
        transitions, start, end = (
            x.masked_fill(entries, -torch.inf) for x, entries in zip(scores, forbidden, strict=True)
        )
        return transitions, start, end

    @property
    def width(self) -> int:
        """The number of scores per token that all methods take as emissions: K."""
        return self.num_tags

    def chain(self, emissions: Tensor, temperature: float = 1.0) -> Chain:
        """Return the scores of labels `[B, T, K]`, of transitions, and of first and last labels.

        Args:
            emissions: `[B, T, K]`.
            temperature: All scores are divided by it.
        """
        transitions, start, end = self.steps()
        if temperature == 1:  # the quotients would be equal, and cost time
            return emissions, transitions, start, end
        return (
            emissions / temperature,
            transitions / temperature,
            start / temperature,
            end / temperature,
        )

    def _checked_mask(self, emissions: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mask after checking shapes; the operators check that it is a prefix."""
        if emissions.dim() != 3 or emissions.shape[2] != self.width:
            raise ValueError(
                f"emissions: expected [B, T, {self.width}], got {list(emissions.shape)}"
            )
        if mask is None:
            return emissions.new_ones(emissions.shape[:2], dtype=torch.bool)
        check_mask(mask, emissions.shape[:2])
        return mask

    def _check_tags(self, tags: Tensor, emissions: Tensor) -> None:
        labels, sets = emissions.shape[:2], (*emissions.shape[:2], self.num_tags)
        if tags.dtype == torch.int64 and tags.shape == labels:
            return
        if tags.dtype != torch.bool or tags.shape != sets:
            raise ValueError(
                f"tags: expected int64 {list(labels)} or bool {list(sets)}, "
                f"got {tags.dtype} {list(tags.shape)}"
            )

    def forward(
        self,
        emissions: Tensor,
        tags: Tensor,
        mask: Tensor | None = None,
        reduction: Reduction = "none",
    ) -> Tensor:
        """Return the log-likelihood of `tags` in nats: `[B]`, or a scalar if reduced.

        Args:
            emissions: `[B, T, K]`.
            tags: The label ids, `[B, T]` int64, ignored on padding. For partial labels, the
                possible labels of each token, `[B, T, K]` bool: the result is then the
                log-probability of all paths through them (Täckström et al. 2013).
            mask: `[B, T]` bool.
            reduction: "none"; "sum" over sentences; "mean" over sentences; "token_mean", the sum
                divided by the number of real tokens.

        Raises:
            ValueError: A shape or type is wrong, a label id of a real token is not in [0, K), or
                the reduction is unknown.
        """
        mask = self._checked_mask(emissions, mask)
        self._check_tags(tags, emissions)
        if tags.dtype == torch.bool:
            likelihood = self.log_prob_of(emissions, tags, mask)
        else:
            check_labels("tags", tags, self.num_tags, mask)
            likelihood = crf_log_likelihood(*self.chain(emissions), mask, tags).clamp(max=0)
        if reduction == "sum":
            return likelihood.sum()
        if reduction == "mean":
            return likelihood.mean()
        if reduction == "token_mean":
            return likelihood.sum() / mask.sum()
        if reduction != "none":
            raise ValueError(f"reduction: expected one of {get_args(Reduction)}, got {reduction!r}")
        return likelihood

    def log_prob_of(
        self,
        emissions: Tensor,
        possible: Tensor,
        mask: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return the log-probability of all paths through the possible labels, `[B]`.

        Args:
            emissions: `[B, T, K]`.
            possible: The possible labels of each token, `[B, T, K]` bool.
            mask: `[B, T]` bool.
            temperature: As for `marginals`.
        """
        mask = self._checked_mask(emissions, mask)
        scores, transitions, start, end = self.chain(emissions, temperature)
        steps = transitions, start, end
        numerator = crf_log_partition(scores.masked_fill(~possible, -torch.inf), *steps, mask)
        # Rounding can make a probability exceed 1.
        return (numerator - crf_log_partition(scores, *steps, mask)).clamp(max=0)

    def decode(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the most likely paths, `[B, T]` int64, 0 on padding."""
        mask = self._checked_mask(emissions, mask)
        return crf_viterbi(*self.chain(emissions), mask)[0]

    def decode_n_best(
        self, emissions: Tensor, mask: Tensor | None = None, n: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return the n most likely paths, best first, `[B, n, T]`, and their scores, `[B, n]`.

        A score minus `log_partition` is the log-probability of the path. If a sentence has fewer
        than n paths, the missing ones have a score of −∞.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n: expected at least 1, got {n}")
        return crf_n_best(*self.chain(emissions), self._checked_mask(emissions, mask), n)

    def sample(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return one random path per sentence with probability p(y | x), `[B, T]` int64."""
        mask = self._checked_mask(emissions, mask)
        return crf_sample(*self.chain(emissions), mask)

    def log_partition(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the log partition function, ln Σ exp(score) over all allowed paths, `[B]`."""
        mask = self._checked_mask(emissions, mask)
        return crf_log_partition(*self.chain(emissions), mask)

    def marginals(
        self, emissions: Tensor, mask: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return the probability of each label at each token, `[B, T, K]`, zero on padding.

        The result has no gradients. `entropy`, `cross_entropy` and `log_prob_of` have gradients.

        Args:
            emissions: `[B, T, K]`.
            mask: `[B, T]` bool.
            temperature: All scores are divided by it: p(y | x) ∝ exp(score of y / temperature).
        """
        mask = self._checked_mask(emissions, mask)
        return crf_marginals(*self.chain(emissions, temperature), mask)

    def entropy(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the entropy of the distribution over paths in nats, `[B]`."""
        mask = self._checked_mask(emissions, mask)
        return crf_entropy(*self.chain(emissions), mask)

    def cross_entropy(
        self, emissions: Tensor, marginals: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return the expected negative log-likelihood under the labels of a teacher in nats, `[B]`.

        ln Z − E[score of a path], where labels of adjacent tokens are independent:
        p(y_t, y_t+1) = p(y_t) p(y_t+1). If constraints forbid some pairs, their probability goes
        to the allowed pairs of the two tokens, in proportion. Z is exact, and the expectation is
        linear in the scores. For probabilities 0 and 1 it is the loss of `forward`.

        Args:
            emissions: `[B, T, K]`.
            marginals: The probability of each label at each token, `[B, T, K]`; ignored on padding.
            mask: `[B, T]` bool.

        Raises:
            ValueError: A shape or type is wrong.
        """
        mask = self._checked_mask(emissions, mask)
        scores, transitions, start, end = self.chain(emissions)
        if marginals.shape != scores.shape:
            expected, found = list(scores.shape), list(marginals.shape)
            raise ValueError(f"marginals: expected {expected}, got {found}")
        marginals = marginals.masked_fill(~mask.unsqueeze(2), 0)
        last = marginals.masked_fill(~ends(mask).unsqueeze(2), 0).sum(1)
        expected_score = (scores * marginals).sum((1, 2)) + _expected_step(
            marginals[:, :-1], marginals[:, 1:], transitions, self.forbidden_transitions
        )
        for row, edge, forbidden in (
            (marginals[:, 0], start, self.forbidden_start),
            (last, end, self.forbidden_end),
        ):
            allowed = row.masked_fill(forbidden, 0)
            known = edge.masked_fill(forbidden, 0)
            expected_score = expected_score + _share(allowed @ known, allowed.sum(1))
        return crf_log_partition(scores, transitions, start, end, mask) - expected_score


def _expected_step(before: Tensor, after: Tensor, scores: Tensor, forbidden: Tensor) -> Tensor:
    """Return the expected sum of the transition scores, `[B]`, from marginals `[B, T - 1, K]`.

    The scores are one matrix `[K, K]`, or one per step.
    """
    allowed = (~forbidden).to(before.dtype)
    moved = (before.unsqueeze(2) @ scores.masked_fill(forbidden, 0)).squeeze(2)
    score = (moved * after).sum(2)
    return _share(score, ((before @ allowed) * after).sum(2)).sum(1)


def _share(score: Tensor, probability: Tensor) -> Tensor:
    """Return the score divided by the probability of the allowed labels; 0 if that is 0."""
    return torch.where(probability > 0, score / probability.where(probability > 0, 1.0), 0.0)
