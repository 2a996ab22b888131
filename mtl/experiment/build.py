"""Build the vocabularies, the targets and the model of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType

import torch
from torch import nn

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.embeddings import (
    EMBEDDINGS,
    Concatenation,
    CorpusVectors,
    InputEmbedding,
    TransformerEmbedding,
)
from mtl.errors import ConfigError
from mtl.experiment.context import run_context
from mtl.experiment.corpora import reads_pairs, tasks_of
from mtl.experiment.kinds import Refusal, build, refusals
from mtl.experiment.pretrained import pretrained_name, reads_subwords
from mtl.experiment.vectors import Vectors
from mtl.heads import HEADS, Head, HeadContext, LanguageModel
from mtl.heads.single_label import SingleLabelHead
from mtl.model import Layer, MultiTaskModel
from mtl.options import options_of
from mtl.sharing import SHARING, Sharing
from mtl.targets import BuildContext, NextWordTarget, Target
from mtl.targets.label import LabelTarget
from mtl.text.running import END
from mtl.text.subwords import Subwords
from mtl.text.vocabulary import TransformerVocabulary, Vocabulary, WordVocabulary
from mtl.trunks import TRUNKS, Trunk

_TEXT_SHOWN = 5_000_000
"""Number of words from which language models count frequencies."""


def head_owners(run: Run) -> dict[str, str]:
    """Return, for each task, the task whose head it uses: itself, unless it shares a head."""
    return {name: head_owner(run, name) for name in run.tasks}


def head_owner(run: Run, task: str) -> str:
    """Return the task that owns the head of a task: itself, unless it shares a head."""
    while isinstance(shared := run.tasks[task].head, str):
        task = shared
    return task


def head_part(run: Run, owner: str) -> Part:
    """Return the head of a task that does not share the head of another task."""
    part = run.tasks[owner].head
    assert isinstance(part, Part)
    return part


def target_of(run: Run, task: str) -> type[Target]:
    """Return the target of a task.

    A form may have a target per token and one per sentence; the level of the head decides.
    """
    level = HEADS.find(head_part(run, head_owner(run, task)).type).level
    targets = run.tasks[task].source.targets
    return next((target for target in targets if target.level == level), targets[0])


def language_models(run: Run) -> list[str]:
    """Return the tasks that predict the words of the text."""
    return [task for task in run.tasks if target_of(run, task).open_vocabulary]


def vocabulary_classes(run: Run) -> dict[str, type[Vocabulary]]:
    """Return the class of the vocabulary of each feature."""
    classes = [EMBEDDINGS.find(part.type).vocabulary for part in run.embedding.values()]
    if reads_subwords(run):
        classes.append(TransformerVocabulary)
    return {cls.feature: cls for cls in [*classes, *_head_vocabularies(run)]}


def _head_vocabularies(run: Run) -> list[type[Vocabulary]]:
    """Return the vocabularies of the features of words that heads read, each once."""
    parts = [head_part(run, owner) for owner in head_owners(run).values()]
    found = (cls for p in parts for cls in HEADS.find(p.type).vocabularies(p.options))
    return list(dict.fromkeys(found))


def count_words(run: Run, corpora: Mapping[str, Corpus]) -> Counter[str]:
    """Return the number of occurrences of each word in the training text of all corpora."""
    counts: Counter[str] = Counter()
    for name, corpus in corpora.items():
        counts.update(corpus.splits["train"].word_counts())
        # Language models read and predict the end of each sentence, which corpora do not contain.
        if not set(tasks_of(run, name)).isdisjoint(language_models(run)):
            counts[END] += len(corpus.splits["train"])
    return counts


def number_words(
    run: Run,
    counts: Mapping[str, int],
    subwords: Subwords | None,
    vectors: Vectors,
    known: Mapping[str, Vocabulary] = MappingProxyType({}),
) -> dict[str, Vocabulary]:
    """Build the vocabulary of each feature from the training text.

    Args:
        run: The run.
        counts: The output of `count_words`.
        subwords: The subwords of its corpora, if they have any.
        vectors: The output of `load_vectors`; their words are added to the vocabulary.
        known: The vocabularies of the run that this one starts from, by feature.

    Returns:
        Feature to vocabulary.

    Raises:
        ConfigError: Two slots of the embedding have the same feature.
    """
    vocabularies: dict[str, Vocabulary] = {}
    if pretrained := pretrained_name(run):
        vocabulary = TransformerVocabulary.build(counts, name=pretrained)
        vocabularies[vocabulary.feature] = vocabulary
    for slot, part in run.embedding.items():
        cls = EMBEDDINGS.find(part.type).vocabulary
        if cls.feature in vocabularies:
            raise ConfigError(f"embedding.{slot}: another slot has {cls.feature} already")
        options = {option.name: part.options[option.name] for option in options_of(cls.build)}
        before = known.get(cls.feature)
        if issubclass(cls, WordVocabulary):
            # All subwords, even if the training text lacks them, so that no text has unknown ones.
            options["further"] = subwords.tokens if subwords else ()
            options["predicted"] = bool(language_models(run))
            if own := vectors.get(slot):
                options.update(vectors=own.words, extra=own.words if own.keep_all else ())
        known_here = before if isinstance(before, cls) else None
        vocabularies[cls.feature] = cls.build(counts, known_here, **options)
    for cls in _head_vocabularies(run):
        vocabularies.setdefault(cls.feature, cls.build(counts))
    return vocabularies


def build_targets(
    run: Run,
    corpora: Mapping[str, Corpus],
    vocabularies: Mapping[str, Vocabulary],
    further: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, Target]:
    """Return the target of each head, built from the training data of all tasks that use it.

    Args:
        run: The run.
        corpora: Its corpora, by name.
        vocabularies: Feature to vocabulary.
        further: Task to labels that its training data may lack.

    Raises:
        ConfigError: Nothing can be learned from the training data of a head.
    """
    owners = head_owners(run)
    words = vocabularies.get(WordVocabulary.feature)
    targets: dict[str, Target] = {}
    for owner in dict.fromkeys(owners.values()):
        part = head_part(run, owner)
        users = [task for task in run.tasks if owners[task] == owner]
        values = (
            gold
            for user in users
            for gold in corpora[run.tasks[user].corpus].splits["train"].labels(user)
            if gold is not None
        )
        # Only the first value is read here: a large corpus must not become a list.
        first = next(values, None)
        if first is None:
            raise ConfigError(f"tasks.{owner}: no sentence of the training data is labelled for it")
        context = BuildContext(
            scheme=HEADS.find(part.type).tag_scheme(part.options) or run.tasks[owner].scheme,
            words=words if isinstance(words, WordVocabulary) else None,
        )
        cls = target_of(run, owner)
        names = [further[user] for user in users if user in further]
        more = map(tuple, names) if cls.level == "token" else chain(*names)
        target = cls.build(chain([first], values, more), context)
        if problem := target.problem():
            raise ConfigError(f"tasks.{owner}: {problem}")
        if HEADS.find(part.type).adversarial and len(target) == 1:
            raise ConfigError(
                f"tasks.{owner}: {part.type!r} needs two domains or more, and all sentences of the "
                f"training data have the label {target.labels[0]!r}; add a corpus whose task "
                "shares the head"
            )
        targets[owner] = target
    return targets


def make_embedding(run: Run, vocabularies: Mapping[str, Vocabulary]) -> InputEmbedding:
    """Return the embedding of words, or of the subwords of a pretrained transformer."""
    parts = {slot: build("embedding", p, vocabularies) for slot, p in run.embedding.items()}
    words = Concatenation(parts) if parts else None
    if not reads_subwords(run):
        assert words is not None
        return words
    vocabulary = vocabularies[TransformerVocabulary.feature]
    assert isinstance(vocabulary, TransformerVocabulary)
    options = TRUNKS.find(run.trunk.type).subword_embedding(run.trunk.options)
    return TransformerEmbedding(vocabulary, **options, beside=words)


def make_model(
    run: Run, vocabularies: Mapping[str, Vocabulary], targets: Mapping[str, Target]
) -> MultiTaskModel:
    """Return the model of a run, with its initial weights."""
    embedding = make_embedding(run, vocabularies)
    sharing = make_sharing(run, embedding.size)
    heads: dict[str, Head] = {}
    owners = head_owners(run)
    columns = {
        task: part for task in owners if (part := direction(run, task, sharing.sizes_of(task)))
    }
    for owner, target in targets.items():
        context = HeadContext(
            in_features=read_width(run, owner, sharing.sizes_of(owner), columns)
            + embedding.head_size,
            labels=target.labelling(),
            scheme=target.scheme,
            pairs=reads_pairs(run, owner),
            word_table=embedding.word_table,
        )
        try:
            heads[owner] = make_head(head_part(run, owner), context)
        except Refusal as error:
            raise ConfigError(f"tasks.{owner}.head: {error}") from error
    for task, owner in owners.items():
        width = read_width(run, task, sharing.sizes_of(task), columns)
        if width + embedding.head_size != heads[owner].in_features:
            raise ConfigError(
                f"tasks.{task}.layer: shares the head of {owner!r}, which reads a layer of "
                f"another width; give both the same layer"
            )
    layers = {name: task.layer for name, task in run.tasks.items()}
    corpus_dim = TRUNKS.find(run.trunk.type).corpus_width(run.trunk.options)
    corpora = {name: task.corpus for name, task in run.tasks.items()}
    return MultiTaskModel(
        embedding,
        sharing,
        heads,
        head_of=owners,
        layers=layers,
        columns=columns,
        corpora=CorpusVectors(corpora, corpus_dim) if corpus_dim else None,
    )


def make_head(part: Part, context: HeadContext) -> Head:
    """Return a head of a run.

    Args:
        part: The head, as in the run file.
        context: Its inputs that do not come from options.

    Raises:
        Refusal: The head does not accept its options.
    """
    with refusals("head", part):
        return HEADS.find(part.type).from_options(part.options, context)


def balance_classes(
    run: Run,
    corpora: Mapping[str, Corpus],
    targets: Mapping[str, Target],
    heads: nn.ModuleDict,
) -> None:
    """Set the class weights of heads with balanced ones, from the labels of the training data."""
    for owner, head in heads.items():
        if not (isinstance(head, SingleLabelHead) and head.balanced):
            continue
        target = targets[owner]
        assert isinstance(target, LabelTarget)
        counts = Counter(_training_ids(run, corpora, owner, target))
        head.balance(torch.tensor([counts[number] for number in range(len(target))]))


def show_text(
    run: Run,
    corpora: Mapping[str, Corpus],
    targets: Mapping[str, Target],
    heads: nn.ModuleDict,
) -> None:
    """Show the training text to the language models that depend on it, at most 5 million words."""
    for owner, head in heads.items():
        if not (isinstance(head, LanguageModel) and head.reads_text):
            continue
        target = targets[owner]
        assert isinstance(target, NextWordTarget)
        ids = _training_ids(run, corpora, owner, target)
        head.read_text(torch.tensor(list(islice(ids, _TEXT_SHOWN))))


def _training_ids(
    run: Run, corpora: Mapping[str, Corpus], owner: str, target: LabelTarget | NextWordTarget
) -> Iterator[int]:
    """Yield the ids of all labels, or of all next words, from which a head is trained."""
    owners = head_owners(run)
    for task in run.tasks:
        if owners[task] == owner:
            for gold in corpora[run.tasks[task].corpus].splits["train"].labels(task):
                if gold is not None:
                    yield from target.encode(gold)


def direction(run: Run, task: str, sizes: Sequence[int]) -> slice | None:
    """Return the columns of its layer that a task reads; None if it reads the whole layer.

    If the directions of the trunk are independent, a language model reads only one direction. The
    other direction has already read the word to predict.

    Args:
        run: The run.
        task: The task.
        sizes: Widths of all layers, the embedding first.
    """
    text, layer = run.tasks[task].source.text, run.tasks[task].layer
    if text in (None, "same"):
        return None
    if TRUNKS.find(run.trunk.type).sight(run.trunk.options) != "independent":
        return None
    if layer in (0, -len(sizes)):  # the embedding of a word does not depend on its neighbours
        return None
    half = layer_width(layer, sizes) // 2
    return slice(None, half) if text == "next" else slice(half, None)


def read_width(run: Run, task: str, sizes: Sequence[int], columns: Mapping[str, slice]) -> int:
    """Return the width of the input of the head of a task."""
    width = layer_width(run.tasks[task].layer, sizes)
    return len(range(width)[columns[task]]) if task in columns else width


def make_sharing(run: Run, in_features: int) -> Sharing:
    """Return the trunk or trunks of a run.

    Args:
        run: The run.
        in_features: Width of the token vectors, without the vector of the corpus.
    """
    width = in_features + TRUNKS.find(run.trunk.type).corpus_width(run.trunk.options)

    def make_trunk() -> Trunk:
        trunk: Trunk = build("trunk", run.trunk, width)
        return trunk

    part = run.sharing
    with refusals("sharing", part):
        return SHARING.find(part.type).from_options(part.options, make_trunk, run_context(run))


def layer_width(layer: Layer, sizes: Sequence[int]) -> int:
    """Return the width of the input of a head at `layer`.

    Args:
        layer: The layer.
        sizes: Widths of all layers, the embedding first.

    Raises:
        ConfigError: The model has no such layer, or the layers cannot be mixed.
    """
    top = len(sizes) - 1
    if not isinstance(layer, int):
        if not top:
            raise ConfigError("a model without a trunk has no layers to mix; remove the layer")
        if len(set(sizes[1:])) > 1:
            raise ConfigError(f"layers of widths {list(sizes[1:])} cannot be mixed")
        return sizes[-1]
    if not -top - 1 <= layer <= top:
        raise ConfigError(f"the trunk has layers 0 (the embedding) to {top}, got {layer}")
    return sizes[layer]
