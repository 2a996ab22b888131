"""Elastic weight consolidation of a run that starts from another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mtl.data.corpus import Corpus
from mtl.errors import ConfigError
from mtl.experiment.corpora import tasks_of
from mtl.experiment.experiment import Experiment
from mtl.layers.elastic import Anchor, diagonal_fisher


def anchored(experiment: Experiment, corpora: Mapping[str, Corpus]) -> Anchor | None:
    """Return the penalty on the weights below the heads; None if the run does not ask for it.

    The Fisher information is computed from the initial weights, on the training text of the tasks
    whose heads start from the other run. The labels are drawn from the model, so neither labels
    nor data of the other run are needed. The heads are not held: other tasks do not train them.

    Args:
        experiment: The run, with the weights of the other run.
        corpora: Its corpora by name.

    Raises:
        ConfigError: No task of the other run has text.
    """
    options, model = experiment.run.training.ewc, experiment.model
    if options is None:
        return None
    below = [*model.embedding.parameters(), *model.sharing.parameters()]
    parameters = [own for own in dict.fromkeys(below) if own.requires_grad]
    devices = [experiment.device] if experiment.device.type == "cuda" else []
    fisher: list[Tensor] = []
    with model.evaluating(), torch.random.fork_rng(devices):
        torch.manual_seed(experiment.run.seed)
        for corpus in corpora.values():
            tasks = [t for t in tasks_of(experiment.run, corpus.name) if _held(experiment, t)]
            if tasks:
                losses = _losses(experiment, corpus, tasks, options.sentences)
                own = diagonal_fisher(losses, parameters)
                fisher = [a + b for a, b in zip(fisher, own, strict=True)] if fisher else own
    if not fisher:
        raise ConfigError(
            "training.ewc: no task with one label per token or sentence starts from the run of "
            "trunk.init, so there is nothing to hold; leave it out"
        )
    return Anchor(parameters, fisher, options.weight)


def _held(experiment: Experiment, task: str) -> bool:
    """Return whether a task of the other run takes part in the Fisher information."""
    plain = experiment.batcher.targets[task].plain_labels
    return task in experiment.started and plain and not experiment.model.head(task).adversarial


def _losses(
    experiment: Experiment, corpus: Corpus, tasks: list[str], sentences: int
) -> Iterator[Tensor]:
    """Yield −ln p(y | x) of single sentences, for labels y of all tasks drawn from the model."""
    model = experiment.model
    for example in corpus.splits["train"].limited(sentences):
        if max(map(len, example.texts)) > experiment.run.training.max_length:
            continue
        batch = experiment.batcher.batch([example]).to(experiment.device)
        # cuDNN computes gradients of recurrent layers in training mode only.
        with torch.backends.cudnn.flags(enabled=False):
            hidden = model.encode(batch, tasks).hidden
        terms = []
        for task in tasks:
            with torch.no_grad():
                labels = model.head(task).sample(hidden[task], batch.mask)
            terms.append(model.head(task).loss(hidden[task], batch.mask, labels).sum())
        yield torch.stack(terms).sum()
