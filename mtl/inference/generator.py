"""Text generation with a language model: sampling and beam search. Letters: V words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtl.data.encoding import Batcher
from mtl.heads import LanguageModel
from mtl.model import MultiTaskModel
from mtl.text.example import Example
from mtl.text.running import END
from mtl.text.vocabulary.base import SPECIAL


@dataclass(frozen=True)
class Sampling:
    """How the next word is drawn.

    Args:
        temperature: The logits are divided by this: below 1 likely words become likelier.
        top_k: Words are drawn from the `top_k` most likely words (Fan et al. 2018); 1 always takes
            the most likely word; None: all words.
        top_p: Words are drawn from the smallest set of most likely words whose probabilities sum to
            at least `top_p` (nucleus sampling, Holtzman et al. 2020).

    Raises:
        ValueError: An option is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature: expected a number above 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k: expected a whole number of at least 1, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: expected a number in (0, 1], got {self.top_p}")

    def probabilities(self, log_probs: Tensor) -> Tensor:
        """Return the probability of drawing each word, `[V]`, from log-probabilities `[V]`."""
        scores, order = (log_probs.double() / self.temperature).sort(descending=True, stable=True)
        sorted_probs = scores[: self.top_k].softmax(0)
        # The mass before each word: the word that crosses `top_p` is kept, so one always remains.
        before = sorted_probs.cumsum(0) - sorted_probs
        kept = sorted_probs.masked_fill(before >= self.top_p, 0)
        drawn = torch.zeros_like(scores)
        drawn[order[: self.top_k]] = kept / kept.sum()
        return drawn


@dataclass(frozen=True)
class Beam:
    """Beam search (Lowerre 1976): a probable text in place of a random one.

    At each step, all continuations in the beam are extended by all words, and the most probable
    ones stay. A continuation that ends early competes by its probability, without a correction for
    its length.

    Args:
        width: The number of continuations in the beam; 1 takes the most probable word each time.

    Raises:
        ValueError: The width is below 1.
    """

    width: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width: expected a whole number of at least 1, got {self.width}")


@torch.no_grad()
def generate(
    model: MultiTaskModel,
    batcher: Batcher,
    task: str,
    prompt: Sequence[str],
    *,
    length: int,
    sampling: Sampling | Beam,
    seed: int,
    whole_sentences: bool,
) -> Iterator[str]:
    """Yield the words that follow a prompt; `END` at the end of a sentence.

    Words are yielded as they are drawn, and after a beam search all at once. Padding and the
    unknown word never occur.

    Args:
        model: The model, in evaluation mode.
        batcher: Maps words to ids as in training.
        task: A language model that predicts the next word.
        prompt: The words of the prompt; at least one if the model was trained on single sentences.
        length: The most words to generate.
        sampling: How words are chosen.
        seed: The seed of the draws of sampling.
        whole_sentences: Whether the model was trained on single sentences; then generation stops
            at the end of a sentence. Otherwise it continues, and `END` precedes the first word.
    """
    words = tuple(prompt) if whole_sentences else (END, *prompt)
    if isinstance(sampling, Beam):
        width = sampling.width
        yield from _search(model, batcher, task, words, length, width, whole_sentences)
        return
    random = torch.Generator().manual_seed(seed)
    text = _ReadText(model.sharing.initial_state(1))
    for _ in range(length):
        log_probs, text = _next_word(model, batcher, task, words, text)
        chosen = torch.multinomial(sampling.probabilities(log_probs), 1, generator=random)
        words = (model.head(task).labels[int(chosen)],)
        yield words[0]
        if whole_sentences and words[0] == END:
            return


@dataclass(frozen=True)
class _ReadText:
    """The text so far, so that the next step reads only new words.

    Args:
        carried: The state of the trunks.
        past: The last hidden states, `[1, T, H]`, that the attention of the head reads; None at the
            beginning.
    """

    carried: Any
    past: Tensor | None = None


def _next_word(
    model: MultiTaskModel, batcher: Batcher, task: str, words: Sequence[str], text: _ReadText
) -> tuple[Tensor, _ReadText]:
    """Return the log-probability of each next word, `[V]`, and the text with the words read.

    It is −inf for padding and the unknown word.

    Args:
        model: The model, in evaluation mode.
        batcher: Maps words to ids as in training.
        task: A language model that predicts the next word.
        words: The words to read.
        text: The text before them.
    """
    batch = batcher.batch([Example(tuple(words), {})]).to(next(model.parameters()).device)
    encoding = model.encode(batch, [task], text.carried)
    head = model.head(task)
    assert isinstance(head, LanguageModel)
    states = encoding.hidden[task]
    states = states if text.past is None else torch.cat([text.past, states], dim=1)
    past = states[:, -head.reach - 1 :]  # the last state, and those that it attends to
    log_probs = head.log_probs(past, past.new_ones(past.shape[:2]).bool())[0, -1].cpu()
    log_probs[: len(SPECIAL)] = -torch.inf
    return log_probs, _ReadText(encoding.state, past)


@dataclass(frozen=True)
class _Hypothesis:
    """The words of a continuation, and all that is needed to extend it."""

    score: float
    words: tuple[str, ...]
    log_probs: Tensor
    text: _ReadText

    @property
    def ended(self) -> bool:
        return self.words[-1:] == (END,)


def _search(
    model: MultiTaskModel,
    batcher: Batcher,
    task: str,
    words: Sequence[str],
    length: int,
    width: int,
    whole_sentences: bool,
) -> tuple[str, ...]:
    """Return the words of the continuation that a beam search finds; see `generate`."""
    begin = _next_word(model, batcher, task, words, _ReadText(model.sharing.initial_state(1)))
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
            values, ids = own.log_probs.log_softmax(0).topk(min(width, len(labels)))
            extended += [
                (own.score + value, own, word)
                for value, word in zip(values.tolist(), ids.tolist(), strict=True)
            ]
        ranked = sorted([*((own.score, own, -1) for own in finished), *extended], key=_rank)
        kept = [
            own if word < 0 else _extend(own, score, labels[word], model, batcher, task)
            for score, own, word in ranked[:width]
        ]
    return kept[0].words


def _rank(candidate: tuple[float, _Hypothesis, int]) -> float:
    return -candidate[0]


def _extend(
    own: _Hypothesis, score: float, word: str, model: MultiTaskModel, batcher: Batcher, task: str
) -> _Hypothesis:
    return _Hypothesis(
        score, (*own.words, word), *_next_word(model, batcher, task, (word,), own.text)
    )
