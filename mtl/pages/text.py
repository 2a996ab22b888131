"""Sentences for pages: words with coloured spans or labels, and words shaded by weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

from markupsafe import Markup

from mtl.pages.charts import COLOURS


def colour(label: str) -> int:
    """Return the number of the colour of a label, which depends on its name only."""
    return crc32(label.encode()) % COLOURS


def spans(tokens: Sequence[str], marks: Sequence[tuple[int, int, str]]) -> Markup:
    """Return a sentence with coloured spans, each with its label.

    Args:
        tokens: The words.
        marks: First token, token after the last, and label of each span. Spans may not overlap.

    Raises:
        ValueError: A span is empty, overlaps another one, or is not in the sentence.
    """
    parts, place = [], 0
    for first, end, label in sorted(marks):
        if not place <= first < end <= len(tokens):
            raise ValueError(
                f"expected spans in {len(tokens)} tokens that do not overlap, got {marks}"
            )
        parts += [Markup("{}").format(token) for token in tokens[place:first]]
        text = " ".join(tokens[first:end])
        parts.append(
            Markup('<span class="span c{}"><b>{}</b><small>{}</small></span>').format(
                colour(label), text, label
            )
        )
        place = end
    parts += [Markup("{}").format(token) for token in tokens[place:]]
    return Markup('<div class="text">{}</div>').format(Markup(" ").join(parts))


def labelled(tokens: Sequence[str], own: Sequence[str | None]) -> Markup:
    """Return words with their labels below.

    Args:
        tokens: The words.
        own: The label of each word, or None.

    Raises:
        ValueError: The numbers of words and labels differ.
    """
    parts = [
        Markup('<span class="c{}"><b>{}</b><small>{}</small></span>').format(
            colour(label), token, label
        )
        if label is not None
        else Markup("<span><b>{}</b></span>").format(token)
        for token, label in zip(tokens, own, strict=True)
    ]
    return Markup('<div class="words">{}</div>').format(Markup(" ").join(parts))


def shaded(tokens: Sequence[str], weights: Sequence[float]) -> Markup:
    """Return words shaded by their weights.

    Positive weights are blue; negative ones are orange and underlined. The title of a word has its
    weight.

    Args:
        tokens: The words.
        weights: The weight of each word; words without a finite weight have no shade.

    Raises:
        ValueError: The numbers of words and weights differ.
    """
    largest = max((abs(w) for w in weights if math.isfinite(w)), default=0.0)
    parts = []
    for token, weight in zip(tokens, weights, strict=True):
        share = min(abs(weight) / largest, 1.0) if largest and math.isfinite(weight) else 0.0
        if round(share, 2) == 0:
            parts.append(Markup('<span title="{:.4g}">{}</span>').format(weight, token))
            continue
        parts.append(
            Markup('<span class="weight {}" style="--s:{:.2f}" title="{:.4g}">{}</span>').format(
                "minus" if weight < 0 else "plus", share, weight, token
            )
        )
    return Markup('<div class="text">{}</div>').format(Markup(" ").join(parts))
