"""Pretrained word vectors, from their files into a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.config.run import Run
from mtl.data.vectors import read_vectors
from mtl.embeddings import EMBEDDINGS
from mtl.errors import ConfigError, OptionError
from mtl.model import MultiTaskModel
from mtl.text.vocabulary import Vocabulary

Vectors = Mapping[str, tuple[list[str], NDArray[np.float32]]]
"""Slot to pretrained vectors: the words, and a matrix `[N, D]`."""


def load_vectors(run: Run) -> Vectors:
    """Return the pretrained vectors of all slots that name a file.

    Raises:
        ConfigError: Vectors have another width than the embedding.
    """
    vectors = {}
    for slot, part in run.embedding.items():
        cls = EMBEDDINGS.find(part.type)
        if path := cls.vectors_file(part.options):
            words, matrix = read_vectors(path)
            try:
                cls.check_vectors(part.options, matrix.shape[1])
            except OptionError as error:
                raise ConfigError(f"embedding.{slot}.{error}") from error
            vectors[slot] = (words, matrix)
    return vectors


def set_vectors(
    model: MultiTaskModel, vocabularies: Mapping[str, Vocabulary], vectors: Vectors
) -> None:
    """Set the word vectors of a new model to the pretrained ones."""
    for slot, (words, matrix) in vectors.items():
        embedding = model.embedding.part(slot)
        vocabulary = vocabularies[embedding.vocabulary.feature]
        # Several words of the file may be one word here, such as The and the: the first one counts.
        rows = {vocabulary.encode(word)[0]: row for row, word in reversed([*enumerate(words)])}
        chosen = torch.from_numpy(matrix[list(rows.values())])
        embedding.load_vectors(torch.tensor(list(rows)), chosen)
