"""The usual features of python-crfsuite for taggers, computed as needed or kept for each word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache


def word_shape(word: str) -> str:
    """Return the pattern of cases and digits in a word; runs are cut to three characters."""
    shape: list[str] = []
    for c in word:
        kind = "d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c
        if shape[-3:] != [kind] * 3:
            shape.append(kind)
    return "".join(shape)


def word_features(word: str, offset: int) -> tuple[str, ...]:
    """Return the features of a word at a distance of `offset` words."""
    lower = word.lower()
    named = {
        "word": word,
        "lower": lower,
        "prefix2": lower[:2],
        "prefix3": lower[:3],
        "suffix2": lower[-2:],
        "suffix3": lower[-3:],
        "shape": word_shape(word),
        "digits": word.isdigit(),
        "title": word.istitle(),
        "upper": word.isupper(),
    }
    return tuple(f"{offset}:{name}={value}" for name, value in named.items())


cached_features = cache(word_features)


def sentence_features(
    tokens: Sequence[str], features: Callable[[str, int], tuple[str, ...]] = cached_features
) -> list[list[str]]:
    """Return the features of each token of a sentence, given a function for one word."""
    last = len(tokens) - 1
    rows = []
    for position in range(len(tokens)):
        row = ["bias"]
        for place in range(max(0, position - 2), min(last, position + 2) + 1):
            row += features(tokens[place], place - position)
        row += ["first"] * (position == 0) + ["last"] * (position == last)
        rows.append(row)
    return rows
