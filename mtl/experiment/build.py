"""Numberings and model of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.embeddings import EMBEDDINGS, Concatenation, InputEmbedding, TransformerEmbedding
from mtl.errors import ConfigError
from mtl.experiment.corpora import pair_of, subwords_of, tasks_of
from mtl.experiment.kinds import Refusal, build
from mtl.experiment.pretrained import reads_subwords
from mtl.experiment.vectors import Vectors
from mtl.heads import HEADS, Head, LabelSet, Number, Objective, Pairs
from mtl.heads.pairs import PARTS
from mtl.model import Layer, MultiTaskModel
from mtl.options import options_of
from mtl.sharing import Sharing
from mtl.text.example import Labels
from mtl.text.labels import FrequencyBins, LabelSets, LabelVocabulary, Numbers, WordLabels
from mtl.text.running import END
from mtl.text.vocabulary import TransformerVocabulary, Vocabulary, WordVocabulary


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


def vocabulary_classes(run: Run) -> dict[str, type[Vocabulary]]:
    """Return feature to the class of its vocabulary."""
    if reads_subwords(run):
        return {TransformerVocabulary.feature: TransformerVocabulary}
    classes = (EMBEDDINGS.find(part.type).vocabulary for part in run.embedding.values())
    return {cls.feature: cls for cls in classes}


def number_words(
    run: Run,
    corpora: Mapping[str, Corpus],
    vectors: Vectors,
    known: Mapping[str, Vocabulary] = MappingProxyType({}),
) -> dict[str, Vocabulary]:
    """Return the numbering of each feature, from the training text and what is known before.

    Args:
        run: The run.
        corpora: Its corpora, by name.
        vectors: What `load_vectors` gave; their words become known too.
        known: The vocabularies of the run that this one starts from, by feature.
    """
    counts: Counter[str] = Counter()
    for name, corpus in corpora.items():
        counts.update(corpus.splits["train"].word_counts())
        if any(run.tasks[task].source.text for task in tasks_of(run, name)):
            counts[END] += len(corpus.splits["train"])
    vocabularies: dict[str, Vocabulary] = {}
    if reads_subwords(run):
        name = run.trunk.options["name"]
        vocabularies["transformer"] = TransformerVocabulary.build(counts, name=name)
    for slot, part in run.embedding.items():
        cls = EMBEDDINGS.find(part.type).vocabulary
        if cls.feature in vocabularies:
            raise ConfigError(f"embedding.{slot}: another slot has {cls.feature} already")
        options = {option.name: part.options[option.name] for option in options_of(cls.build)}
        before = known.get(cls.feature)
        given: list[Any] = [counts, before if isinstance(before, cls) else None]
        if issubclass(cls, WordVocabulary):
            # All subwords, also those that the training text lacks: so no text has an unknown one.
            further = subwords.tokens if (subwords := subwords_of(corpora)) else []
            given.append([*further, *vectors[slot][0]] if slot in vectors else further)
        vocabularies[cls.feature] = cls.build(*given, **options)
    return vocabularies


def number_labels(
    run: Run, corpora: Mapping[str, Corpus], vocabularies: Mapping[str, Vocabulary]
) -> dict[str, LabelVocabulary]:
    """Return the labels of each head: those of all tasks that use it, or the words."""
    owners = head_owners(run)
    labels: dict[str, LabelVocabulary] = {}
    for owner in dict.fromkeys(owners.values()):
        part = head_part(run, owner)
        if HEADS.find(part.type).open_labels:
            words = vocabularies["words"]
            assert isinstance(words, WordVocabulary)
            labels[owner] = WordLabels(words)
            continue
        users = [task for task in run.tasks if owners[task] == owner]
        found = (
            labels
            for user in users
            for labels in corpora[run.tasks[user].corpus].splits["train"].labels(user)
            if labels is not None
        )
        first = next(found, None)
        if first is None:
            raise ConfigError(f"tasks.{owner}: no sentence of the training data is labelled for it")
        labels[owner] = _numbering(run, owner, chain([first], found))
        if isinstance(labels[owner], LabelSets) and not len(labels[owner]):
            raise ConfigError(f"tasks.{owner}: all sets of the training data are empty")
        if HEADS.find(part.type).adversarial and len(labels[owner]) == 1:
            only = labels[owner].labels[0]
            raise ConfigError(
                f"tasks.{owner}: {part.type!r} needs two domains or more, and all sentences of the "
                f"training data have the label {only!r}; add a corpus whose task shares the head"
            )
    return labels


def _numbering(run: Run, owner: str, labels: Iterable[Labels]) -> LabelVocabulary:
    """Return the numbering of what the tasks of a head have in training."""
    form = run.tasks[owner].source.form
    if form == "set":
        return LabelSets(label for own in labels if isinstance(own, frozenset) for label in own)
    if form == "number":
        return Numbers.of([own for own in labels if isinstance(own, float)])
    if run.tasks[owner].source.word:
        return FrequencyBins.of(labels)
    part = head_part(run, owner)
    scheme = part.options.get("scheme") or run.tasks[owner].scheme
    return LabelVocabulary.build(labels, level=HEADS.find(part.type).level, scheme=scheme)


def answers_of(labels: LabelVocabulary) -> Sequence[str] | Objective:
    """Return what tells a head which labels there are, and what a sentence has of them."""
    if isinstance(labels, LabelSets):
        return LabelSet(labels.labels)
    if isinstance(labels, Numbers):
        return Number(labels.mean, labels.scale)
    return labels.labels


def make_embedding(run: Run, vocabularies: Mapping[str, Vocabulary]) -> InputEmbedding:
    """Return the embedding of words, or that of the subwords of a pretrained transformer."""
    if not reads_subwords(run):
        parts = {slot: build("embedding", p, vocabularies) for slot, p in run.embedding.items()}
        return Concatenation(parts)
    vocabulary, options = vocabularies["transformer"], run.trunk.options
    assert isinstance(vocabulary, TransformerVocabulary)
    return TransformerEmbedding(
        vocabulary,
        dim=options["hidden_size"],
        limit=options["positions"],
        align=options["align"],
    )


def make_model(
    run: Run, vocabularies: Mapping[str, Vocabulary], labels: Mapping[str, LabelVocabulary]
) -> MultiTaskModel:
    """Return the model of a run, its weights as they are before training."""
    embedding = make_embedding(run, vocabularies)
    sharing = make_sharing(run, embedding.size)
    heads: dict[str, Head] = {}
    owners = head_owners(run)
    columns = {task: own for task in owners if (own := side(run, task, sharing.sizes_of(task)))}
    for owner, own_labels in labels.items():
        part = head_part(run, owner)
        if "scheme" in part.options:  # null is that of the corpus
            part = Part(type=part.type, options={**part.options, "scheme": own_labels.scheme})
        width = read_width(run, owner, sharing.sizes_of(owner), columns)
        given: list[Any] = [width, answers_of(own_labels)]
        if pair_of(run, owner):
            compare = part.options.get("compare")
            given[1] = Pairs(given[1], PARTS if compare is None else compare)
        if HEADS.find(part.type).open_labels:
            given.append(embedding.get_submodule("parts.words.table").weight)
        try:
            heads[owner] = build("head", part, *given)
        except Refusal as error:
            raise ConfigError(f"tasks.{owner}.head: {error}") from error
    for task, owner in owners.items():
        if read_width(run, task, sharing.sizes_of(task), columns) != heads[owner].in_features:
            raise ConfigError(
                f"tasks.{task}.layer: shares the head of {owner!r}, which reads a layer of "
                f"another width; give both the same layer"
            )
    layers = {name: task.layer for name, task in run.tasks.items()}
    return MultiTaskModel(embedding, sharing, heads, head_of=owners, layers=layers, columns=columns)


def side(run: Run, task: str, sizes: Sequence[int]) -> slice | None:
    """Return the part of its layer that a task reads, or None: all of it.

    Of two stacks, a language model reads the one that has not seen the word that it gives.

    Args:
        run: The run.
        task: The task.
        sizes: Widths of all layers, the embedding first.
    """
    text, layer = run.tasks[task].source.text, run.tasks[task].layer
    if text in (None, "same") or run.trunk.options.get("bidirectional") is not True:
        return None
    if layer in (0, -len(sizes)):  # a word by itself has seen neither neighbour
        return None
    half = layer_width(layer, sizes) // 2
    return slice(None, half) if text == "next" else slice(half, None)


def read_width(run: Run, task: str, sizes: Sequence[int], columns: Mapping[str, slice]) -> int:
    """Return the width of what the head of a task reads."""
    width = layer_width(run.tasks[task].layer, sizes)
    return len(range(width)[columns[task]]) if task in columns else width


def make_sharing(run: Run, in_features: int) -> Sharing:
    """Return the trunk or trunks of a run.

    Args:
        run: The run.
        in_features: Width of the token vectors.
    """
    part = run.sharing
    if "groups" in part.options and part.options["groups"] is None:  # null is those of a corpus
        groups = [tasks_of(run, corpus) for corpus in run.corpora]
        part = Part(type=part.type, options={**part.options, "groups": groups})
    sharing: Sharing = build(
        "sharing", part, list(run.tasks), lambda: build("trunk", run.trunk, in_features)
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
