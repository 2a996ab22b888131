"""Heads that start at the frequencies of labels in the training data. Letters: N rows, K labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.experiment.build import head_owners
from mtl.heads.single_label import SingleLabelHead
from mtl.targets import Target, labelled

_SENTENCES = 2000
"""The most sentences per task whose labels are counted."""


def start_at_frequencies(
    run: Run,
    corpora: Mapping[str, Corpus],
    targets: Mapping[str, Target],
    heads: nn.ModuleDict,
) -> None:
    """Set the biases of all heads of labels and numbers; see `SingleLabelHead.start`."""
    for owner, head in heads.items():
        if not isinstance(head, SingleLabelHead):
            continue
        target, size = targets[owner], len(targets[owner].labels)
        counts, number = torch.zeros(size), 0
        for task in [task for task, own in head_owners(run).items() if own == owner]:
            split = corpora[run.tasks[task].corpus].splits["train"]
            few = split.with_labels(task).limited(_SENTENCES)
            gold = [own for own in few.labels(task) if own is not None]
            if gold:
                rows = _rows(target.tensor(gold, max(map(_tokens, gold))), size)
                counts, number = counts + rows.sum(0), number + len(rows)
        if number:  # otherwise all labels come from teachers
            head.start(counts, number)


def _tokens(gold: object) -> int:
    """Return the number of tokens of a gold value, 1 for a sentence."""
    return len(gold) if isinstance(gold, tuple) else 1


def _rows(target: Tensor, size: int) -> Tensor:
    """Return the probability of each label, `[N, K]`, in each row with a gold value."""
    values = target[labelled(target)]
    if not size:  # numbers
        return values.new_zeros(len(values), 0)
    if values.dtype == torch.int64:
        return nn.functional.one_hot(values, size).float()
    if values.dtype == torch.bool:  # possible labels
        return values.float() / values.sum(1, keepdim=True)
    return values.float()
