"""Heads that start at the frequencies of labels in the training data.

Letters: B sentences, T tokens, N rows, K labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.experiment.build import head_owners
from mtl.heads import CRFTagger
from mtl.heads.single_label import SingleLabelHead
from mtl.targets import Target, labelled
from mtl.targets.objectives import frequencies

_SENTENCES = 2000
"""The most sentences per task whose labels are counted."""


def start_at_frequencies(
    run: Run,
    corpora: Mapping[str, Corpus],
    targets: Mapping[str, Target],
    heads: nn.ModuleDict,
) -> None:
    """Set the biases of heads of labels and numbers, and the transitions of CRFs.

    See `SingleLabelHead.start` and `CRF.set_frequencies`. A head whose labels all come from
    teachers is left as it is.
    """
    for owner, head in heads.items():
        if not isinstance(head, SingleLabelHead):
            continue
        gold = [*_gold(run, corpora, owner, targets[owner])]
        if not gold:
            continue
        size, number = len(head.labels), sum(int(labelled(own).sum()) for own in gold)
        counts = sum((_label_counts(own, size) for own in gold), torch.zeros(size))
        started = head.start(counts, number)
        plain = all(own.dtype == torch.int64 for own in gold)
        if started and plain and isinstance(head, CRFTagger):
            pairs = sum((_pairs(own, size) for own in gold), torch.zeros(size, size))
            first = sum((_counts(own[:, 0], size) for own in gold), torch.zeros(size))
            head.crf.set_frequencies(frequencies(counts, number), pairs, first)


def _gold(run: Run, corpora: Mapping[str, Corpus], owner: str, target: Target) -> Iterator[Tensor]:
    """Yield the target tensor of each task of a head, for a part of its sentences."""
    for task in [task for task, own in head_owners(run).items() if own == owner]:
        split = corpora[run.tasks[task].corpus].splits["train"]
        part = split.with_labels(task).limited(_SENTENCES)
        values = [own for own in part.labels(task) if own is not None]
        if values:
            tokens = max(len(own) if isinstance(own, tuple) else 1 for own in values)
            yield target.tensor(values, tokens)


def _label_counts(gold: Tensor, size: int) -> Tensor:
    """Return the number of each label, `[K]`; possible labels of a token share its count."""
    if gold.dtype == torch.int64:
        return _counts(gold, size)
    if not size:  # numbers
        return torch.zeros(0)
    values = gold[labelled(gold)].float()  # [N, K]
    if gold.dtype == torch.bool:
        values = values / values.sum(1, keepdim=True)
    return values.sum(0)


def _pairs(gold: Tensor, size: int) -> Tensor:
    """Return the counts of neighbouring labels, `[K, K]`, in label ids `[B, T]`."""
    before, after = gold[:, :-1], gold[:, 1:]
    known = (before >= 0) & (after >= 0)
    return _counts(size * before[known] + after[known], size**2).view(size, size)


def _counts(ids: Tensor, size: int) -> Tensor:
    """Return the number of each id, `[size]`; negative ids are left out."""
    return torch.bincount(ids[ids >= 0], minlength=size).float()
