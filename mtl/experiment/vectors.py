"""Pretrained vectors of words, from their files into a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.config.run import Run
from mtl.data.vectors import read_vectors
from mtl.embeddings import WordEmbedding
from mtl.errors import ConfigError
from mtl.model import MultiTaskModel
from mtl.text.vocabulary import Vocabulary

Vectors = Mapping[str, tuple[list[str], NDArray[np.float32]]]
"""Slot to pretrained vectors: the words, and a matrix `[N, D]`."""


def load_vectors(run: Run) -> Vectors:
    """Return the pretrained vectors of the slots that have some.

    Raises:
        ConfigError: They are not as wide as the slot says.
    """
    vectors = {}
    for slot, part in run.embedding.items():
        if path := part.options.get("vectors"):
            words, matrix = read_vectors(path)
            if matrix.shape[1] != part.options["dim"]:
                found = f"{path} has vectors of width {matrix.shape[1]}"
                raise ConfigError(f"embedding.{slot}.dim: {found}, got {part.options['dim']}")
            vectors[slot] = (words, matrix)
    return vectors


def set_vectors(
    model: MultiTaskModel, vocabularies: Mapping[str, Vocabulary], vectors: Vectors
) -> None:
    """Give the words of a fresh model their pretrained vectors."""
    for slot, (words, matrix) in vectors.items():
        vocabulary = vocabularies["words"]
        embedding = model.embedding.get_submodule(f"parts.{slot}")
        assert isinstance(embedding, WordEmbedding)
        # Several words of the file may be one to us, as The and the: the first one counts.
        rows = {vocabulary.encode(word)[0]: row for row, word in reversed([*enumerate(words)])}
        chosen = torch.from_numpy(matrix[list(rows.values())])
        embedding.load_vectors(torch.tensor(list(rows)), chosen)
