"""Numberings and model of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.vectors import read_vectors
from mtl.embeddings import EMBEDDINGS, Concatenation, WordEmbedding
from mtl.errors import ConfigError
from mtl.experiment.kinds import build
from mtl.heads import HEADS, Head
from mtl.model import Layer, MultiTaskModel
from mtl.options import options_of
from mtl.sharing import Sharing
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


Vectors = Mapping[str, tuple[list[str], NDArray[np.float32]]]
"""Slot to pretrained vectors: the words, and a matrix `[N, D]`."""


def load_vectors(run: Run) -> Vectors:
    """Return the pretrained vectors of the slots that have some.

    Raises:
        ConfigError: They are not as wide as the slot says.
    """
    vectors = {}
    for slot, part in run.embedding.items():
        if path := part.options.get("vectors"):
            words, matrix = read_vectors(path)
            if matrix.shape[1] != part.options["dim"]:
                found = f"{path} has vectors of width {matrix.shape[1]}"
                raise ConfigError(f"embedding.{slot}.dim: {found}, got {part.options['dim']}")
            vectors[slot] = (words, matrix)
    return vectors


def set_vectors(
    model: MultiTaskModel, vocabularies: Mapping[str, Vocabulary], vectors: Vectors
) -> None:
    """Give the words of a fresh model their pretrained vectors."""
    for slot, (words, matrix) in vectors.items():
        vocabulary, embedding = (
            vocabularies["words"],
            model.embedding.get_submodule(f"parts.{slot}"),
        )
        assert isinstance(embedding, WordEmbedding)
        # Several words of the file may be one to us, as The and the: the first one counts.
        rows = {vocabulary.encode(word)[0]: row for row, word in reversed([*enumerate(words)])}
        chosen = torch.from_numpy(matrix[list(rows.values())])
        embedding.load_vectors(torch.tensor(list(rows)), chosen)


def number_words(
    run: Run, corpora: Mapping[str, Corpus], vectors: Vectors
) -> dict[str, Vocabulary]:
    """Return the numbering of each feature, from the training text alone.

    Args:
        run: The run.
        corpora: Its corpora, by name.
        vectors: What `load_vectors` gave; their words become known too.
    """
    counts: Counter[str] = Counter()
    for corpus in corpora.values():
        counts.update(corpus.splits["train"].word_counts())
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
        if not len(labels[owner]):
            raise ConfigError(f"tasks.{owner}: no sentence of the training data is labelled for it")
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
        parts[slot] = build("embedding", Part(type=part.type, options=own), vocabularies)
    embedding = Concatenation(parts)
    sharing = make_sharing(run, embedding.size)
    heads: dict[str, Head] = {}
    owners = head_owners(run)
    for owner, own_labels in labels.items():
        width = layer_width(run.tasks[owner].layer, sharing.sizes)
        part = head_part(run, owner)
        if "scheme" in part.options:  # null is that of the corpus
            part = Part(type=part.type, options={**part.options, "scheme": own_labels.scheme})
        heads[owner] = build("head", part, width, own_labels.labels)
    for task, owner in owners.items():
        if layer_width(run.tasks[task].layer, sharing.sizes) != heads[owner].in_features:
            raise ConfigError(
                f"tasks.{task}.layer: shares the head of {owner!r}, which reads a layer of "
                f"another width; give both the same layer"
            )
    layers = {name: task.layer for name, task in run.tasks.items()}
    return MultiTaskModel(embedding, sharing, heads, head_of=owners, layers=layers)


def make_sharing(run: Run, in_features: int) -> Sharing:
    """Return the trunk or trunks of a run.

    Args:
        run: The run.
        in_features: Width of the token vectors.
    """
    sharing: Sharing = build(
        "sharing", run.sharing, list(run.tasks), lambda: build("trunk", run.trunk, in_features)
    )
    return sharing


def layer_width(layer: Layer, sizes: Sequence[int]) -> int:
    """Return the width of what a head at `layer` reads.

    Args:
        layer: The layer.
        sizes: Widths of all layers, the embedding first.

    Raises:
        ConfigError: There is no such layer, or the layers cannot be mixed.
    """
    top = len(sizes) - 1
    if layer == "mix":
        if len(set(sizes[1:])) > 1:
            raise ConfigError(f"layers of widths {list(sizes[1:])} cannot be mixed")
        return sizes[-1]
    if not -top - 1 <= layer <= top:
        raise ConfigError(f"the trunk has layers 0 (the embedding) to {top}, got {layer}")
    return sizes[layer]
