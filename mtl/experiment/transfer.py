"""Starting a run from the trunk and the embedding of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mtl.checkpoint import MODEL, load_tensors, load_vocabularies
from mtl.config.run import Run
from mtl.embeddings import EMBEDDINGS
from mtl.errors import CheckpointError
from mtl.experiment.assembly import vocabulary_classes
from mtl.experiment.pretrained import reads_subwords
from mtl.model import MultiTaskModel
from mtl.text.vocabulary import Vocabulary
from mtl.text.vocabulary.base import SPECIAL
from mtl.trunks import Trunk

_TRUNK = "sharing.trunk."


@dataclass(frozen=True)
class Start:
    """A finished run, whose trunk and embedding another run starts from.

    Args:
        folder: Its folder.
        run: Its run file.
        vocabularies: Feature to vocabulary.
        tensors: Its weights.
    """

    folder: Path
    run: Run
    vocabularies: Mapping[str, Vocabulary]
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path, run: Run) -> Start:
        """Read a run folder.

        Raises:
            CheckpointError: It is none, not finished or damaged, or has no trunk for all tasks.
        """
        tensors = load_tensors(folder / MODEL)
        if not any(name.startswith(_TRUNK) for name in tensors):
            raise CheckpointError(f"{folder}: has no trunk that all tasks share; train another")
        return cls(folder, run, load_vocabularies(folder, vocabulary_classes(run))[0], tensors)

    @property
    def words(self) -> Sequence[str]:
        """The words that it knows."""
        known = self.vocabularies.get("words")
        return known.tables()[0][len(SPECIAL) :] if known else ()

    def give(self, model: MultiTaskModel, run: Run, vocabularies: Mapping[str, Vocabulary]) -> str:
        """Give a fresh model the weights, and return in words what it got.

        Rows of embeddings go by the strings that they stand for; a string that is new stays as it
        was made.

        Raises:
            CheckpointError: A tensor is missing or of another shape.
        """
        told = []
        if reads_subwords(run):
            told.append(self._subwords(model, vocabularies["transformer"]))
        for slot, part in run.embedding.items():
            theirs = self.run.embedding.get(slot)
            if theirs is None or theirs.type != part.type:
                continue
            feature = EMBEDDINGS.find(part.type).vocabulary.feature
            tables = [own.tables() for own in (vocabularies[feature], self.vocabularies[feature])]
            told.append(self._embedding(model, slot, *tables))
        for module in model.sharing.modules():
            if isinstance(module, Trunk):
                self._copy(module, _TRUNK, "trunk and embedding")
        return f"starts from {self.folder}: trunk; " + ", ".join(told)

    def _subwords(self, model: MultiTaskModel, ours: Vocabulary) -> str:
        theirs = self.vocabularies.get(ours.feature)
        if theirs is None or theirs.to_json() != ours.to_json():
            raise CheckpointError(
                f"{self.folder}: reads other subwords; give both runs the same trunk.name"
            )
        self._copy(model.embedding, "embedding.", "trunk.name")
        return "its subwords"

    def _embedding(
        self,
        model: MultiTaskModel,
        slot: str,
        ours: Sequence[Sequence[str]],
        theirs: Sequence[Sequence[str]],
    ) -> str:
        module = model.embedding.get_submodule(f"parts.{slot}")
        prefix = f"embedding.parts.{slot}."
        tables = {
            f"{name}.{own}": rows
            for name, table in module.named_modules()
            if isinstance(table, (nn.Embedding, nn.EmbeddingBag))
            for own, rows in table.state_dict(keep_vars=True).items()
        }
        self._copy(module, prefix, f"embedding.{slot}", but=set(tables))
        found = 0
        for i, (name, weight) in enumerate(tables.items()):
            rows = {string: row for row, string in enumerate(theirs[i % len(theirs)])}
            pairs = [(row, rows[s]) for row, s in enumerate(ours[i % len(ours)]) if s in rows]
            known = self._tensor(prefix + name, (None, weight.shape[1]), f"embedding.{slot}")
            to, source = torch.tensor(pairs).T
            with torch.no_grad():
                weight[to.to(weight.device)] = known[source].to(weight)
            found += len(pairs)
        return f"{slot}: {found:,} of {sum(map(len, ours)):,} vectors"

    def _copy(
        self,
        module: nn.Module,
        prefix: str,
        what: str,
        but: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        for name, value in module.state_dict(keep_vars=True).items():
            if name not in but:
                with torch.no_grad():
                    value.copy_(self._tensor(prefix + name, tuple(value.shape), what))

    def _tensor(self, name: str, shape: tuple[int | None, ...], what: str) -> Tensor:
        """Return one of the tensors, of a shape that may leave numbers open."""
        if name not in self.tensors:
            message = f"{self.folder}: has no tensor {name!r}; give both runs the same {what}"
            raise CheckpointError(message)
        tensor = self.tensors[name]
        if len(tensor.shape) != len(shape) or any(
            wanted not in (None, found) for wanted, found in zip(shape, tensor.shape, strict=True)
        ):
            wanted = tuple("any" if n is None else n for n in shape)
            raise CheckpointError(
                f"{self.folder}: tensor {name!r} has shape {tuple(tensor.shape)}, here it would be "
                f"{wanted}; give both runs the same {what}"
            )
        return tensor
