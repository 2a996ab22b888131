"""One corpus after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.data.mixing.base import Mixing, constant_in_epoch, normalised


class Sequential(Mixing):
    """All batches of a corpus, then all of the next: a a b b b c c … (Hashimoto et al. 2017).

    The corpora have the order of the run file. For the sharing `hierarchical`, whose tasks have an
    order; its penalty `successive` then keeps the weights near those at the end of the corpus
    before. Each corpus is drawn as often as by `proportional`.
    """

    fixed_order = True
    in_blocks = True

    @constant_in_epoch
    def probabilities(self, step: int) -> dict[str, float]:
        """Return n / Σn, at every step."""
        return normalised(self.sizes)

    def order(self, counts: Mapping[str, int], random: np.random.Generator) -> list[str]:
        """Return each corpus as often as it is drawn, one after the other."""
        return [name for name, count in counts.items() for _ in range(count)]
