"""Encode examples as batches of ids. Letters: B sentences, T tokens, U distinct words."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count, repeat

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.data.batch import Batch
from mtl.targets import Target
from mtl.text.example import Example
from mtl.text.vocabulary import PAD, TransformerVocabulary, Vocabulary

_MOST_WORDS = 1 << 16
"""The most words whose ids are cached, so that an endless stream does not fill the memory."""
_LONGEST_WORD = 64
"""The most characters of a cached word; longer strings are rarely seen again."""


class Batcher:
    """Makes padded batches: encodes each distinct word once, and encodes the labels.

    Args:
        vocabularies: Feature name to vocabulary.
        targets: Task to its target.
    """

    def __init__(
        self, vocabularies: Mapping[str, Vocabulary], targets: Mapping[str, Target]
    ) -> None:
        self.vocabularies = dict(vocabularies)
        self.targets = dict(targets)
        features = list(self.vocabularies)
        subwords = TransformerVocabulary.feature
        self._subwords = features.index(subwords) if subwords in features else None
        self._known: dict[str, tuple[bytes, ...]] = {}
        """Word to its ids in each vocabulary, as bytes of int64, which are the fastest to join."""

    def batch(self, examples: Sequence[Example], tasks: Sequence[str] = ()) -> Batch:
        """Return the examples as a batch, with targets for some tasks.

        Tasks without a label in any example are left out. For pairs, the rows of all first
        sentences precede the rows of all second sentences.

        Args:
            examples: Either all are pairs, or none is. Without any, all tensors are empty.
            tasks: The tasks whose labels become targets.
        """
        if not examples:
            return Batch({}, torch.zeros(0, 1, dtype=torch.bool), {})
        rows: dict[str, int] = {}
        sides = zip(*(example.texts for example in examples), strict=True)
        texts = [text for side in sides for text in side]
        words = [word for text in texts for word in text]
        types, mask = pad([len(text) for text in texts], number(words, rows))
        features = {"types": types}
        known = zip(*self._codes(rows), strict=True) if rows else repeat(())
        for (feature, vocabulary), codes in zip(self.vocabularies.items(), known, strict=False):
            flat = np.frombuffer(b"".join(codes), dtype=np.int64)
            if vocabulary.width == 1:
                # One id per word: a plain lookup per token replaces the second level of types.
                features[feature] = np.concatenate([[PAD], flat])[types]
            else:
                lengths = np.array([*map(len, codes)], dtype=np.int64) // flat.itemsize
                # A fixed width must hold also in a batch without words.
                features[feature] = pad(lengths, flat, least=vocabulary.width or 1)[0]
        targets = {
            task: self.targets[task].tensor(
                [example.labels.get(task) for example in examples], mask.shape[1]
            )
            for task in tasks
            if any(task in example.labels for example in examples)
        }
        weights = {
            task: torch.tensor([example.weights.get(task, 1.0) for example in examples])
            for task in targets
            if any(task in example.weights for example in examples)
        }
        return Batch(
            {name: torch.from_numpy(array) for name, array in features.items()},
            torch.from_numpy(mask),
            targets,
            examples,
            weights=weights,
        )

    def merged(self, batches: Mapping[str, Batch]) -> dict[str, Batch]:
        """Return the batches of several corpora as one, under the name of the first corpus.

        Args:
            batches: Corpus to its batch: sentences with gold labels alone, and no pairs.
        """
        if len(batches) < 2:
            return dict(batches)
        parts = batches.values()
        tokens = {task: part.tokens for part in parts for task in part.tasks}
        examples = [example for part in parts for example in part.examples]
        whole = self.batch(examples, list(tokens))
        return {next(iter(batches)): replace(whole, mixed=True, tokens_of=tokens)}

    @property
    def reads_subwords(self) -> bool:
        """Whether the trunk reads the subwords of a pretrained transformer."""
        return self._subwords is not None

    def positions(self, words: Sequence[str]) -> int:
        """Return the number of positions that the trunk reads for a text: its words or subwords.

        The special tokens of a transformer are not counted.
        """
        if self._subwords is None:
            return len(words)
        item = np.dtype(np.int64).itemsize
        return sum(len(code[self._subwords]) for code in self._codes(words)) // item

    def _codes(self, words: Iterable[str]) -> list[tuple[bytes, ...]]:
        if len(self._known) > _MOST_WORDS:
            self._known.clear()
        # Each word is looked up once: another thread may clear the cache at any time.
        known = self._known.get
        return [known(word) or self._code(word) for word in words]

    def _code(self, word: str) -> tuple[bytes, ...]:
        vocabularies = self.vocabularies.values()
        code = tuple(array("q", vocabulary.encode(word)).tobytes() for vocabulary in vocabularies)
        if len(word) <= _LONGEST_WORD:
            self._known[word] = code
        return code


def number(words: Iterable[str], numbers: dict[str, int]) -> list[int]:
    """Return the row of each word, from 1. New words get the next row, also in `numbers`."""
    words = list(words)
    new = [word for word in dict.fromkeys(words) if word not in numbers]
    numbers.update(zip(new, count(len(numbers) + 1), strict=False))  # row 0 is padding
    return [*map(numbers.__getitem__, words)]


def pad(
    lengths: Sequence[int] | NDArray[np.int64],
    numbers: Sequence[int] | NDArray[np.int64],
    *,
    least: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return ids in rows `[B, T]`, padded on the right, and the mask, True on real ids.

    Args:
        lengths: The number of ids in each of the B rows.
        numbers: The ids of all rows, concatenated.
        least: T is at least this.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    mask = np.arange(counts.max(initial=least)) < counts[:, None]
    padded = np.full(mask.shape, PAD, dtype=np.int64)
    padded[mask] = numbers
    return padded, mask
