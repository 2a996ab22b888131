"""Sentences whose words are shaded by how much a head looks at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from mtl.cli.formats import Sentence, hops, one_line, shown, shown_confidence
from mtl.cli.tables import plain_console

if TYPE_CHECKING:
    from mtl.inference.explanation import Explanation

SHADES = ("", *(f"white on color({number})" for number in (52, 88, 124, 160, 196)))
"""From nothing to bright red, for weights from 0 to the largest one of the sentence."""


def write_text(sentence: Sentence, answers: Mapping[str, Explanation], spans: set[str]) -> str:
    """Return a sentence for a terminal: each task that looks at words, a line a hop."""
    console = plain_console()
    with console.capture() as captured:
        for task, own in answers.items():
            certain = "" if own.confidence is None else f" ({shown_confidence(own.confidence)})"
            console.print(f"{task}: {shown(own.labels)}{certain}", soft_wrap=True)
            sides = [(sentence, own.attention), (sentence.other, own.attention_b)]
            for side, weights in sides:
                if side is not None and weights is not None:
                    for hop in hops(weights):
                        console.print(shaded(side.tokens, hop), soft_wrap=True)
        console.print()
    return captured.get()


def shaded(tokens: Sequence[str], weights: Sequence[float]) -> Text:
    """Return words, each on a shade by its weight."""
    largest = max(weights, default=0)
    line = Text("  ")
    for i, (token, weight) in enumerate(zip(tokens, weights, strict=True)):
        shade = SHADES[round((len(SHADES) - 1) * weight / largest)] if largest else ""
        line.append(" " * (i > 0)).append(one_line(token), shade)
    return line
