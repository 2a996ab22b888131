"""How probable a text is to a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from mtl.data.encoding import Encoder
from mtl.data.loader import Loader
from mtl.data.streams import Streams
from mtl.heads.lm import LanguageModel
from mtl.metrics.base import Metric
from mtl.model import MultiTaskModel
from mtl.training.evaluation import Evaluation


@torch.no_grad()
def measure(
    model: MultiTaskModel,
    encoder: Encoder,
    batches: Loader | Streams,
    metrics: Mapping[str, Callable[[], Metric]],
) -> Evaluation:
    """Give each word of a text its log-probability; streams carry their state.

    Args:
        model: The model.
        encoder: Numbers words as in training.
        batches: The text.
        metrics: Task to what makes its (empty) metric; the tasks are language models.
    """
    training = model.training
    model.eval()
    try:
        counted = {task: make() for task, make in metrics.items()}
        device = next(model.parameters()).device
        state = None
        for index in range(batches.size):
            batch = batches.batch(encoder, 0, index, list(metrics)).to(device)
            if batches.carries and not batch.continues:
                state = model.sharing.initial_state(len(batch.mask))
            hidden, encoded = model.encode(batch, metrics, state)
            state = encoded.state
            for task, metric in counted.items():
                head = model.head(task)
                assert isinstance(head, LanguageModel)
                found = head.log_probs_of(hidden[task], batch.mask, batch.targets[task]).tolist()
                gold = [example.labels[task] for example in batch.examples]
                pairs = zip(gold, found, strict=True)
                metric.update(gold, [row[: len(words)] for words, row in pairs])
        return Evaluation(counted)
    finally:
        model.train(training)
