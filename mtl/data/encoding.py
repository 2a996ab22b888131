"""From examples to batches of numbers. Letters: B sentences, T tokens, U distinct words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtl.data.batch import MISSING, Batch
from mtl.text.example import Example, Labels
from mtl.text.labels import LabelVocabulary
from mtl.text.vocabulary import PAD, Vocabulary


class Encoder:
    """Makes batches: numbers every distinct word once, pads, numbers the labels.

    Args:
        vocabularies: Feature name to vocabulary.
        labels: Task to the numbering of its labels.
    """

    def __init__(
        self, vocabularies: Mapping[str, Vocabulary], labels: Mapping[str, LabelVocabulary]
    ) -> None:
        self.vocabularies = dict(vocabularies)
        self.labels = dict(labels)
        self._known: dict[str, dict[str, Sequence[int]]] = {name: {} for name in vocabularies}

    def batch(self, examples: Sequence[Example], tasks: Sequence[str] = ()) -> Batch:
        """Return the examples as a batch, with targets for some tasks.

        A task that none of the examples has labels for is left out.

        Args:
            examples: At least one.
            tasks: The tasks whose labels become targets.
        """
        rows: dict[str, int] = {}
        types, mask = pad([number(example.tokens, rows) for example in examples])
        features = {"types": types}
        for feature, vocabulary in self.vocabularies.items():
            codes = self._codes(vocabulary, rows)
            if vocabulary.width == 1:
                features[feature] = np.array([PAD, *(code[0] for code in codes)])[types]
            else:
                features[feature] = _pad(codes, vocabulary.width)
        targets = {
            task: self._target(task, [example.labels.get(task) for example in examples], mask)
            for task in tasks
            if any(task in example.labels for example in examples)
        }
        return Batch(
            {name: torch.from_numpy(array) for name, array in features.items()},
            torch.from_numpy(mask),
            targets,
            examples,
        )

    def _codes(self, vocabulary: Vocabulary, words: Mapping[str, int]) -> list[Sequence[int]]:
        known = self._known[vocabulary.feature]
        if len(known) > 1_000_000:  # an endless stream of text must not fill the memory
            known.clear()
        for word in words:
            if word not in known:
                known[word] = vocabulary.encode(word)
        return [known[word] for word in words]

    def _target(self, task: str, labels: Sequence[Labels | None], mask: np.ndarray) -> Tensor:
        vocabulary = self.labels[task]
        if vocabulary.level == "sentence":
            numbers = [MISSING if label is None else vocabulary.encode(label) for label in labels]
            return torch.tensor(numbers, dtype=torch.long)
        target = np.full(mask.shape, MISSING, dtype=np.int64)
        for row, tags in zip(target, labels, strict=True):
            if tags is not None:
                row[: len(tags)] = vocabulary.encode(tags)
        return torch.from_numpy(target)


def number(tokens: Sequence[str], numbers: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of each word, from 1; words that have none yet are given the next."""
    return np.array([numbers.setdefault(t, len(numbers) + 1) for t in tokens], dtype=np.int64)


def pad(rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return rows of any length as one array `[B, T]`, and the mask of what is no padding."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(max(lengths.max(), 1)) < lengths[:, None]
    padded = np.full(mask.shape, PAD, dtype=np.int64)
    padded[mask] = np.concatenate(rows)
    return padded, mask


def _pad(codes: Sequence[Sequence[int]], width: int | None) -> np.ndarray:
    """Return the codes of each word as a row `[U, C]`, padded on the right."""
    if width is not None:
        return np.array(codes, dtype=np.int64).reshape(len(codes), width)
    padded = np.full((len(codes), max(map(len, codes), default=1)), PAD, dtype=np.int64)
    for row, code in zip(padded, codes, strict=True):
        row[: len(code)] = code
    return padded
