"""Label sequences that are allowed. Letters: B sentences, T tokens, K labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.errors import did_you_mean
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
        ValueError: A rule names a label that there is not.
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
                    raise ValueError(f"never: there is no label {label!r}{near}")
            allowed[number[pair[0]], number[pair[1]]] = False
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
            ValueError: A sentence has no sequence that is allowed.
        """
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        between, start, end = (x.to(scores) for x in (self.transitions, self.start, self.end))
        paths, best = crf_viterbi(scores, between, start, end, mask)
        if not torch.compiler.is_compiling():  # an exported program cannot raise
            stuck = best.isneginf().nonzero().flatten().tolist()
            if stuck:
                raise ValueError(
                    f"sentences {stuck} of the batch have no label sequence that is allowed; "
                    "loosen `never` or `allowed`"
                )
        return paths
