"""Confidences and weights as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DIGITS = 6
"""Decimal places of probabilities and weights in JSON."""


def rounded(confidence: Any) -> Any:
    """Return probabilities as JSON types, rounded.

    Args:
        confidence: A probability, the probabilities of the labels of a set, or None; or a tuple
            with one such value per token.
    """
    if isinstance(confidence, tuple):
        return [rounded(item) for item in confidence]
    if isinstance(confidence, Mapping):
        return {label: round(probability, DIGITS) for label, probability in confidence.items()}
    return None if confidence is None else round(confidence, DIGITS)


def confidence_text(confidence: Any) -> str:
    """Return the confidence of a sentence or of one token on one line.

    The labels of a set are listed with their probabilities, the most probable first.
    """
    if isinstance(confidence, Mapping):
        ordered = sorted(confidence.items(), key=lambda item: -item[1])
        return ", ".join(f"{label} {fraction(probability)}" for label, probability in ordered)
    return "_" if confidence is None else fraction(confidence)


def fraction(number: float) -> str:
    """Return a probability or a weight with four decimal places."""
    return f"{number:.4f}"
