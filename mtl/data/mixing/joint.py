"""Mixing of all corpora in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtl.data.mixing.base import Mixing, constant_in_epoch


class Joint(Mixing):
    """One batch of every corpus per step; the losses are summed (Sener and Koltun 2018).

    Weightings that balance gradients need this mixing. An epoch is one pass over the corpus with
    the most batches; the other corpora start again when they end.

    Args:
        sizes: Corpus to the number of batches in one pass over it.
        epochs: Number of epochs of the run.
        one_batch: Whether the batches of a step become one batch, which the model reads at once.
            Each sentence keeps the tasks of its corpus, so the losses are the same. A head that
            tasks of several corpora share then reads the sentences of all of them together, which
            `domain_distance` needs.
    """

    joint = True
    fixed_order = True

    def __init__(
        self, sizes: Mapping[str, int], epochs: int = 1, *, one_batch: bool = False
    ) -> None:
        super().__init__(sizes, epochs)
        self.one_batch = one_batch

    @classmethod
    def mixes_corpora(cls, options: Mapping[str, Any]) -> bool:
        """Return the option `one_batch`."""
        return bool(options.get("one_batch"))

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of the largest corpus."""
        return max(self.sizes.values())

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return 1/N, at every step: each corpus has the same share of the batches."""
        return dict.fromkeys(self.sizes, 1 / len(self.sizes))
