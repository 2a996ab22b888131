"""Viterbi decoding of the scores of an exported model, with numpy alone.

Letters: B sentences, T tokens, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ScoreArray = Sequence[Any] | NDArray[np.floating[Any]]
"""An array of scores; None (null in JSON) marks forbidden entries."""


def viterbi(
    emissions: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
    *,
    transitions: ScoreArray | None = None,
    start: ScoreArray | None = None,
    end: ScoreArray | None = None,
) -> NDArray[np.int64]:
    """Return the label ids of the best path (Viterbi 1967), `[B, T]` int64, 0 on padding.

    arg max_y start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t-1, y_t] + end[y_T]

    Args:
        emissions: `[B, T, K]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        transitions: `[K, K]`, the scores of transitions from label (row) to label (column); None
            means zeros.
        start: `[K]`, the scores of the first label; None means zeros.
        end: `[K]`, the scores of the last label; None means zeros.
    """
    rows, steps, labels = emissions.shape
    if not steps:
        return np.zeros((rows, 0), dtype=np.int64)
    moves = _scores(transitions, (labels, labels))
    best = emissions[:, 0] + _scores(start, (labels,))
    # On padding each label points to itself, so that backtracking starts at the last real token.
    backpointers = np.tile(np.arange(labels), (rows, steps, 1))
    for t in range(1, steps):
        real = mask[:, t, None]
        paths = best[:, :, None] + moves  # [B, from, to]
        backpointers[:, t] = np.where(real, paths.argmax(1), backpointers[:, t])
        best = np.where(real, paths.max(1) + emissions[:, t], best)
    ids = np.empty((rows, steps), dtype=np.int64)
    ids[:, -1] = (best + _scores(end, (labels,))).argmax(1)
    for t in range(steps - 1, 0, -1):
        ids[:, t - 1] = backpointers[np.arange(rows), t, ids[:, t]]
    return np.where(mask, ids, 0)


def _scores(values: ScoreArray | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if values is None:
        return np.zeros(shape)
    scores = np.array(values, dtype=np.float64)  # None becomes NaN
    return np.where(np.isnan(scores), -np.inf, scores)
