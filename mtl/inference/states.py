"""The hidden states of the tokens of sentences. Letters: B windows, T tokens, H width."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.inference.cutting import CHUNK, bounded
from mtl.inference.inputs import Sentences, read_sentences
from mtl.inference.predictor import Predictor


@torch.inference_mode()
def hidden_states(
    predictor: Predictor, sentences: Sentences, task: str
) -> list[NDArray[np.float32]]:
    """Return the hidden states that the head of a task reads, `[T, H]` per sentence.

    Vectors of words that a transformer passes by are left out.

    Args:
        predictor: The predictor of the model.
        sentences: Single sentences.
        task: The task.
    """
    width = predictor.head(task).in_features - predictor.model.embedding.head_size
    found: list[NDArray[np.float32]] = []
    for chunk in bounded(read_sentences(sentences, pairs=False), CHUNK):
        rows = [np.zeros((len(each.example), width), dtype=np.float32) for each in chunk]
        with predictor.evaluating():
            for batch in predictor.encoded(chunk, [task]):
                states = batch.hidden[task][..., :width].float().cpu().numpy()
                for index, own in zip(batch.indices, states, strict=True):
                    row, window = batch.pieces[index]
                    rows[row][window.kept] = own[window.kept_inside]
        found += rows
    return found
