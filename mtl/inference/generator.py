"""Text generation with a language model, word by word. Letters: V words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtl.data.encoding import Batcher
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


@torch.no_grad()
def generate(
    model: MultiTaskModel,
    batcher: Batcher,
    task: str,
    prompt: Sequence[str],
    *,
    length: int,
    sampling: Sampling,
    seed: int,
    whole_sentences: bool,
) -> Iterator[str]:
    """Yield the words that follow a prompt, as they are drawn; `END` at the end of a sentence.

    Padding and the unknown word are never drawn.

    Args:
        model: The model, in evaluation mode.
        batcher: Maps words to ids as in training.
        task: A language model that predicts the next word.
        prompt: The words of the prompt; at least one if the model was trained on single sentences.
        length: The most words to generate.
        sampling: How words are drawn.
        seed: The seed of the draws.
        whole_sentences: Whether the model was trained on single sentences; then generation stops
            at the end of a sentence. Otherwise it continues, and `END` precedes the first word.
    """
    random = torch.Generator().manual_seed(seed)
    state = model.sharing.initial_state(1)
    words = tuple(prompt) if whole_sentences else (END, *prompt)
    for _ in range(length):
        log_probs, state = next_word(model, batcher, task, words, state)
        chosen = torch.multinomial(sampling.probabilities(log_probs), 1, generator=random)
        words = (model.head(task).labels[int(chosen)],)
        yield words[0]
        if whole_sentences and words[0] == END:
            return


def next_word(
    model: MultiTaskModel, batcher: Batcher, task: str, words: Sequence[str], state: Any
) -> tuple[Tensor, Any]:
    """Return the log-probability of each next word, `[V]`, and the state after the words read.

    Padding and the unknown word have probability zero.

    Args:
        model: The model, in evaluation mode.
        batcher: Maps words to ids as in training.
        task: A language model that predicts the next word.
        words: The words to read. The state contains the text before them.
        state: The state before them.
    """
    batch = batcher.batch([Example(tuple(words), {})]).to(next(model.parameters()).device)
    encoding = model.encode(batch, [task], state)
    last = encoding.hidden[task][:, -1:]
    log_probs = model.head(task).log_probs(last, batch.mask[:, -1:])[0, 0].cpu()
    log_probs[: len(SPECIAL)] = -torch.inf
    return log_probs.log_softmax(0), encoding.state
