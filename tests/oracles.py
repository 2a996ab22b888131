"""Slow and obvious versions of what the library computes, in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def _chunk_ends(before: str, tag: str) -> bool:
    """Whether a chunk ends between two tags: the table of conlleval, with S as a chunk alone."""
    (p, p_type), (q, q_type) = ((t[:1], t[2:]) for t in (before, tag))
    if p == "O":
        return False
    return p + q in {"BB", "BS", "BO", "IB", "IS", "IO"} or p in "ES" or p_type != q_type


def _chunk_starts(before: str, tag: str) -> bool:
    """Whether a chunk starts at the second tag: the table of conlleval."""
    (p, p_type), (q, q_type) = ((t[:1], t[2:]) for t in (before, tag))
    if q == "O":
        return False
    return q in "BS" or p + q in {"EE", "EI", "SE", "SI", "OE", "OI"} or p_type != q_type


def conlleval_chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Type, start and end (exclusive) of each chunk, by the two tables."""
    padded = ["O", *tags, "O"]
    steps = list(pairwise(padded))
    starts = [i for i, (p, q) in enumerate(steps) if _chunk_starts(p, q)]
    ends = [i for i, (p, q) in enumerate(steps) if _chunk_ends(p, q)]
    return {(tags[i][2:], i, j) for i, j in zip(starts, ends, strict=True)}


def conlleval_counts(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[int, int, int]:
    """Count correct, gold and guessed chunks in one walk over the tokens, as the script does."""
    correct = in_gold = in_predicted = 0
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        running = False
        g_before = p_before = "O"
        for g, p in zip([*gold_tags, "O"], [*predicted_tags, "O"], strict=True):
            if running:
                g_ends, p_ends = _chunk_ends(g_before, g), _chunk_ends(p_before, p)
                correct += g_ends and p_ends
                running = not (g_ends or p_ends)
            g_starts, p_starts = _chunk_starts(g_before, g), _chunk_starts(p_before, p)
            running = running or (g_starts and p_starts and g[2:] == p[2:])
            in_gold += g_starts
            in_predicted += p_starts
            g_before, p_before = g, p
    return correct, in_gold, in_predicted
