"""Pretrained word vectors, from their files into a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.config.run import Run
from mtl.data.vectors import read_vectors
from mtl.embeddings import EMBEDDINGS
from mtl.errors import ConfigError, OptionError
from mtl.model import MultiTaskModel
from mtl.text.vocabulary import Vocabulary, WordVocabulary
from mtl.text.vocabulary.base import SPECIAL


class SlotVectors(NamedTuple):
    """The pretrained vectors of a slot of the embedding.

    Args:
        words: The words of the file, or those among them that the training text contains.
        matrix: `[N, D]`, one vector per word.
        keep_all: Whether words are known that the training text lacks.
    """

    words: Sequence[str]
    matrix: NDArray[np.float32]
    keep_all: bool


Vectors = Mapping[str, SlotVectors]
"""Slot to its pretrained vectors."""


def load_vectors(run: Run, counts: Mapping[str, int]) -> Vectors:
    """Return the pretrained vectors of all slots that name a file.

    Args:
        run: The run.
        counts: Number of occurrences of each word in the training text.

    Raises:
        ConfigError: Vectors have another width than the embedding.
    """
    vectors = {}
    for slot, part in run.embedding.items():
        cls = EMBEDDINGS.find(part.type)
        if path := cls.vectors_file(part.options):
            keep_all = cls.keeps_all_vectors(part.options)
            wanted = None if keep_all else cls.vectors_of_text(part.options, counts)
            words, matrix = read_vectors(path, wanted)
            try:
                cls.check_vectors(part.options, matrix.shape[1])
            except OptionError as error:
                raise ConfigError(f"embedding.{slot}.{error}") from error
            vectors[slot] = SlotVectors(words, matrix, keep_all)
    return vectors


def set_vectors(
    model: MultiTaskModel,
    vocabularies: Mapping[str, Vocabulary],
    vectors: Vectors,
    counts: Mapping[str, int],
) -> list[str]:
    """Set the word vectors of a new model to the pretrained ones.

    Args:
        model: The model.
        vocabularies: Feature to vocabulary.
        vectors: The output of `load_vectors`.
        counts: Number of occurrences of each word in the training text.

    Returns:
        For each slot, a note with the share of the training text that has vectors.
    """
    notes = []
    for slot, own in vectors.items():
        embedding = model.embedding.part(slot)
        vocabulary = vocabularies[embedding.vocabulary.feature]
        assert isinstance(vocabulary, WordVocabulary)
        rows = vector_rows(vocabulary, own.words)
        chosen = torch.from_numpy(own.matrix[[*rows.values()]])
        embedding.load_vectors(torch.tensor([*rows], dtype=torch.long), chosen)
        found = [word for word in counts if vocabulary.encode(word)[0] in rows]
        share = sum(counts[word] for word in found) / max(1, sum(counts.values()))
        extra = f"; further words that stay known: {vocabulary.extra:,}" if own.keep_all else ""
        notes.append(
            f"embedding.{slot}: {len(found):,} of {len(counts):,} different words of the training "
            f"text have pretrained vectors, {100 * share:.1f} % of all its words{extra}"
        )
    return notes


def vector_rows(vocabulary: WordVocabulary, words: Sequence[str]) -> dict[int, int]:
    """Return the row of the vector of each id that has one, in the order of the ids.

    The vector of a word is the one of the same string. Else it is the first one whose word has the
    same normalised form, and at last the one of the lower-case form.

    Args:
        vocabulary: The words of a run.
        words: The words of a file of vectors.
    """
    exact = {word: row for row, word in enumerate(words)}
    # The first of several words with one form counts; files begin with frequent words.
    forms = {vocabulary.normalise(word): row for row, word in reversed([*enumerate(words)])}
    rows = {}
    for number, word in enumerate(vocabulary.words[len(SPECIAL) :], len(SPECIAL)):
        row = exact.get(word)
        if row is None:
            row = forms.get(word)
        if row is None:
            row = forms.get(vocabulary.normalise(word.lower()))
        if row is not None:
            rows[number] = row
    return rows
