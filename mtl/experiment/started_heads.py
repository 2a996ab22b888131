"""Heads that start from the weights of another run. Letters: K labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from mtl.config.run import Run
from mtl.errors import CheckpointError
from mtl.experiment.build import head_owners, head_part, target_of
from mtl.experiment.transfer import Start
from mtl.heads import Head, LanguageModel
from mtl.model import MultiTaskModel
from mtl.targets import Target, target_to_json


def give_heads(
    start: Start, model: MultiTaskModel, run: Run, targets: Mapping[str, Target]
) -> tuple[list[str], frozenset[str]]:
    """Copy the weights of heads by the names of their tasks.

    Weights of labels are copied by the names of the labels. Language models are left out, as
    `Start.give` copies them.

    Args:
        start: The other run.
        model: The new model.
        run: Its run.
        targets: The targets of its heads, by the task that owns the head.

    Returns:
        A note per head, and the tasks that own the heads with copied weights.

    Raises:
        CheckpointError: No head has the same task and the same type in the other run.
    """
    notes: list[str] = []
    reasons: list[str] = []
    copied: set[str] = set()
    for owner, head in model.heads.items():
        if isinstance(head, LanguageModel) or not isinstance(head, Head):
            continue
        try:
            notes.append(f"head {owner}: {_give(start, owner, head, run, targets[owner])}")
            copied.add(owner)
        except _OtherHead as reason:
            notes.append(f"head {owner}: new, as {reason}")
            reasons.append(f"{owner}: {reason}")
    if not notes:
        raise CheckpointError(
            "trunk.init_heads: the run has language models only, and trunk.init copies their "
            "weights; remove the key"
        )
    if not copied:
        raise CheckpointError(
            f"{start.folder}: no head can start from it ({'; '.join(reasons)}); "
            "set trunk.init_heads=false"
        )
    return notes, frozenset(copied)


def kept_labels(start: Start, run: Run) -> dict[str, list[str]]:
    """Return task to the labels of the head of the same task in the other run.

    Tasks without a fixed list of plain labels in both runs are left out. Span tags may be in any
    scheme, since a target of spans has all tags of each type.

    Args:
        start: The other run.
        run: The new run.
    """
    owners, found = head_owners(start.run), {}
    for task in run.tasks:
        if task not in owners or not target_of(run, task).plain_labels:
            continue
        target = start.targets[owners[task]]
        if target.plain_labels and target.level == target_of(run, task).level:
            found[task] = list(target.labels)
    return found


class _OtherHead(Exception):
    """The reason why a head cannot start from the weights of another run."""


def _give(start: Start, owner: str, head: Head, run: Run, target: Target) -> str:
    """Copy the weights of one head, and return a note.

    Raises:
        _OtherHead: The other run has no such head. Nothing is copied.
    """
    theirs = head_owners(start.run).get(owner)
    if theirs is None:
        raise _OtherHead("the run has no task of this name")
    if head_part(start.run, theirs).type != head_part(run, owner).type:
        raise _OtherHead("its type is another one")
    known = start.targets[theirs]
    if _form(known) != _form(target):
        raise _OtherHead("its labels have another form or scale")
    if len(known.labels) == len(target.labels) and known.labels != target.labels:
        # The sizes of a tensor then do not show which of its dimensions has labels.
        raise _OtherHead("it has as many labels, but others")
    prefix = f"heads.{theirs}."
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in start.tensors.items()
        if name.startswith(prefix)
    }
    own = dict(head.named_parameters())  # buffers follow from the data and options of this run
    if own.keys() - tensors.keys() or tensors.keys() - head.state_dict().keys():
        raise _OtherHead("its layers are others")
    places = {
        name: _places(value.shape, tensors[name].shape, target.labels, known.labels)
        for name, value in own.items()
    }
    with torch.no_grad():
        for name, (ours, other) in places.items():
            own[name][ours] = tensors[name][other].to(own[name])
    common = len({*target.labels} & {*known.labels})
    return f"{common:,} of {len(target.labels):,} labels" if target.labels else "its weights"


def _form(target: Target) -> Mapping[str, object]:
    """Return all that defines a target except its labels."""
    return {key: value for key, value in target_to_json(target).items() if key != "labels"}


def _places(
    ours: Sequence[int], theirs: Sequence[int], labels: Sequence[str], known: Sequence[str]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the indices of equal weights in two tensors.

    Args:
        ours: The shape of our tensor.
        theirs: The shape of the other one.
        labels: Our labels. A dimension of K entries in ours, and of another number of labels in
            theirs, is one of labels.
        known: The labels of the other run: the same, or another number of them.

    Raises:
        _OtherHead: The sizes do not fit.
    """
    rows = [i for i, label in enumerate(labels) if label in known]
    columns = [known.index(labels[i]) for i in rows]
    pairs: list[tuple[Sequence[int], Sequence[int]]] = []
    for size, other in zip_longest(ours, theirs):
        if size == other:
            pairs.append((range(size), range(size)))
        elif (size, other) == (len(labels), len(known)):
            pairs.append((rows, columns))
        else:
            raise _OtherHead("its layers are others")
    return _grid([own for own, _ in pairs]), _grid([other for _, other in pairs])


def _grid(indices: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
    """Return the index of all entries whose place is in `indices`, a sequence per dimension."""
    if not indices:
        return ()
    return tuple(map(torch.from_numpy, np.ix_(*(np.array(i, dtype=np.int64) for i in indices))))
