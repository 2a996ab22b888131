"""Decoding under constraints on label sequences. Letters: B sentences, T tokens, K labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from mtl.errors import OptionError, did_you_mean
from mtl.ops import crf_viterbi
from mtl.text.spans import Scheme, transitions


class Constraints(nn.Module):
    """Viterbi decoding restricted to allowed label sequences (He et al. 2017).

    arg max_y Σ_t scores[t, y_t], where a forbidden transition scores −∞.

    Args:
        labels: The K labels.
        scheme: The scheme of span tags; only well-formed sequences are allowed. None for labels
            that are not span tags.
        never: Forbidden transitions, as pairs (label, next label). None represents the edge of the
            sentence: (None, x) forbids sentences that start with x, (x, None) those that end
            with x.

    Raises:
        MtlError: A label is not a tag of the scheme.
        ValueError: A rule names an unknown label, or no sequence of some length is allowed.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor

    def __init__(
        self,
        labels: Sequence[str],
        *,
        scheme: Scheme | None = None,
        never: Sequence[tuple[str | None, str | None]] = (),
    ) -> None:
        super().__init__()
        # One table for transitions, starts and ends: the edge of a sentence is the last label.
        count = len(labels)
        allowed = torch.ones(count + 1, count + 1, dtype=torch.bool)
        if scheme:
            pairs, start, end = transitions(labels, scheme)
            allowed[:count, :count] = torch.tensor(pairs)
            allowed[count, :count], allowed[:count, count] = torch.tensor([start, end])
        index = {label: i for i, label in enumerate([*labels, None])}
        for pair in never:
            for label in pair:
                if label not in index:
                    near = did_you_mean(str(label), labels)
                    raise OptionError("never", f"unknown label {label!r}{near}")
            allowed[index[pair[0]], index[pair[1]]] = False
        # Raised here, so that decoding does not fail on the first sentence of such a length.
        if length := _shortest_without(allowed):
            if never:
                raise OptionError(
                    "never",
                    f"the rules allow no sequence of length {length}; remove some of them",
                )
            raise ValueError(
                f"labels: under the scheme {scheme} they allow no sequence of length {length}; "
                "add the label 'O'"
            )
        self._set(allowed)

    @classmethod
    def of_steps(
        cls, labels: Sequence[str], steps: Iterable[tuple[Tensor, Tensor, Tensor]]
    ) -> Self:
        """Return the constraints that several heads have together.

        Args:
            labels: The K labels.
            steps: For each head the scores of transitions `[K, K]`, of first and of last labels,
                both `[K]`; a transition is allowed if none of its scores is −∞.

        Raises:
            ValueError: No sequence of some length is allowed by all of them.
        """
        made = cls(labels)
        count = len(labels)
        allowed = torch.ones(count + 1, count + 1, dtype=torch.bool)
        for pairs, start, end in steps:
            allowed[:count, :count] &= pairs.isneginf().logical_not().cpu()
            allowed[count, :count] &= start.isneginf().logical_not().cpu()
            allowed[:count, count] &= end.isneginf().logical_not().cpu()
        if length := _shortest_without(allowed):
            raise ValueError(f"their constraints together allow no sequence of length {length}")
        made._set(allowed)
        return made

    def _set(self, allowed: Tensor) -> None:
        """Set the allowed transitions, `[K + 1, K + 1]` bool; the last row and column are edges."""
        costs = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
        # Not in the state dict, as they follow from the labels and the options.
        self.register_buffer("transitions", costs[:-1, :-1].clone(), persistent=False)
        self.register_buffer("start", costs[-1, :-1].clone(), persistent=False)
        self.register_buffer("end", costs[:-1, -1].clone(), persistent=False)

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions `[K, K]`, first and last labels, both `[K]`: −∞ if forbidden."""
        return self.transitions, self.start, self.end

    def forward(self, scores: Tensor, mask: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return the best allowed label ids, `[B, T]` int64, 0 on padding.

        Args:
            scores: `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            allowed: `[B, T, K]` bool, the labels that each token may have; None allows all.

        Raises:
            ValueError: A sentence has no allowed sequence, or its scores are NaN.
        """
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        steps, start, end = (x.to(scores) for x in (self.transitions, self.start, self.end))
        paths, best = crf_viterbi(scores, steps, start, end, mask)
        if not torch.compiler.is_compiling():  # an exported program cannot raise
            impossible = best.isneginf() | best.isnan()
            if impossible.any():
                nan = scores.isnan().any(2).logical_and(mask).any(1)
                raise ValueError(_explain_failure(impossible, nan))
        return paths


def _shortest_without(allowed: Tensor) -> int | None:
    """Return the shortest length up to K + 1 without an allowed sequence; None if all have one.

    Args:
        allowed: `[K + 1, K + 1]` bool: whether the label of the column may follow the label of the
            row. The last row and column are the edge of the sentence.
    """
    steps, last = allowed[:-1, :-1], allowed[:-1, -1]
    reachable = allowed[-1, :-1]  # labels that may be the last of a prefix of this length
    for length in range(1, len(allowed) + 1):
        if not (reachable & last).any():
            return length
        previous, reachable = reachable, steps[reachable].any(0)
        if reachable.equal(previous):  # a fixed point: all longer lengths behave alike
            break
    return None


def _explain_failure(impossible: Tensor, nan: Tensor) -> str:
    """Return the error message for sentences `[B]` without a best path, some with NaN scores."""
    if nan.any():
        rows = nan.nonzero().flatten().tolist()
        return f"scores: expected numbers, got NaN in sentences {rows} of the batch"
    rows = impossible.nonzero().flatten().tolist()
    return (
        f"allowed: sentences {rows} of the batch have no allowed label sequence; "
        "allow more labels per token"
    )
