"""Small untrained models of words that are letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from mtl.data.encoding import Batcher
from mtl.embeddings import Concatenation, WordEmbedding
from mtl.heads import Head
from mtl.inference.predictor import Predictor
from mtl.model import MultiTaskModel
from mtl.sharing import Hard
from mtl.targets import Target
from mtl.text.example import Example
from mtl.text.vocabulary import WordVocabulary
from mtl.trunks import LSTMTrunk, Trunk

LETTERS = "abcdefgh"


def untrained(
    heads: Mapping[str, Callable[[], Head]],
    targets: Mapping[str, Target],
    *,
    trunk: Callable[[], Trunk] | None = None,
    layer: int = -1,
    seed: int = 3,
    **options: Any,
) -> Predictor:
    """Return a predictor of a model with random weights, whose hidden states have size 6.

    Args:
        heads: Task to the function that makes its head.
        targets: Task to its target.
        trunk: Makes the trunk; default: an LSTM.
        layer: The layer of the trunk that the heads read; 0: the vectors of words.
        seed: The seed of the weights.
        options: Options of the predictor.
    """
    torch.manual_seed(seed)
    words = WordVocabulary.build(dict.fromkeys(LETTERS, 1))
    embedding = Concatenation({"words": WordEmbedding({"words": words}, dim=6)})
    sharing = Hard(list(heads), trunk or (lambda: LSTMTrunk(6, num_layers=1, hidden_size=3)))
    own, layers = {task: task for task in heads}, dict.fromkeys(heads, layer)
    made = {task: make() for task, make in heads.items()}
    model = MultiTaskModel(embedding, sharing, made, head_of=own, layers=layers).eval()
    defaults = {"max_length": 100, "overlap": 4}
    return Predictor(model, Batcher({"words": words}, targets), **{**defaults, **options})


def text(length: int, start: int = 0) -> Example:
    """Return a sentence whose letters repeat without a simple period."""
    return Example(tuple(LETTERS[(start + i * i) % 8] for i in range(length)))
