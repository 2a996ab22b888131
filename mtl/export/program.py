"""Export of a model up to its label scores with torch.export. Letters: B sentences, T tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mtl.data.encoding import Batcher
from mtl.embeddings import TransformerEmbedding
from mtl.errors import MtlError
from mtl.export.layers import with_whole_layers
from mtl.heads.tagger import Tagger
from mtl.layers.stepwise import Stepwise
from mtl.model import MultiTaskModel
from mtl.text.example import Example
from mtl.text.vocabulary import HashVocabulary

# An example batch whose sizes differ from each other and from 1: torch.export treats equal sizes
# as one dimension, and a size of 1 as constant.
SAMPLE = ["ab cdefghijk lm no pq", "rs t u vw", "xyz"]


class Emissions(nn.Module):
    """The module that is exported: features to label scores.

    Args:
        model: The model.
        tasks: The tasks, with taggers as heads.
    """

    def __init__(self, model: MultiTaskModel, tasks: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.tasks = tuple(tasks)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the scores `[B, T, K]` by task; values on padding are arbitrary.

        Args:
            features: As `Batch.features`.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        hidden = self.model.encode_vectors(self.model.embedding(features, mask), self.tasks).hidden
        return {task: tagger(self.model, task).scores(hidden[task], mask) for task in self.tasks}


def tagger(model: MultiTaskModel, task: str) -> Tagger:
    """Return the head of a task.

    Raises:
        MtlError: The head is not a tagger.
    """
    head = model.head(task)
    if not isinstance(head, Tagger):
        raise MtlError(
            f"task {task!r}: expected a tagger, got the head {type(head).__name__}; only taggers "
            "can be exported"
        )
    return head


def refuse_factored(model: MultiTaskModel) -> None:
    """Raise MtlError if the sharing computes the weights of its trunks in every step."""
    if not model.sharing.has_trunks:
        name = type(model.sharing).__name__
        raise MtlError(
            f"sharing {name}: cannot be exported, as it computes the weights of its trunks in "
            "every step; export a model with another sharing"
        )


def refuse_stepwise(model: MultiTaskModel) -> None:
    """Raise MtlError if a layer runs token by token: a program has no loop over tokens."""
    for module in model.modules():
        if isinstance(module, Stepwise):
            raise MtlError(
                f"trunk: {type(module).__name__} runs token by token and cannot be exported; "
                "export a model with the trunk lstm or gru, without layer_norm, zoneout, "
                "recurrent_dropout and update_dropout"
            )


def read_features(batcher: Batcher) -> list[str]:
    """Return the names of the input features of a model, in the order of a batch."""
    widths = {
        name: vocabulary.width
        for name, vocabulary in batcher.vocabularies.items()
        if name != HashVocabulary.feature  # read by classifiers with n-grams alone
    }
    types = ["types"] if any(width != 1 for width in widths.values()) else []
    return [*types, *widths]


def export_program(
    model: MultiTaskModel, batcher: Batcher, tasks: Sequence[str]
) -> ExportedProgram:
    """Export a model as a program from features and mask to label scores, for any batch size.

    Args:
        model: The model; it is not changed.
        batcher: The batcher with the vocabularies of training.
        tasks: The tasks, with taggers as heads.

    Raises:
        MtlError: A part of the model cannot be exported.
    """
    refuse_factored(model)
    refuse_stepwise(model)
    if isinstance(model.embedding, TransformerEmbedding):
        raise MtlError(
            "trunk: a pretrained transformer reads subwords, whose number differs from the number "
            "of words, and cannot be exported; export a model with another trunk"
        )
    if model.embedding.contextual:
        raise MtlError(
            "embedding: gazetteers read whole phrases and cannot be exported; export a model "
            "without them"
        )
    copy = with_whole_layers(deepcopy(model).cpu().eval())
    # Heads of other tasks are left out, except those whose predictions the sharing reads.
    used = {copy.head_of[task] for task in (*tasks, *copy.label_vectors)}
    copy.heads = nn.ModuleDict({name: head for name, head in copy.heads.items() if name in used})
    module = Emissions(copy, tasks).eval()
    batch = batcher.batch([Example(tuple(text.split())) for text in SAMPLE])
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
                module, (features, batch.mask), dynamic_shapes=(shapes, tokens)
            )
    except Exception as error:  # torch reports failed exports by exceptions of many types
        reason = str(error).strip().splitlines()[0]
        raise MtlError(f"the model cannot be exported: {reason}") from error
