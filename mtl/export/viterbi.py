"""The best labels given the emissions of an exported model, with numpy alone.

Letters: B sentences, T tokens, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ScoreArray = Sequence[Any] | NDArray[np.floating[Any]]
"""Numbers, or null where something is forbidden."""


def viterbi(
    emissions: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
    *,
    transitions: ScoreArray | None = None,
    start: ScoreArray | None = None,
    end: ScoreArray | None = None,
) -> NDArray[np.int64]:
    """Return the ids of the best labels, `[B, T]`, 0 on padding.

    arg max_y start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] + end[y_T]

    Args:
        emissions: `[B, T, K]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        transitions: `[K, K]`, what it scores that a label (column) follows another (row); None,
            here as below: nothing.
        start: `[K]`, what it scores that a sentence starts with a label.
        end: `[K]`, what it scores that it ends with one.
    """
    rows, steps, labels = emissions.shape
    if not steps:
        return np.zeros((rows, 0), dtype=np.int64)
    between = _scores(transitions, (labels, labels))
    best = emissions[:, 0] + _scores(start, (labels,))
    # On padding every label comes from itself, so that the way back finds the last real one.
    origins = np.tile(np.arange(labels), (rows, steps, 1))
    for t in range(1, steps):
        real = mask[:, t, None]
        paths = best[:, :, None] + between  # [B, from, to]
        origins[:, t] = np.where(real, paths.argmax(1), origins[:, t])
        best = np.where(real, paths.max(1) + emissions[:, t], best)
    found = np.empty((rows, steps), dtype=np.int64)
    found[:, -1] = (best + _scores(end, (labels,))).argmax(1)
    for t in range(steps - 1, 0, -1):
        found[:, t - 1] = origins[np.arange(rows), t, found[:, t]]
    return np.where(mask, found, 0)


def _scores(values: ScoreArray | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if values is None:
        return np.zeros(shape)
    scores = np.array(values, dtype=np.float64)  # null becomes NaN
    return np.where(np.isnan(scores), -np.inf, scores)
