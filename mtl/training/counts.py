"""The labels, tokens and sentences of a step, counted over its parts and over all processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from mtl.data.batch import Batch
from mtl.training.objective import LossUnit, Total, divisor_of, unit_sum
from mtl.training.processes import Processes


class StepCounts(NamedTuple):
    """The counts of one step.

    Args:
        totals: Task to the units that its loss is divided by; empty if no part has labels.
        tokens: Task to the number of tokens of its corpus in the batches that have the task.
        sentences: Corpus to the number of sentences, pairs counted twice. A part of a step has the
            share of its sentences in the penalties.
        lr_factor: The mean of `Batch.lr_factor` over the batches.
        imitated: The number of tokens with hidden states of teachers to imitate.
    """

    totals: Mapping[str, Total]
    tokens: Mapping[str, int]
    sentences: Mapping[str, int]
    lr_factor: float
    imitated: int


def count_step(
    parts: Sequence[Mapping[str, Batch]],
    tasks: Mapping[str, Sequence[str]],
    gold_share: float,
    unit: LossUnit,
    processes: Processes,
) -> StepCounts:
    """Return the counts of a step.

    Args:
        parts: The batches of this process by corpus, in parts. All processes have equally many
            parts; a process without labels in a part has no batch in it.
        tasks: Corpus to all its tasks.
        gold_share: The share of gold labels; see `mean_loss`.
        unit: The unit of the losses.
        processes: The processes of the run.
    """
    batches = [batch for part in parts for batch in part.values()]
    own = dict.fromkeys(task for batch in batches for task in batch.tasks)
    sums = {
        task: unit_sum([batch for batch in batches if task in batch.tasks], task, gold_share, unit)
        for task in own
    }
    tokens: dict[str, int] = defaultdict(int)
    for batch in batches:
        for task in batch.tasks:
            tokens[task] += batch.tokens_of.get(task, batch.tokens)
    sentences: dict[str, int] = defaultdict(int)
    for part in parts:
        for corpus, batch in part.items():
            sentences[corpus] += len(batch.mask)
    factors = [batch.lr_factor for batch in batches]
    imitated = sum(batch.tokens for batch in batches if batch.states is not None)
    if processes.several:
        every = list(dict.fromkeys(task for own in tasks.values() for task in own))
        return _joined(parts, list(tasks), every, sums, tokens, imitated, processes)
    mean = sum(factors) / len(factors) if factors else 1.0
    totals = {task: divisor_of(own) for task, own in sums.items()}
    return StepCounts(totals, tokens, sentences, mean, imitated)


def _joined(
    parts: Sequence[Mapping[str, Batch]],
    corpora: Sequence[str],
    tasks: Sequence[str],
    sums: Mapping[str, Total],
    tokens: Mapping[str, int],
    imitated: int,
    processes: Processes,
) -> StepCounts:
    """Return the sums over all processes of the counts of each."""
    cells = [part.get(corpus) for part in parts for corpus in corpora]
    values = [
        *(0 if batch is None else len(batch.mask) for batch in cells),
        *(0 if batch is None else batch.lr_factor for batch in cells),
        *(float(sums[task].units) if task in sums else 0 for task in tasks),
        *(_scale(sums[task]) if task in sums else 0 for task in tasks),
        *(sums[task].factor if task in sums else 0 for task in tasks),
        *(tokens.get(task, 0) for task in tasks),
        *(task in sums for task in tasks),
        imitated,
    ]
    sizes = [len(cells)] * 2 + [len(tasks)] * 5 + [1]
    rows, factors, units, scales, longest, words, known, states = torch.split(
        processes.exchange(values), sizes, 1
    )
    scale = scales.max(0).values
    # A process without weights, beside others with weights, has weights of 1.
    scales = torch.where((scales == 0) & (known > 0), 1, scales)
    own = torch.where(scale > 0, scales / torch.where(scale > 0, scale, 1), 1)
    units = (units * own).sum(0)
    most = longest.max(0).values.tolist()
    totals = {
        task: divisor_of(Total(units[i], scale[i] if scale[i] > 0 else None, most[i]))
        for i, task in enumerate(tasks)
        if known[:, i].any()
    }
    # The factor of a batch is equal in all processes that have a part of it.
    factor = factors.max(0).values
    batches = max(1, int((factor > 0).sum()))
    by_corpus = rows.sum(0).view(len(parts), len(corpora)).sum(0).tolist()
    return StepCounts(
        totals,
        {task: int(words[:, i].sum()) for i, task in enumerate(tasks) if task in totals},
        {corpus: int(n) for corpus, n in zip(corpora, by_corpus, strict=True) if n},
        float(factor.sum()) / batches,
        int(states.sum()),
    )


def _scale(own: Total) -> float:
    return 0.0 if own.scale is None else float(own.scale)
