"""Predictions of classifiers that read the characters of a text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction


def in_characters(
    sentences: Iterable[Sentence], label: Callable[[Iterable[Sentence]], Iterator[Prediction]]
) -> Iterator[Prediction]:
    """Yield the predictions for items whose characters are labelled, with the items themselves.

    Args:
        sentences: The items, with words as tokens.
        label: Yields one prediction per item, in order.
    """
    read: deque[Sentence] = deque()

    def cut() -> Iterator[Sentence]:
        for sentence in sentences:
            read.append(sentence)
            yield sentence.in_characters()

    for prediction in label(cut()):
        prediction.sentence = read.popleft()
        yield prediction
