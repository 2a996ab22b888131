"""Untrained models of every kind of part, for comparisons of torch and the runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import torch

from mtl.data.encoding import Batcher
from mtl.embeddings import EMBEDDINGS, Concatenation, CorpusVectors
from mtl.heads import HEADS, LabelSet, Number, Tagger
from mtl.heads.pairs import PARTS, Pairs
from mtl.inference.predictor import Predictor
from mtl.model import MultiTaskModel
from mtl.sharing import SHARING
from mtl.targets import (
    LabelSetTarget,
    NumberTarget,
    SentenceLabelTarget,
    SoftLabelTarget,
    Target,
    TokenLabelTarget,
    TokenNumberTarget,
    TokenSetTarget,
    TokenSoftLabelTarget,
)
from mtl.trunks import TRUNKS
from tests.contracts import test_heads, test_sharing, test_trunks

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "Ann",
    "Smith",
    "left",
    "New",
    "Rome",
    "in",
    "1984",
    "naïve",
    "walking",
]
TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
KINDS = ["p", "q", "r"]
TRUNK = {"type": "qrnn", "num_layers": 2, "hidden_size": 6}
TARGETS: Mapping[str, Target] = {
    "tags": TokenLabelTarget(TAGS, scheme="bio"),
    "kind": SentenceLabelTarget(KINDS),
    "kinds": LabelSetTarget(KINDS),
    "number": NumberTarget(3.0, 2.0),
    "soft": SoftLabelTarget(KINDS),
    "token_sets": TokenSetTarget(KINDS),
    "token_numbers": TokenNumberTarget(-1.0, 0.5),
    "token_soft": TokenSoftLabelTarget(KINDS),
}
LANGUAGE_MODELS = {"lm"}


def part(options: Mapping[str, Any], default: str = "") -> tuple[str, dict[str, Any]]:
    return options.get("type", default), {k: v for k, v in options.items() if k != "type"}


def predictor(
    tasks: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None,
    *,
    trunk: Mapping[str, Any] = TRUNK,
    sharing: Mapping[str, Any] | None = None,
    embeddings: Mapping[str, Mapping[str, Any]] | None = None,
    pairs: bool | str = False,
    layer: int | str = -1,
    corpus_dim: int = 0,
    max_length: int = 12,
) -> Predictor:
    """Return the predictor of a model whose weights are all random.

    Args:
        tasks: Task to its head: a name, and options. A task is one of `TARGETS`, perhaps with a
            number behind it.
        trunk: Name and options of the trunks.
        sharing: Name and options of the sharing.
        embeddings: Name of each embedding to its options.
        pairs: Whether classifiers compare pairs; "attending": with cross-attention.
        layer: The layer that all heads read.
        corpus_dim: Width of the vectors of corpora; each task has its own corpus.
        max_length: The most tokens of a window.
    """
    torch.manual_seed(1)
    tasks = tasks or {"tags": ("crf", {}), "kind": ("pool", {})}
    embeddings = embeddings or {"words": {"dim": 9}, "cnn": {"dim": 5, "filters": 7}}
    made, vocabularies = {}, {}
    for name, options in embeddings.items():
        kind = EMBEDDINGS.find(name)
        counts = {word: 20 - i for i, word in enumerate(WORDS)}
        vocabularies[kind.vocabulary.feature] = kind.vocabulary.build(counts)
        made[name] = kind(vocabularies, **options)
    embedding = Concatenation(made)
    kind_of_trunk, trunk_options = part(trunk, "qrnn")
    kind_of_sharing, sharing_options = part(sharing or {}, "hard")
    shared = SHARING.find(kind_of_sharing)(
        list(tasks),
        lambda: TRUNKS.find(kind_of_trunk)(embedding.size + corpus_dim, **trunk_options),
        **sharing_options,
    )
    targets, heads = {}, {}
    for task, (name, options) in tasks.items():
        target = TARGETS[task.rstrip("0123456789")]
        labels = target.labelling()
        head = HEADS.find(name)
        width = shared.sizes_of(task)[layer if isinstance(layer, int) else -1]
        if pairs and not issubclass(head, Tagger):
            labels = Pairs(labels, PARTS, pairs == "attending")
        heads[task] = head(width, labels, **options)
        targets[task] = target
    own = {task: task for task in tasks}
    model = MultiTaskModel(
        embedding,
        shared,
        heads,
        head_of=own,
        layers=dict.fromkeys(tasks, layer),
        corpora=CorpusVectors(own, corpus_dim) if corpus_dim else None,
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
        for head in heads.values():
            if isinstance(getattr(head, "objective", None), LabelSet):
                head.objective.thresholds.uniform_(0.3, 0.7)
    schemes = {task: "bio" if task.startswith("tags") else None for task in tasks}
    batcher = Batcher(vocabularies, targets)
    return Predictor(model, batcher, schemes=schemes, max_length=max_length, overlap=4)


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a name and the arguments of `predictor` for each part with each of its options."""
    for name, rows in test_heads.OPTIONS.items():
        head = HEADS.find(name)
        if name in LANGUAGE_MODELS:
            continue
        for number, options in enumerate(rows):
            if "class_weights" in options:
                continue
            for form, target in TARGETS.items():
                if head.accepts(type(target)):
                    yield f"{name}-{number}-{form}", {"tasks": {form: (name, options)}}
                    if not issubclass(head, Tagger) and head.pairs:
                        pair = {"tasks": {form: (name, options)}, "pairs": True}
                        yield f"{name}-{number}-{form}-pairs", pair
    for name in ("pool", "cnn", "attention"):
        yield f"{name}-attending", {"tasks": {"kind": (name, {})}, "pairs": "attending"}
    for name, rows in test_trunks.OPTIONS.items():
        for number, options in enumerate(rows):
            yield f"{name}-{number}", {"trunk": {"type": name, **options}}
    three = {"a": ("crf", {}), "b": ("pool", {}), "c": ("softmax", {})}
    renamed = dict(zip(three, ("tags", "kind", "tags2"), strict=True))
    tasks = {renamed[task]: head for task, head in three.items()}
    for name in SHARING:
        for number, options in enumerate(test_sharing.OPTIONS.get(name, [{}])):
            named = {key: _renamed(value, renamed) for key, value in options.items()}
            yield f"{name}-{number}", {"sharing": {"type": name, **named}, "tasks": tasks}
    yield "corpora", {"corpus_dim": 3, "tasks": tasks}
    rows = {
        "words": [{"dim": 6}, {"dim": 6, "multichannel": True}],
        "cnn": [{"width": 1}, {"width": 4}],
    }
    for name in EMBEDDINGS:
        for number, options in enumerate(rows.get(name, [{}])):
            yield f"{name}-{number}", {"embeddings": {name: options}}
    for layer, pooled in product((0, 1, "mix", "mix_all"), (False, True)):
        tasks = {"kind": ("pool", {})} if pooled else {"tags": ("softmax", {})}
        yield f"layer-{layer}-{pooled}", {"layer": layer, "tasks": tasks}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


__all__ = ["TAGS", "WORDS", "Number", "predictor", "variants"]
