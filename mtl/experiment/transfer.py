"""Starting a run from the trunk, the embedding and the language models of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mtl.config.run import Run
from mtl.embeddings import EMBEDDINGS, Concatenation
from mtl.errors import CheckpointError
from mtl.experiment.build import head_owners, head_part, make_head, vocabulary_classes
from mtl.experiment.corpora import language_units
from mtl.experiment.pretrained import reads_subwords
from mtl.heads import HeadContext, LanguageModel
from mtl.layers.next_word import NextWord
from mtl.model import MultiTaskModel
from mtl.runs.checkpoint import MODEL, load_tensors, load_vocabularies
from mtl.text.vocabulary import Vocabulary
from mtl.trunks import TRUNKS, Trunk

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

    def give(self, model: MultiTaskModel, run: Run, vocabularies: Mapping[str, Vocabulary]) -> str:
        """Give a fresh model the weights, and return in words what it got.

        Rows of embeddings go by the strings that they stand for, and so do those of the output
        layer of a language model, which goes to the task of the same name; what is new stays as it
        was made. So do the heads of all other tasks.

        Raises:
            CheckpointError: A tensor is missing or of another shape, or would mean something else.
        """
        self._check(run)
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
        told += [
            f"head {name}: {self._language_model(name, model, run, vocabularies)}"
            for name, head in model.heads.items()
            if isinstance(head, LanguageModel)
        ]
        return f"starts from {self.folder}: trunk; " + ", ".join(told)

    def _check(self, run: Run) -> None:
        """Refuse what would fit and mean something else."""
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
                f"has one of {' and '.join(sorted(units))}; give both corpora the same `tokenize`"
            )

    def _subwords(self, model: MultiTaskModel, ours: Vocabulary) -> str:
        theirs = self.vocabularies.get(ours.feature)
        if theirs is None or theirs.to_json() != ours.to_json():
            raise CheckpointError(
                f"{self.folder}: reads other subwords; give both runs the same pretrained trunk"
            )
        self._copy(model.embedding, "embedding.", "pretrained trunk")
        return "its subwords"

    def _embedding(
        self,
        model: MultiTaskModel,
        slot: str,
        ours: Sequence[Sequence[str]],
        theirs: Sequence[Sequence[str]],
    ) -> str:
        assert isinstance(model.embedding, Concatenation)
        module = model.embedding.part(slot)
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
            known = self._tensor(prefix + name, (None, weight.shape[1]), f"embedding.{slot}")
            found += len(_copy_rows(weight, known, ours[i % len(ours)], theirs[i % len(theirs)]))
        return f"{slot}: {found:,} of {sum(map(len, ours)):,} vectors"

    def _language_model(
        self, name: str, model: MultiTaskModel, run: Run, vocabularies: Mapping[str, Vocabulary]
    ) -> str:
        output, task, theirs = _output(model.heads[name]), run.tasks[name], self.run.tasks.get(name)
        if theirs is None or theirs.source.text != task.source.text:
            return "new, for lack of a task of this name and kind there"
        owner = head_owners(self.run)[name]
        part = head_part(self.run, owner)
        if part.type != head_part(run, name).type:
            return "new, as its type there is another"
        start = f"heads.{owner}.output."
        known = {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}
        embedded = {id(parameter) for parameter in model.embedding.parameters()}  # given already
        tensors = output.state_dict(keep_vars=True).items()
        own = {name: value for name, value in tensors if id(value) not in embedded}
        words, their_words = (v["words"].tables()[0] for v in (vocabularies, self.vocabularies))
        with torch.device("meta"):  # which rows stand for which words, no numbers
            empty = nn.Parameter(torch.empty(len(their_words), 1))
            context = HeadContext(output.in_features, their_words, word_table=empty)
            like = _output(make_head(part, context))
        rows, their_rows = output.rows(), like.rows()
        if {n: t.shape[n in rows :] for n, t in own.items()} != {
            n: t.shape[n in their_rows :] for n, t in known.items()
        }:
            return "new, as the output layer there is another"
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


def _output(head: nn.Module) -> NextWord:
    assert isinstance(head, LanguageModel)
    return head.output


def _names(words: Sequence[str], numbers: Sequence[int]) -> list[str | int]:
    """Return the words that rows stand for; of clusters of words, which count on, the number."""
    return [words[n] if n < len(words) else n - len(words) for n in numbers]


def _copy_rows(
    to: Tensor, source: Tensor, ours: Sequence[str | int], theirs: Sequence[str | int]
) -> set[int]:
    """Copy the rows that stand for the same thing, and return which ones of ours these are."""
    # A text in which unknown words are written <unk> has taught what the unknown word is like.
    places = {name: row for row, name in enumerate(theirs)}
    pairs = {row: places[name] for row, name in enumerate(ours) if name in places}
    rows, known = (
        torch.tensor(list(numbers), dtype=torch.long) for numbers in (pairs, pairs.values())
    )
    with torch.no_grad():
        to[rows.to(to.device)] = source[known].to(to)
    return set(pairs)
