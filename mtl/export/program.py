"""A model up to the scores of its labels, as one graph of torch. Letters: B sentences, T tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mtl.data.encoding import Batcher
from mtl.errors import MtlError
from mtl.export.layers import with_whole_layers
from mtl.heads.tagger import Tagger
from mtl.model import MultiTaskModel
from mtl.text.example import Example

# Sizes that differ from each other and from 1, which torch would take for more than chance.
_SAMPLE = ["ab cdefghijk lm no pq", "rs t u vw", "xyz"]


class Emissions(nn.Module):
    """Label scores from features: what an exported program does.

    Args:
        model: The model.
        tasks: Tasks whose heads are taggers.
    """

    def __init__(self, model: MultiTaskModel, tasks: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.tasks = tuple(tasks)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return task to scores `[B, T, K]`, anything on padding.

        Args:
            features: As `Batch.features`.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        hidden = self.model.encode_vectors(self.model.embedding(features, mask), self.tasks).hidden
        return {task: tagger(self.model, task).scores(hidden[task], mask) for task in self.tasks}


def tagger(model: MultiTaskModel, task: str) -> Tagger:
    """Return the head of a task.

    Raises:
        MtlError: It is none that scores the labels of tokens.
    """
    head = model.head(task)
    if not isinstance(head, Tagger):
        raise MtlError(f"task {task!r} is no tagger; only taggers are exported")
    return head


def read_features(batcher: Batcher) -> list[str]:
    """Return the names of the features that a model reads, in their order in a batch."""
    widths = {name: vocabulary.width for name, vocabulary in batcher.vocabularies.items()}
    types = ["types"] if any(width != 1 for width in widths.values()) else []
    return [*types, *widths]


def export_program(
    model: MultiTaskModel, batcher: Batcher, tasks: Sequence[str]
) -> ExportedProgram:
    """Return features and mask to the scores of each task, for batches of any size.

    Args:
        model: The model.
        batcher: Numbers words as in training.
        tasks: Tasks whose heads are taggers.

    Raises:
        MtlError: A part of the model cannot be exported.
    """
    if not model.sharing.has_trunks:
        name = type(model.sharing).__name__
        raise MtlError(f"{name} makes the weights of trunks in each step, and is not exported")
    own = with_whole_layers(deepcopy(model).cpu().eval())
    used = {own.head_of[task] for task in (*tasks, *own.label_vectors)}
    own.heads = nn.ModuleDict({name: head for name, head in own.heads.items() if name in used})
    whole = Emissions(own, tasks).eval()
    batch = batcher.batch([Example(tuple(text.split())) for text in _SAMPLE])
    features = {name: batch.features[name] for name in read_features(batcher)}
    shapes: dict[str, dict[int, Any]] = {}
    tokens = {0: Dim("B"), 1: Dim("T")}
    types = Dim("U")
    for name in features:
        width = batcher.vocabularies[name].width if name in batcher.vocabularies else 1
        of_types = {0: types} if width else {0: types, 1: Dim(f"{name}_width")}
        shapes[name] = tokens if width == 1 else of_types
    try:
        with torch.no_grad():
            return torch.export.export(
                whole, (features, batch.mask), dynamic_shapes=(shapes, tokens)
            )
    except Exception as error:  # torch tells that it cannot by errors of many kinds
        reason = str(error).strip().splitlines()[0]
        raise MtlError(f"the model cannot be exported: {reason}") from error
