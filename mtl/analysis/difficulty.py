"""Affinities of tasks from the sentences that are difficult for both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.streams import Streams
from mtl.experiment.corpora import tasks_of
from mtl.experiment.loaders import batch_limits, make_loader
from mtl.targets import labelled
from mtl.text.example import Labels
from mtl.trained_model import TrainedModel

Losses = Mapping[str, NDArray[np.float64]]
"""Task to the loss of each sentence of a corpus, NaN without a label."""


@torch.inference_mode()
def sentence_losses(
    model: TrainedModel, corpora: Mapping[str, Corpus], tasks: Sequence[str]
) -> list[Losses]:
    """Return the losses per label of the sentences of each corpus.

    The sentences are of the dev split, or without one, of the training data. Language models on
    streams are left out.

    Args:
        model: A model of all tasks.
        corpora: Its corpora by name.
        tasks: The tasks.
    """
    found: list[Losses] = []
    (network,) = model.networks
    run, batcher = model.run, model.experiment.batcher
    network.eval()
    for name, corpus in corpora.items():
        own = [task for task in tasks_of(run, name) if task in tasks]
        loader = make_loader(run, corpus, _split(corpus), own, batcher=batcher, streams=1)
        if isinstance(loader, Streams) or not own:
            continue
        parts: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        for index in range(loader.size):
            batch = loader.batch(batcher, 0, index, own).to(next(network.parameters()).device)
            output = network(batch)
            for task in own:
                values = np.full(len(batch.examples), np.nan)
                if task in batch.targets:
                    known = labelled(batch.targets[task])
                    counts = (known.long() if known.ndim == 1 else known.sum(1)).cpu().numpy()
                    losses = output.losses[task].double().cpu().numpy()
                    values[counts > 0] = losses[counts > 0] / counts[counts > 0]
                parts[task].append(values)
        found.append({task: np.concatenate(values) for task, values in parts.items()})
    return found


def have_common_labels(run: Run, corpora: Mapping[str, Corpus], tasks: Sequence[str]) -> bool:
    """Return whether a sentence that `sentence_losses` reads has labels of two tasks.

    Args:
        run: A run of all tasks.
        corpora: Its corpora by name.
        tasks: The tasks.
    """
    for name, corpus in corpora.items():
        own = [task for task in tasks_of(run, name) if task in tasks]
        if len(own) < 2 or batch_limits(run, name).streams is not None:
            continue
        split = corpus.splits[_split(corpus)]
        for golds in zip(*(split.labels(task) for task in own), strict=True):
            if sum(map(_is_labelled, golds)) > 1:
                return True
    return False


def _is_labelled(gold: Labels | None) -> bool:
    """Return whether a sentence has a label, or one of its tokens."""
    missing = isinstance(gold, tuple) and gold and all(own is None for own in gold)
    return gold is not None and not missing


def _split(corpus: Corpus) -> str:
    """Return the split whose sentences are compared."""
    return "dev" if "dev" in corpus.splits else "train"


def difficulty_affinities(corpora: Sequence[Losses]) -> dict[tuple[str, str], float]:
    """Return the agreement of two tasks on the difficult sentences above chance (Lu et al. 2017).

    A sentence is difficult for a task, e = 1, if its loss exceeds the mean loss of the task. The
    affinity of the paper is A = P(e_i = e_j), here minus its value for independent e_i and e_j with
    the same means, so that it is 0 for unrelated tasks. Instead of the margins of the paper,
    |target − score|, losses are compared, which all forms of labels have.

    Args:
        corpora: The losses of each corpus.

    Returns:
        Task and other task to the affinity, from −0.5 to 0.5. Pairs without common labelled
        sentences are omitted.
    """
    found = {}
    for losses in corpora:
        for one, other in permutations(losses, 2):
            both = ~np.isnan(losses[one]) & ~np.isnan(losses[other])
            if both.any():
                hard = [own[both] > own[both].mean() for own in (losses[one], losses[other])]
                p, q = (own.mean() for own in hard)
                chance = p * q + (1 - p) * (1 - q)
                found[one, other] = float(np.mean(hard[0] == hard[1]) - chance)
    return found
