"""Sentences with words shaded by their weights, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from mtl.cli.formats import one_line
from mtl.cli.tables import plain_console
from mtl.inference.attention import rows_of
from mtl.inference.prediction import Prediction

MOST_TOKENS = 20
"""Tokens whose values are shown on the line of a task."""
SHADES = ("", *(f"white on color({number})" for number in (17, 18, 19, 20, 21)))
"""From no shade to bright blue, as on pages, for weights from 0 to the largest of the sentence."""
AGAINST = ("", *(f"white on color({number})" for number in (52, 94, 130, 166)))
"""From no shade to bright orange, for negative weights."""


def write_text(prediction: Prediction) -> str:
    """Return the labels of each task, and below them the shaded words, one line per weighting."""
    console = plain_console()
    with console.capture() as captured:
        for task, own in prediction.by_task.items():
            console.print(f"{task}: {prediction.described(task, MOST_TOKENS)}", soft_wrap=True)
            sides = [(prediction.tokens, own.attention), (prediction.tokens_b, own.attention_b)]
            for tokens, weights in sides:
                if tokens is not None and weights is not None:
                    for row in rows_of(weights):
                        console.print(shaded(tokens, row), soft_wrap=True)
        console.print()
    return captured.get()


def shaded(tokens: Sequence[str], weights: Sequence[float]) -> Text:
    """Return words, each on a shade that shows its weight."""
    largest = max(weights, default=0)
    line = Text("  ")
    for i, (token, weight) in enumerate(zip(tokens, weights, strict=True)):
        shade = SHADES[round((len(SHADES) - 1) * weight / largest)] if largest else ""
        line.append(" " * (i > 0)).append(one_line(token), shade)
    return line


def signed(tokens: Sequence[str], weights: Sequence[float]) -> Text:
    """Return words on shades of blue for positive weights, and of orange for negative ones."""
    largest = max(map(abs, weights), default=0)
    line = Text("  ")
    for i, (token, weight) in enumerate(zip(tokens, weights, strict=True)):
        shades = SHADES if weight > 0 else AGAINST
        shade = shades[round((len(shades) - 1) * abs(weight) / largest)] if largest else ""
        line.append(" " * (i > 0)).append(one_line(token), shade)
    return line
