"""CRFs by going through every path, in plain Python; and by steps in logarithms, where too many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from mtl.ops.crf_paths import crf_score

Path = tuple[int, ...]


@dataclass(frozen=True)
class Chain:
    """Random scores of one batch."""

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor
    mask: Tensor

    @classmethod
    def random(cls, lengths: Sequence[int], labels: int, scale: float = 1.0) -> Chain:
        width = max(1, *lengths)
        mask = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
        shapes = [(len(lengths), width, labels), (labels, labels), (labels,), (labels,)]
        return cls(*(scale * torch.randn(shape, dtype=torch.float64) for shape in shapes), mask)

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        return self.emissions, self.transitions, self.start, self.end, self.mask

    def to(self, dtype: torch.dtype) -> Chain:
        return Chain(*(x.to(dtype) for x in self.arguments[:4]), self.mask)

    def forbid(self, share: float) -> Chain:
        """Forbid that share of transitions and starts, but none to or from label 0."""
        transitions = self.transitions.masked_fill(
            torch.rand_like(self.transitions) < share, -math.inf
        )
        transitions[0], transitions[:, 0] = self.transitions[0], self.transitions[:, 0]
        start = self.start.masked_fill(torch.rand_like(self.start) < share, -math.inf)
        start[0] = self.start[0]
        return Chain(self.emissions, transitions, start, self.end, self.mask)

    def score(self, path: Tensor) -> Tensor:
        return crf_score(*self.arguments, path)

    def paths(self, row: int) -> dict[Path, float]:
        """The score of every path of a sentence."""
        e, t, s, f = (x.tolist() for x in self.arguments[:4])
        scores = {}
        for path in product(range(len(s)), repeat=int(self.mask[row].sum())):
            score = sum(e[row][i][label] for i, label in enumerate(path))
            score += sum(t[a][b] for a, b in pairwise(path))
            scores[path] = score + (s[path[0]] + f[path[-1]] if path else 0.0)
        return scores

    def partition(self, row: int) -> float:
        return math.log(sum(math.exp(score) for score in self.paths(row).values()))

    def marginal(self, row: int, token: int, label: int) -> float:
        through = [math.exp(s) for path, s in self.paths(row).items() if path[token] == label]
        return sum(through) / math.exp(self.partition(row))

    def entropy(self, row: int) -> float:
        logs = [score - self.partition(row) for score in self.paths(row).values()]
        return -sum(math.exp(x) * x for x in logs if x > -math.inf)


def partition_by_steps(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, mask):
    """The textbook's forward algorithm, sentence by sentence."""
    found = []
    for sentence, length in zip(emissions, mask.sum(1).tolist(), strict=True):
        alpha = start + sentence[0]
        for row in sentence[1:length]:
            alpha = torch.logsumexp(alpha.unsqueeze(1) + transitions, dim=0) + row
        found.append(torch.logsumexp(alpha + end, dim=0) if length else 0 * alpha[0])
    return torch.stack(found)
