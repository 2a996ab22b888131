"""Labels that the input gives for some tokens. Letters: B windows, T tokens, K labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from mtl.errors import MtlError, did_you_mean
from mtl.heads import Head, Tagger
from mtl.inference.cutting import Piece
from mtl.inference.inputs import Sentence
from mtl.inference.readouts import output_labels
from mtl.text.spans import Scheme, parse_tag


def allowed_labels(
    task: str,
    head: Head,
    scheme: Scheme | None,
    sentences: Sequence[Sentence],
    pieces: Sequence[Piece],
    mask: Tensor,
) -> Tensor | None:
    """Return the labels that each token of some windows may have, `[B, T, K]` bool.

    None if the input gives no labels for the task.

    Args:
        task: The task.
        head: Its head.
        scheme: The output scheme of its span tags.
        sentences: The sentences.
        pieces: The B windows.
        mask: `[B, T]` bool, True on real tokens.

    Raises:
        MtlError: A label is unknown, or the task does not label tokens with one label each.
    """
    given = [(sentences[row].given or {}).get(task) for row, _ in pieces]
    if not any(given):
        return None
    if not isinstance(head, Tagger) or head.objective is not None:
        raise MtlError(f"task {task!r}: labels are given, but it has no label per token")
    names = label_names(head.labels, scheme)
    allowed = torch.ones(*mask.shape, len(head.labels), dtype=torch.bool)
    for index, (own, (_, window)) in enumerate(zip(given, pieces, strict=True)):
        if own is None:
            continue
        for position, chosen in enumerate(own[window.start : window.end]):
            if chosen:
                allowed[index, position] = _row(chosen, names, task)
    return allowed.to(mask.device)


def label_names(labels: Sequence[str], scheme: Scheme | None) -> dict[str, Tensor]:
    """Return a mask of the labels of each name, `[K]` bool.

    A name is a label, a tag of the output scheme, or the type of a span.
    """
    outputs = output_labels(labels, scheme)
    kinds = [parse_tag(label)[1] for label in labels] if scheme else [""] * len(labels)
    columns = list(zip(labels, outputs, kinds, strict=True))
    return {
        name: torch.tensor([name in own for own in columns])
        for name in {*labels, *outputs, *filter(None, kinds)}
    }


def _row(chosen: Collection[str], names: Mapping[str, Tensor], task: str) -> Tensor:
    for name in chosen:
        if name not in names:
            near = did_you_mean(name, names)
            raise MtlError(f"task {task!r}: unknown label {name!r} is given for a token{near}")
    return torch.stack([names[name] for name in chosen]).any(0)
