"""How probable a text is to a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

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
    """Give each word of a text its log-probability; streams carry their state.

    Args:
        model: The model.
        batcher: Numbers words as in training.
        batches: The text.
        metrics: Task to what makes its (empty) metric; the tasks are language models.
        dynamic: How the model learns from each piece once it was scored; None: it does not. Only
            for tasks that give the next word: they alone have not seen what comes.
        cache: How much of what was read is expected again; None: nothing. For the same tasks.

    Raises:
        MtlError: The text has no probability left: the model learns too fast, or the cache is too
            sure.
    """
    training = model.training
    model.eval()
    counted = {task: make() for task, make in metrics.items()}
    memories = {task: Memory(cache) for task in metrics} if cache else {}
    device = next(model.parameters()).device
    state = None
    try:
        with (
            torch.set_grad_enabled(dynamic is not None),
            dynamic.adapting(model) if dynamic else nullcontext() as step,
        ):
            for index in range(batches.size):
                batch = batches.batch(batcher, 0, index, list(metrics)).to(device)
                if batches.carries and not batch.continues:
                    state = model.sharing.initial_state(len(batch.mask))
                encoding = model.encode(batch, metrics, state)
                hidden = encoding.hidden
                state = mapped(encoding.state, Tensor.detach)
                total = hidden[next(iter(metrics))].new_zeros(())
                for task, metric in counted.items():
                    head, target = model.head(task), batch.targets[task]
                    assert isinstance(head, LanguageModel)
                    found = head.log_probs_of(hidden[task], batch.mask, target)
                    total = total - found.sum()
                    found = found.detach()
                    if task in memories:
                        own = hidden[task].detach()
                        found = memories[task].mix(own, batch.mask, target, found)
                    gold = [of_tokens(example.labels[task]) for example in batch.examples]
                    pairs = zip(gold, found.tolist(), strict=True)
                    metric.update(gold, [row[: len(words)] for words, row in pairs])
                if step:
                    step(total / batch.tokens)
        scores = [score for metric in counted.values() for score in metric.compute().values()]
        if (dynamic or cache) and not all(map(math.isfinite, scores)):
            why = "the model learns from it too fast; try a lower --lr"
            why = why if dynamic else "the cache is too sure; try a lower --theta"
            raise MtlError(f"the text has no probability left: {why}")
        return Evaluation(counted)
    finally:
        model.train(training)
