"""The log-likelihood of text under a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from mtl.data.encoding import Batcher
from mtl.data.loader import Loader
from mtl.data.streams import Streams
from mtl.errors import MtlError
from mtl.heads.lm import LanguageModel
from mtl.metrics.base import Metric
from mtl.model import MultiTaskModel
from mtl.text.example import of_tokens
from mtl.training.cache import Cache, Memory
from mtl.training.dynamic import Dynamic
from mtl.training.evaluation import Evaluation
from mtl.trunks.base import mapped


def measure(
    model: MultiTaskModel,
    batcher: Batcher,
    batches: Loader | Streams,
    metrics: Mapping[str, Callable[[], Metric]],
    *,
    dynamic: Dynamic | None = None,
    cache: Cache | None = None,
) -> Evaluation:
    """Measure the log-probability of each word of a text. The state is carried along streams.

    Args:
        model: The model.
        batcher: Maps words to ids as in training.
        batches: The text.
        metrics: Task to a function that makes its (empty) metric; the tasks are language models.
        dynamic: Options of dynamic evaluation, in which the model learns from each chunk after it
            has scored it; None: no learning. Only for tasks that predict the next word: other
            language models have seen the words to come.
        cache: Options of the neural cache; None: no cache. For the same tasks.

    Raises:
        MtlError: The perplexity is infinite: dynamic evaluation diverged, or the cache is too
            confident. Or there is a cache, and a metric reads the ranks of words.
    """
    ranked = [task for task, make in metrics.items() if make().reads_ranks]
    if cache and ranked:
        raise MtlError(
            f"task {ranked[0]!r}: the cache changes the probability of the gold word alone, and "
            "the metric compares it with all words; evaluate without --cache"
        )
    counted = {task: make() for task, make in metrics.items()}
    memories = {task: Memory(cache) for task in metrics} if cache else {}
    device = next(model.parameters()).device
    state = None
    past: dict[str, Tensor] = {}
    """Task to the states before the chunk that its head attends to."""
    with (
        model.evaluating(),
        torch.set_grad_enabled(dynamic is not None),
        dynamic.adapting(model) if dynamic else nullcontext() as step,
    ):
        for index in range(batches.size):
            batch = batches.batch(batcher, 0, index, list(metrics)).to(device)
            if not len(batch.mask):  # a process may have no part of it
                continue
            if batches.carries and not batch.continues:
                state = model.sharing.initial_state(len(batch.mask))
                past.clear()
            inputs = model.encode(batch, metrics, state)
            state = mapped(inputs.state, Tensor.detach)
            loss = torch.zeros((), device=device)
            for task, metric in counted.items():
                head, hidden, target = model.head(task), inputs.hidden[task], batch.targets[task]
                assert isinstance(head, LanguageModel)
                states, mask = _after(past.get(task), hidden, batch.mask)
                if head.reach and batches.carries:
                    past[task] = states[:, -head.reach :].detach()
                log_probs = _log_probs(head, states, mask, target)
                loss = loss - log_probs.sum()
                values = log_probs.detach()
                if metric.reads_ranks:
                    values = _ranks(head, states.detach(), mask, target)
                elif task in memories:
                    values = memories[task].mix(hidden.detach(), batch.mask, target, values)
                gold = [of_tokens(example.labels[task]) for example in batch.examples]
                rows = zip(gold, values.tolist(), strict=True)
                metric.update(gold, [row[: len(words)] for words, row in rows])
            if step:
                step(loss / batch.tokens)
    scores = [score for metric in counted.values() for score in metric.compute().values()]
    if (dynamic or cache) and not all(map(math.isfinite, scores)):
        if dynamic:
            raise MtlError("infinite perplexity: dynamic evaluation diverged; lower --lr")
        raise MtlError("infinite perplexity: the cache is too confident; lower --theta")
    return Evaluation(counted)


def _after(past: Tensor | None, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states of a chunk after P earlier ones, `[B, P + T, H]`, and their mask.

    Args:
        past: The earlier states, `[B, P, H]`; None: P = 0.
        hidden: The states of the chunk, `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens.
    """
    if past is None:
        return hidden, mask
    return torch.cat([past, hidden], dim=1), functional.pad(mask, (past.shape[1], 0), value=True)


def _log_probs(head: LanguageModel, states: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    """Return the log-probability of each target word, `[B, T]`; arguments as for `_ranks`."""
    before = states.shape[1] - target.shape[1]
    return head.log_probs_of(states, mask, functional.pad(target, (before, 0)))[:, before:]


@torch.no_grad()
def _ranks(head: LanguageModel, states: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    """Return the number of words that are more probable than the target word, `[B, T]`.

    Args:
        head: The head.
        states: `[B, P + T, H]`, where P states precede the text.
        mask: `[B, P + T]` bool, True on real tokens.
        target: `[B, T]` ids of words; the result is arbitrary where it is negative.
    """
    ranks = torch.zeros_like(target)
    length = target.shape[1]
    for row, words in enumerate(target.clamp(min=0)):  # all rows at once would need much memory
        one = slice(row, row + 1)
        log_probs = head.log_probs(states[one], mask[one])[0, -length:]
        ranks[row] = (log_probs > log_probs.gather(1, words.unsqueeze(1))).sum(1)
    return ranks
