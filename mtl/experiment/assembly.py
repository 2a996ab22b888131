"""Numberings and model of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import nn

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.vectors import read_vectors
from mtl.embeddings import EMBEDDINGS, Concatenation, WordEmbedding
from mtl.errors import ConfigError
from mtl.experiment.kinds import build
from mtl.heads import HEADS
from mtl.model import MultiTaskModel
from mtl.options import options_of
from mtl.text.labels import LabelVocabulary
from mtl.text.vocabulary import Vocabulary


def head_owners(run: Run) -> dict[str, str]:
    """Return task to the task whose head it uses, itself unless it shares another's."""
    owners = {}
    for name in run.tasks:
        owner = name
        while isinstance(shared := run.tasks[owner].head, str):
            owner = shared
        owners[name] = owner
    return owners


def head_part(run: Run, owner: str) -> Part:
    """Return the head of a task that has its own."""
    part = run.tasks[owner].head
    assert isinstance(part, Part)
    return part


def load_vectors(run: Run) -> dict[str, tuple[list[str], Any]]:
    """Return the pretrained vectors, words and matrix `[N, D]`, of the slots that have some."""
    return {
        slot: read_vectors(part.options["vectors"])
        for slot, part in run.embedding.items()
        if part.options.get("vectors") and EMBEDDINGS.find(part.type) is WordEmbedding
    }


def number_words(
    run: Run, corpora: Mapping[str, Corpus], vectors: Mapping[str, tuple[list[str], Any]]
) -> dict[str, Vocabulary]:
    """Return the numbering of each feature, from the training text alone.

    Args:
        run: The run.
        corpora: Its corpora, by name.
        vectors: What `load_vectors` gave; their words become known too.
    """
    counts: Counter[str] = Counter()
    for corpus in corpora.values():
        for example in corpus.splits["train"]:
            counts.update(example.tokens)
    vocabularies: dict[str, Vocabulary] = {}
    for slot, part in run.embedding.items():
        cls = EMBEDDINGS.find(part.type).vocabulary
        if cls.feature in vocabularies:
            raise ConfigError(f"embedding.{slot}: another slot has {cls.feature} already")
        options = {option.name: part.options[option.name] for option in options_of(cls.build)}
        further = [vectors[slot][0]] if slot in vectors else []
        vocabularies[cls.feature] = cls.build(counts, *further, **options)
    return vocabularies


def number_labels(run: Run, corpora: Mapping[str, Corpus]) -> dict[str, LabelVocabulary]:
    """Return the labels of each head: those of all tasks that use it."""
    owners = head_owners(run)
    labels = {}
    for owner in dict.fromkeys(owners.values()):
        part = head_part(run, owner)
        users = [task for task in run.tasks if owners[task] == owner]
        if part.options.get("scheme") and not all(run.tasks[user].scheme for user in users):
            raise ConfigError(
                f"tasks.{owner}.head.scheme: the labels of this task are no spans; remove it, or "
                "say in the corpus file which scheme they have"
            )
        sequences = (
            labels
            for user in users
            for labels in corpora[run.tasks[user].corpus].splits["train"].labels(user)
            if labels is not None
        )
        labels[owner] = LabelVocabulary.build(
            sequences,
            level=HEADS.find(part.type).level,
            scheme=part.options.get("scheme") or run.tasks[owner].scheme,
        )
    return labels


def make_model(
    run: Run, vocabularies: Mapping[str, Vocabulary], labels: Mapping[str, LabelVocabulary]
) -> MultiTaskModel:
    """Return the model of a run, its weights as they are before training."""
    parts = {}
    for slot, part in run.embedding.items():
        cls = EMBEDDINGS.find(part.type)
        names = {option.name for option in options_of(cls)}
        own = {name: value for name, value in part.options.items() if name in names}
        parts[slot] = cls(vocabularies, **own)
    embedding = Concatenation(parts)
    sharing = build(
        "sharing", run.sharing, list(run.tasks), lambda: build("trunk", run.trunk, embedding.size)
    )
    heads: dict[str, nn.Module] = {}
    owners = head_owners(run)
    for owner, own_labels in labels.items():
        width = _width(run, owner, sharing.sizes)
        heads[owner] = build("head", head_part(run, owner), width, own_labels.labels)
    for task, owner in owners.items():
        if _width(run, task, sharing.sizes) != heads[owner].in_features:
            raise ConfigError(
                f"tasks.{task}.layer: shares the head of {owner!r}, which reads a layer of "
                f"another width; give both the same layer"
            )
    layers = {name: task.layer for name, task in run.tasks.items()}
    return MultiTaskModel(embedding, sharing, heads, head_of=owners, layers=layers)


def _width(run: Run, task: str, sizes: list[int]) -> int:
    """Return the width of the layer that a task reads."""
    layer, top = run.tasks[task].layer, len(sizes) - 1
    if layer == "mix":
        if len(set(sizes[1:])) > 1:
            raise ConfigError(f"tasks.{task}.layer: layers of widths {sizes[1:]} cannot be mixed")
        return sizes[-1]
    if not -top - 1 <= layer <= top:
        raise ConfigError(f"tasks.{task}.layer: the trunk has layers 0 to {top}, got {layer}")
    return sizes[layer]
