"""Vectors of corpora. Letters: B sentences, T tokens, D and E widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mtl.errors import MtlError, did_you_mean


class CorpusVectors(nn.Module):
    """A learned vector per corpus, beside the vector of each token (van der Goot et al. 2021).

    Args:
        corpora: Task to its corpus.
        dim: Width E of the vectors.
    """

    def __init__(self, corpora: Mapping[str, str], dim: int) -> None:
        super().__init__()
        self.corpora = dict(corpora)
        self.names = sorted(set(corpora.values()))
        self.chosen: str | None = None
        """The corpus whose vector all tasks read; None: each task the one of its own."""
        self.vectors = nn.Parameter(0.1 * torch.randn(len(self.names), dim))

    def choose(self, corpus: str | None) -> None:
        """Let all tasks read the vector of one corpus; None: each task, the one of its corpus.

        Raises:
            MtlError: There is no such corpus.
        """
        if corpus is not None and corpus not in self.names:
            near = did_you_mean(corpus, self.names)
            raise MtlError(f"the model has no corpus {corpus!r}{near}")
        self.chosen = corpus

    def groups(self, tasks: Iterable[str]) -> dict[str, list[str]]:
        """Return the corpora that some tasks read, and the tasks of each."""
        found: dict[str, list[str]] = {}
        for task in tasks:
            found.setdefault(self.chosen or self.corpora[task], []).append(task)
        return found

    @property
    def shared(self) -> bool:
        """Whether several tasks train a vector: whether a corpus has several tasks."""
        return len(self.names) < len(self.corpora)

    def forward(self, x: Tensor, mask: Tensor, corpus: str) -> Tensor:
        """Return `[B, T, D + E]`, given token vectors `[B, T, D]` of a corpus."""
        vector = self.vectors[self.names.index(corpus)]
        return torch.cat([x, mask.unsqueeze(2).to(x.dtype) * vector.to(x.dtype)], dim=2)
