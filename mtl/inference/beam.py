"""Beam search: a probable continuation of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtl.data.encoding import Batcher
from mtl.inference.generator import next_word
from mtl.model import MultiTaskModel
from mtl.text.running import END


@dataclass(frozen=True)
class _Hypothesis:
    """The words of a continuation, and all that is needed to extend it."""

    score: float
    words: tuple[str, ...]
    log_probs: Tensor
    state: Any

    @property
    def ended(self) -> bool:
        return self.words[-1:] == (END,)


@torch.no_grad()
def beam_search(
    model: MultiTaskModel,
    batcher: Batcher,
    task: str,
    prompt: Sequence[str],
    *,
    length: int,
    beam: int,
    whole_sentences: bool,
) -> Iterator[str]:
    """Yield the words of the most probable continuation that a beam search finds (Lowerre 1976).

    At each step, all continuations in the beam are extended by all words, and the most probable
    ones stay. A continuation that ends within `length` words competes by its probability, without
    a correction for its length. Padding and the unknown word do not occur.

    Args:
        model: The model, in evaluation mode.
        batcher: Maps words to ids as in training.
        task: A language model that predicts the next word.
        prompt: The words of the prompt; at least one if the model was trained on single sentences.
        length: The most words to generate.
        beam: The number of continuations in the beam; 1 takes the most probable word each time.
        whole_sentences: As for `generate`: whether a continuation ends with its sentence.
    """
    words = tuple(prompt) if whole_sentences else (END, *prompt)
    begin = next_word(model, batcher, task, words, model.sharing.initial_state(1))
    kept = [_Hypothesis(0.0, (), *begin)]
    labels = model.head(task).labels
    for _ in range(length):
        # A finished continuation competes with the extended ones.
        finished = [own for own in kept if whole_sentences and own.ended]
        growing = [own for own in kept if not (whole_sentences and own.ended)]
        if not growing:
            break
        extended = []
        for own in growing:
            values, ids = own.log_probs.topk(min(beam, len(labels)))
            extended += [
                (own.score + value, own, word)
                for value, word in zip(values.tolist(), ids.tolist(), strict=True)
            ]
        ranked = sorted([*((own.score, own, -1) for own in finished), *extended], key=_rank)
        kept = [
            own if word < 0 else _extend(own, score, labels[word], model, batcher, task)
            for score, own, word in ranked[:beam]
        ]
    yield from kept[0].words


def _rank(candidate: tuple[float, _Hypothesis, int]) -> float:
    return -candidate[0]


def _extend(
    own: _Hypothesis, score: float, word: str, model: MultiTaskModel, batcher: Batcher, task: str
) -> _Hypothesis:
    return _Hypothesis(
        score, (*own.words, word), *next_word(model, batcher, task, (word,), own.state)
    )
