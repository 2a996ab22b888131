"""Initialisation of a run with trunk, embedding and language models of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mtl.config.run import Run
from mtl.embeddings import EMBEDDINGS, TransformerEmbedding
from mtl.errors import CheckpointError
from mtl.experiment.build import head_owners, head_part, make_head, vocabulary_classes
from mtl.experiment.corpora import language_units
from mtl.experiment.pretrained import reads_subwords
from mtl.files import PACKAGE
from mtl.heads import HeadContext, LanguageModel
from mtl.layers.next_word import NextWord
from mtl.model import MultiTaskModel
from mtl.runs.checkpoint import MODEL, RUN, load_finite, load_vocabularies
from mtl.targets import Target
from mtl.text.vocabulary import UNKNOWN, Vocabulary, WordVocabulary
from mtl.trunks import TRUNKS, Trunk

_TRUNK = "sharing.trunk."


@dataclass(frozen=True)
class Start:
    """A finished run that another run starts from.

    Args:
        folder: The run folder.
        run: The run file.
        vocabularies: Feature to vocabulary.
        targets: The target of each head, by the task that owns the head.
        tensors: The weights by name.
    """

    folder: Path
    run: Run
    vocabularies: Mapping[str, Vocabulary]
    targets: Mapping[str, Target]
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path, run: Run) -> Start:
        """Read a run folder.

        Raises:
            CheckpointError: The folder is not a finished run, is damaged, or has no trunk that all
                tasks share.
        """
        tensors = load_finite(folder / MODEL)
        if not any(name.startswith(_TRUNK) for name in tensors):
            raise CheckpointError(f"{folder}: has no trunk that all tasks share; train another run")
        return cls(folder, run, *load_vocabularies(folder, vocabulary_classes(run)), tensors)

    def give(self, model: MultiTaskModel, run: Run, vocabularies: Mapping[str, Vocabulary]) -> str:
        """Copy weights into a new model, and return a note on the copied parts.

        Rows of embeddings are copied by the words that they represent, and so are the rows of the
        output layer of a language model, for the task of the same name. New words and the heads of
        all other tasks keep their initial weights.

        Raises:
            CheckpointError: A tensor is missing, or has another shape or another meaning.
        """
        self._check(run)
        copied = []
        if reads_subwords(run):
            copied.append(self._subwords(model, vocabularies["transformer"]))
        for slot, part in run.embedding.items():
            theirs = self.run.embedding.get(slot)
            if theirs is None or theirs.type != part.type:
                continue
            feature = EMBEDDINGS.find(part.type).vocabulary.feature
            tables = [own.tables() for own in (vocabularies[feature], self.vocabularies[feature])]
            copied.append(self._embedding(model, slot, *tables))
        for module in model.sharing.modules():
            if isinstance(module, Trunk):
                self._copy(module, _TRUNK, "trunk and embedding")
        copied += [
            f"head {name}: {self._language_model(name, model, run, vocabularies)}"
            for name, head in model.heads.items()
            if isinstance(head, LanguageModel)
        ]
        shipped = self.folder.parent == PACKAGE / "pretrained"
        name = f"the pretrained model {self.folder.name}" if shipped else self.folder
        return f"starts from {name}: trunk; " + ", ".join(copied)

    def _check(self, run: Run) -> None:
        """Raise CheckpointError for weights of the right shape with another meaning."""
        if run.trunk.type != self.run.trunk.type:
            raise CheckpointError(
                f"{self.folder}: has a trunk of type {self.run.trunk.type}, here it is "
                f"{run.trunk.type}; give both runs the same trunk"
            )
        for option in TRUNKS.find(run.trunk.type).beyond_shapes:
            ours, theirs = (own.trunk.options.get(option) for own in (run, self.run))
            if ours != theirs:
                raise CheckpointError(
                    f"{self.folder}: was trained with trunk.{option}={theirs}, here it is {ours}; "
                    "give both runs the same value"
                )
        units, known = language_units(run), language_units(self.run)
        if units and known and units != known:
            raise CheckpointError(
                f"{self.folder}: is a language model of {' and '.join(sorted(known))}, this run "
                f"has one of {' and '.join(sorted(units))}; cut both corpora into the same tokens"
            )

    def _subwords(self, model: MultiTaskModel, ours: Vocabulary) -> str:
        theirs = self.vocabularies.get(ours.feature)
        if theirs is None or theirs.to_json() != ours.to_json():
            raise CheckpointError(
                f"{self.folder}: reads other subwords; give both runs the same pretrained trunk"
            )
        assert isinstance(model.embedding, TransformerEmbedding)
        self._copy(model.embedding.table, "embedding.table.", "pretrained trunk")
        return "its subwords"

    def _embedding(
        self,
        model: MultiTaskModel,
        slot: str,
        ours: Sequence[Sequence[str]],
        theirs: Sequence[Sequence[str]],
    ) -> str:
        module = model.embedding.part(slot)
        prefix = next(f"{name}." for name, own in model.named_modules() if own is module)
        tables = {
            f"{name}.{own}": rows
            for name, table in module.named_modules()
            if isinstance(table, (nn.Embedding, nn.EmbeddingBag))
            for own, rows in table.state_dict(keep_vars=True).items()
        }
        self._copy(module, prefix, f"embedding.{slot}", but=set(tables))
        found = 0
        for i, (name, rows) in enumerate(tables.items()):
            table, _, own = name.rpartition(".")
            is_extra = own == "extra"
            source = f"{prefix}{table}.{'weight' if is_extra else own}"
            known = self._tensor(source, (None, rows.shape[1]), f"embedding.{slot}")
            # A word may be in the trained part of one table and in the extra part of the other.
            if (further := f"{prefix}{table}.extra") in self.tensors:
                known = torch.cat([known, self.tensors[further]])
            strings = ours[i % len(ours)]
            strings = strings[-len(rows) :] if is_extra else strings[: len(rows)]
            copied = _copy_rows(rows, known, strings, theirs[i % len(theirs)])
            if model.sharing.freezes_embedding and own == "weight":
                # A word that the other run does not know must not change what it predicts.
                new = [row for row in range(len(rows)) if row not in copied]
                with torch.no_grad():
                    rows[new] = known[UNKNOWN].to(rows)
            found += 0 if own == "fixed" else len(copied)
        return f"{slot}: {found:,} of {sum(map(len, ours)):,} vectors"

    def _language_model(
        self, name: str, model: MultiTaskModel, run: Run, vocabularies: Mapping[str, Vocabulary]
    ) -> str:
        output, task, theirs = _output(model.heads[name]), run.tasks[name], self.run.tasks.get(name)
        if theirs is None or theirs.source.text != task.source.text:
            return "new, as the run has no task of this name and kind"
        owner = head_owners(self.run)[name]
        part = head_part(self.run, owner)
        if part.type != head_part(run, name).type:
            return "new, as its type is another one"
        start = f"heads.{owner}.output."
        known = {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}
        embedded = {id(parameter) for parameter in model.embedding.parameters()}  # given already
        tensors = output.state_dict(keep_vars=True).items()
        own = {name: value for name, value in tensors if id(value) not in embedded}
        words, their_words = (_trained(v["words"]) for v in (vocabularies, self.vocabularies))
        with torch.device("meta"):  # for the words of the rows, without their weights
            empty = nn.Parameter(torch.empty(len(their_words), 1))
            context = HeadContext(output.in_features, their_words, word_table=empty)
            like = _output(make_head(part, context))
        rows, their_rows = output.rows(), like.rows()
        if {n: t.shape[n in rows :] for n, t in own.items()} != {
            n: t.shape[n in their_rows :] for n, t in known.items()
        }:
            return "new, as its output layer is another one"
        new: set[int] = set()
        for n, value in own.items():
            if n in rows:
                names = _names(words, rows[n]), _names(their_words, their_rows[n])
                taken = _copy_rows(value, known[n], *names)
                new.update(word for row, word in enumerate(rows[n]) if row not in taken)
            else:
                with torch.no_grad():
                    value.copy_(known[n])
        return f"{len(words) - len(new):,} of {len(words):,} words"

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
        """Return a tensor of some shape, in which None allows any size."""
        remedy = f"give both runs the same {what}, as in {self.folder / RUN}"
        if name not in self.tensors:
            raise CheckpointError(f"{self.folder}: has no tensor {name!r}; {remedy}")
        tensor = self.tensors[name]
        if len(tensor.shape) != len(shape) or any(
            wanted not in (None, found) for wanted, found in zip(shape, tensor.shape, strict=True)
        ):
            wanted = tuple("any" if n is None else n for n in shape)
            raise CheckpointError(
                f"{self.folder}: tensor {name!r} has shape {tuple(tensor.shape)}, here it would be "
                f"{wanted}; {remedy}"
            )
        return tensor


def _trained(vocabulary: Vocabulary) -> list[str]:
    """Return the words that a language model can predict."""
    assert isinstance(vocabulary, WordVocabulary)
    return vocabulary.trained_words().words


def _output(head: nn.Module) -> NextWord:
    assert isinstance(head, LanguageModel)
    return head.output


def _names(words: Sequence[str], numbers: Sequence[int]) -> list[str | int]:
    """Return the words of rows; for clusters, whose ids follow the words, their index."""
    return [words[n] if n < len(words) else n - len(words) for n in numbers]


def _copy_rows(
    to: Tensor, source: Tensor, ours: Sequence[str | int], theirs: Sequence[str | int]
) -> set[int]:
    """Copy the rows of common names, and return the indices of our rows among them."""
    # The unknown word is copied too: texts that write <unk> have trained it.
    places = {name: row for row, name in enumerate(theirs)}
    pairs = {row: places[name] for row, name in enumerate(ours) if name in places}
    rows, known = (
        torch.tensor(list(numbers), dtype=torch.long) for numbers in (pairs, pairs.values())
    )
    with torch.no_grad():
        to[rows.to(to.device)] = source[known].to(to)
    return set(pairs)
