"""Label sequences that are allowed. Letters: B sentences, T tokens, K labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.errors import OptionError, did_you_mean
from mtl.ops import crf_viterbi
from mtl.text.spans import Scheme, transitions


class Constraints(nn.Module):
    """The best label sequence among those that are allowed (He et al. 2017).

    arg max_y Σ_t scores[t, y_t], by Viterbi, where a step that is not allowed costs infinity.

    Args:
        labels: The K labels.
        scheme: Their scheme, if they are span tags: only well-formed sequences are allowed.
        never: Pairs of labels of which the second never follows the first at once. None in place
            of a label is the edge of the sentence: it never starts, or never ends, with the other.

    Raises:
        MtlError: A label is no tag of the scheme.
        ValueError: A rule names a label that there is not, or sentences of some length have no
            sequence that is allowed.
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
        # One table, with the edge of the sentence as a label after the others.
        count = len(labels)
        allowed = torch.ones(count + 1, count + 1, dtype=torch.bool)
        if scheme:
            pairs, start, end = transitions(labels, scheme)
            allowed[:count, :count] = torch.tensor(pairs)
            allowed[count, :count], allowed[:count, count] = torch.tensor([start, end])
        number = {label: i for i, label in enumerate([*labels, None])}
        for pair in never:
            for label in pair:
                if label not in number:
                    near = did_you_mean(str(label), labels)
                    raise OptionError("never", f"unknown label {label!r}{near}")
            allowed[number[pair[0]], number[pair[1]]] = False
        if length := _shortest_without(allowed):
            told = f"allow no sequence of length {length}"
            if never:
                raise OptionError("never", f"the rules {told}; remove some of them")
            raise ValueError(f"labels: by the scheme {scheme} these {told}; add 'O'")
        costs = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
        self.register_buffer("transitions", costs[:count, :count].clone(), persistent=False)
        self.register_buffer("start", costs[count, :count].clone(), persistent=False)
        self.register_buffer("end", costs[:count, count].clone(), persistent=False)

    def forward(self, scores: Tensor, mask: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return the best allowed label ids, `[B, T]` int64, 0 on padding.

        Args:
            scores: `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            allowed: `[B, T, K]` bool: which labels each token may have; None: any.

        Raises:
            ValueError: A sentence has no sequence that is allowed, or scores that are NaN.
        """
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        between, start, end = (x.to(scores) for x in (self.transitions, self.start, self.end))
        paths, best = crf_viterbi(scores, between, start, end, mask)
        if not torch.compiler.is_compiling():  # an exported program cannot raise
            stuck = best.isneginf() | best.isnan()
            if stuck.any():
                raise ValueError(_why(stuck, scores.isnan().any(2).logical_and(mask).any(1)))
        return paths


def _shortest_without(allowed: Tensor) -> int | None:
    """Return the least length up to K + 1 of which no sequence is allowed; None: there is none.

    Args:
        allowed: `[K + 1, K + 1]` bool, which label may follow which, the edge after the others.
    """
    steps, last = allowed[:-1, :-1], allowed[:-1, -1]
    ends = allowed[-1, :-1]  # the labels in which sequences of a length may end so far
    for length in range(1, len(allowed) + 1):
        if not (ends & last).any():
            return length
        before, ends = ends, steps[ends].any(0)
        if ends.equal(before):  # as of all lengths to come
            break
    return None


def _why(stuck: Tensor, unknown: Tensor) -> str:
    """Say why some sentences `[B]` have no best sequence, given those with NaN among the scores."""
    if unknown.any():
        which = unknown.nonzero().flatten().tolist()
        return f"the scores of sentences {which} of the batch are NaN; expected numbers"
    which = stuck.nonzero().flatten().tolist()
    return (
        f"sentences {which} of the batch have no label sequence that is allowed; loosen `allowed`"
    )
