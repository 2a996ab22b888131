"""Heads that start from the weights of another run. Letters: K labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
) -> dict[str, str]:
    """Copy the weights of heads by the names of their tasks, and return a note by owner of a head.

    The note of a head that keeps its initial weights begins with "new".

    Weights of labels are copied by the names of the labels. Language models are left out, as
    `Start.give` copies them.

    Args:
        start: The other run.
        model: The new model.
        run: Its run.
        targets: The targets of its heads, by the task that owns the head.

    Raises:
        CheckpointError: No head has the same task and the same type in the other run.
    """
    found = {
        owner: _give(start, owner, head, run, targets[owner])
        for owner, head in model.heads.items()
        if isinstance(head, Head) and not isinstance(head, LanguageModel)
    }
    if all(note.startswith("new") for note in found.values()):
        reasons = "; ".join(f"{owner}: {note}" for owner, note in found.items())
        raise CheckpointError(
            f"{start.folder}: no head can start from it ({reasons}); set trunk.init_heads=false"
        )
    return found


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


def _give(start: Start, owner: str, head: Head, run: Run, target: Target) -> str:
    """Copy the weights of one head, and return a note."""
    theirs = head_owners(start.run).get(owner)
    if theirs is None:
        return "new, as the run has no task of this name"
    if head_part(start.run, theirs).type != head_part(run, owner).type:
        return "new, as its type is another one"
    known = start.targets[theirs]
    if _form(known) != _form(target):
        return "new, as its labels have another form or scale"
    if len(known.labels) == len(target.labels) and known.labels != target.labels:
        # The sizes of a tensor then do not show which of its dimensions has labels.
        return "new, as it has as many labels, but others"
    prefix = f"heads.{theirs}."
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in start.tensors.items()
        if name.startswith(prefix)
    }
    own = dict(head.named_parameters())  # buffers follow from the data and options of this run
    places = [
        _places(value.shape, tensors[name].shape, target.labels, known.labels)
        for name, value in own.items()
        if name in tensors
    ]
    if len(places) < len(own) or tensors.keys() - head.state_dict().keys() or None in places:
        return "new, as its layers are others"
    for (name, value), pair in zip(own.items(), places, strict=True):
        assert pair is not None
        ours, other = pair
        with torch.no_grad():
            value[ours] = tensors[name][other].to(value)
    common = len({*target.labels} & {*known.labels})
    return f"{common:,} of {len(target.labels):,} labels" if target.labels else "its weights"


def _form(target: Target) -> Mapping[str, object]:
    """Return all that defines a target except its labels."""
    return {key: value for key, value in target_to_json(target).items() if key != "labels"}


def _places(
    ours: Sequence[int], theirs: Sequence[int], labels: Sequence[str], known: Sequence[str]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None:
    """Return the indices of equal weights in two tensors; None if their sizes do not fit.

    Args:
        ours: The shape of our tensor.
        theirs: The shape of the other one.
        labels: Our labels. A dimension of K entries in ours, and of another number of labels in
            theirs, is one of labels.
        known: The labels of the other run: the same, or another number of them.
    """
    if len(ours) != len(theirs):
        return None
    rows = [i for i, label in enumerate(labels) if label in known]
    columns = [known.index(labels[i]) for i in rows]
    indices: list[tuple[list[int], list[int]]] = []
    for size, other in zip(ours, theirs, strict=True):
        if size == other:
            indices.append((list(range(size)), list(range(size))))
        elif (size, other) == (len(labels), len(known)):
            indices.append((rows, columns))
        else:
            return None
    return (
        torch.meshgrid(*(torch.tensor(i, dtype=torch.long) for i, _ in indices), indexing="ij"),
        torch.meshgrid(*(torch.tensor(i, dtype=torch.long) for _, i in indices), indexing="ij"),
    )
