"""Choose sentences that are uncertain, and different from each other.

Letters: N sentences, H width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 20
"""The number of candidates per chosen sentence: the most uncertain ones."""


def choose(
    uncertainty: NDArray[np.float64], vectors: NDArray[np.float32] | None, number: int
) -> list[int]:
    """Return the indices of the chosen sentences, in the order of the choice.

    Each choice is the sentence with the largest product of its uncertainty and its cosine distance,
    at most 1, to the nearest sentence chosen before: greedy k-centre (Sener and Savarese 2018),
    weighted by the uncertainty. Only the most uncertain sentences are candidates. Equal products
    keep the order of the sentences.

    >>> choose(np.array([0.9, 0.8, 0.5]), np.eye(3, dtype=np.float32)[[0, 0, 1]], 2)
    [0, 2]

    Args:
        uncertainty: The uncertainty of each sentence, `[N]`, at least 0.
        vectors: The vector of each sentence, `[N, H]`; None: by uncertainty only.
        number: The number of sentences to choose.
    """
    order = np.argsort(-uncertainty, kind="stable")
    if vectors is None:
        return [int(own) for own in order[:number]]
    candidates = np.sort(order[: CANDIDATES * number])
    own = vectors[candidates].astype(np.float32)
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    weight = uncertainty[candidates]
    distance = np.ones(len(candidates))
    free = np.ones(len(candidates), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(number, len(candidates))):
        best = int(np.where(free, weight * distance, -1.0).argmax())
        chosen.append(int(candidates[best]))
        free[best] = False
        distance = np.minimum(distance, np.maximum(1 - own @ own[best], 0.0))
    return chosen
