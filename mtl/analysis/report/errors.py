"""The wrong predictions of a model, with their sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from mtl.metrics.confusion import NONE
from mtl.metrics.span_f1 import SpanF1
from mtl.text.example import Example
from mtl.text.spans import OUTSIDE, read_spans
from mtl.trained_model import TrainedModel
from mtl.training.evaluation import Evaluation

_AROUND = 12
"""The number of tokens on each side of a wrong token or span."""


class WrongAnswer(NamedTuple):
    """A wrong label of a sentence, token or span.

    Args:
        gold: The gold label; `(none)` for a span that only the model has.
        predicted: The predicted label; `(none)` for a span that the model does not have.
        tokens: The words of the sentence.
        place: The wrong tokens, as the first one and the one after the last; None for labels of
            sentences.
        second: The first token of the second sentence of a pair.
    """

    gold: str
    predicted: str
    tokens: Sequence[str]
    place: tuple[int, int] | None = None
    second: int | None = None

    def sentence(self) -> Markup:
        """Return the sentence for a page, with the wrong tokens marked."""
        if self.place is None:
            texts = (
                [self.tokens]
                if self.second is None
                else [self.tokens[: self.second], self.tokens[self.second :]]
            )
            return Markup(" <b>|</b> ").join(" ".join(text) for text in texts)
        start, end = self.place
        first, last = max(0, start - _AROUND), end + _AROUND
        before, after = self.tokens[first:start], self.tokens[end:last]
        return Markup("{}{} <mark>{}</mark> {}{}").format(
            "… " if first else "",
            " ".join(before),
            " ".join(self.tokens[start:end]),
            " ".join(after),
            " …" if last < len(self.tokens) else "",
        )


def wrong_answers(model: TrainedModel, found: Evaluation, task: str) -> list[WrongAnswer] | None:
    """Return the wrong answers of a task in the order of the data.

    None for tasks without labels, such as numbers and language models.

    Args:
        model: The model.
        found: Its evaluation with labels.
        task: The task.
    """
    if task not in found.gold or not found.pairs.get(task):
        return None
    by_token = model.predictor.targets[task].level == "token"
    answers: list[WrongAnswer] = []
    columns = (found.examples[task], found.gold[task], found.predicted[task])
    for example, gold, predicted in zip(*columns, strict=True):
        if not by_token:
            if gold != predicted:
                text = example.tokens
                answers.append(
                    WrongAnswer(_text(gold), _text(predicted), text, second=example.second)
                )
        elif isinstance(found.metrics[task], SpanF1):
            answers += _spans(example, gold, predicted)
        else:
            answers += _tokens(example, gold, predicted)
    return answers


def _text(label: Any) -> str:
    """Return a label or a list of labels as text."""
    return label if isinstance(label, str) else ", ".join(map(str, label)) or NONE


def _tokens(
    example: Example, gold: Sequence[Any], predicted: Sequence[Any]
) -> Iterator[WrongAnswer]:
    for place, (right, own) in enumerate(zip(gold, predicted, strict=True)):
        if right is not None and right != own:
            yield WrongAnswer(_text(right), _text(own), example.tokens, (place, place + 1))


def _spans(
    example: Example, gold: Sequence[str | None], predicted: Sequence[str]
) -> Iterator[WrongAnswer]:
    # Tokens without a gold tag are outside of spans on both sides, as the metric counts them.
    known = [tag is not None for tag in gold]
    tags = [tag or OUTSIDE for tag in gold]
    own = [tag if there else OUTSIDE for tag, there in zip(predicted, known, strict=True)]
    sides = [{(s.start, s.end): s.type for s in read_spans(side)} for side in (tags, own)]
    for place in sorted(sides[0].keys() | sides[1].keys()):
        right, guess = (side.get(place, NONE) for side in sides)
        if right != guess:
            yield WrongAnswer(right, guess, example.tokens, place)


def chosen(answers: Sequence[WrongAnswer], most: int) -> list[WrongAnswer]:
    """Return at most this many answers, evenly spaced over the data."""
    if len(answers) <= most:
        return list(answers)
    return [answers[i * len(answers) // most] for i in range(most)]
