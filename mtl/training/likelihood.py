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
            confident.
    """
    training = model.training
    model.eval()
    counted = {task: make() for task, make in metrics.items()}
    memories = {task: Memory(cache) for task in metrics} if cache else {}
    device = next(model.parameters()).device
    state = None
    past: dict[str, Tensor] = {}
    """Task to the states before the chunk that its head attends to."""
    try:
        with (
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
                hidden = inputs.hidden
                state = mapped(inputs.state, Tensor.detach)
                total = hidden[next(iter(metrics))].new_zeros(())
                for task, metric in counted.items():
                    head, target = model.head(task), batch.targets[task]
                    assert isinstance(head, LanguageModel)
                    states = hidden[task]
                    if task in past:
                        states = torch.cat([past[task], states], dim=1)
                    before = states.shape[1] - batch.mask.shape[1]
                    log_probs = head.log_probs_of(
                        states,
                        functional.pad(batch.mask, (before, 0), value=True),
                        functional.pad(target, (before, 0)),
                    )[:, before:]
                    if head.reach and batches.carries:
                        past[task] = states[:, -head.reach :].detach()
                    total = total - log_probs.sum()
                    log_probs = log_probs.detach()
                    if task in memories:
                        states = hidden[task].detach()
                        log_probs = memories[task].mix(states, batch.mask, target, log_probs)
                    gold = [of_tokens(example.labels[task]) for example in batch.examples]
                    rows = zip(gold, log_probs.tolist(), strict=True)
                    metric.update(gold, [row[: len(words)] for words, row in rows])
                if step:
                    step(total / batch.tokens)
        scores = [score for metric in counted.values() for score in metric.compute().values()]
        if (dynamic or cache) and not all(map(math.isfinite, scores)):
            if dynamic:
                raise MtlError("infinite perplexity: dynamic evaluation diverged; lower --lr")
            raise MtlError("infinite perplexity: the cache is too confident; lower --theta")
        return Evaluation(counted)
    finally:
        model.train(training)
