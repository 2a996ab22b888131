"""The runtime gives the results of torch: forms of labels, confidences, windows, units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from mtl_runtime.model import Model

from mtl.data.encoding import Batcher
from mtl.embeddings import (
    AffixEmbedding,
    CharacterCNN,
    Concatenation,
    NgramEmbedding,
    SubwordEmbedding,
    WordEmbedding,
)
from mtl.heads import (
    AttentionClassifier,
    ConstrainedTagger,
    CRFTagger,
    Pairs,
    PoolClassifier,
    SoftmaxTagger,
)
from mtl.inference.inputs import Sentences, read_sentences
from mtl.inference.predictor import Predictor
from mtl.inference.probabilities import probabilities
from mtl.inference.temperature import Temperatures
from mtl.model import MultiTaskModel
from mtl.sharing import Hard
from mtl.targets import (
    LabelSetTarget,
    NumberTarget,
    SentenceLabelTarget,
    SoftLabelTarget,
    TokenLabelTarget,
    TokenNumberTarget,
    TokenSetTarget,
    TokenSoftLabelTarget,
)
from mtl.text.tokenizer import words_of
from mtl.text.vocabulary import (
    AffixVocabulary,
    CharacterVocabulary,
    NgramVocabulary,
    SubwordVocabulary,
    WordVocabulary,
)
from mtl.trunks import LSTMTrunk
from tests.runtime.networks import Network

WORDS = words_of("Ann left Rome . in the U.S. Bob sees a very big house and goes !", False)
IOBES = ["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]
BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]
SCHEMES = {"ner": "bio", "chunk": "bio", "rules": "iobes"}
TARGETS = {
    "pos": TokenLabelTarget(["D", "N", "V"]),
    "ner": TokenLabelTarget(IOBES, scheme="iobes"),
    "chunk": TokenLabelTarget(BIO),
    "rules": TokenLabelTarget(IOBES, scheme="iobes"),
    "marks": TokenSetTarget("klm"),
    "time": TokenNumberTarget(3.0, 2.0),
    "votes": TokenSoftLabelTarget("uv"),
    "kind": SentenceLabelTarget(["p", "q", "r"]),
    "set": LabelSetTarget("xyz"),
    "number": NumberTarget(50.0, 10.0),
    "soft": SoftLabelTarget(["no", "yes"]),
    "pair": SentenceLabelTarget(["no", "yes"]),
}
SINGLE = [task for task in TARGETS if task != "pair"]
TEXTS = [
    "Ann left Rome. Bob sees a very big house in the U.S. and goes!",
    "",
    "A new word",
    ["Ann", "left", "Rome", "."],
    [],
    "Bob goes! The house.\n\nRome in the U.S. Ann sees Bob. " * 3,
    "left",
    [*WORDS, *WORDS[::-1], *WORDS],
]


def predictor(**options: Any) -> Predictor:
    """An untrained model at work."""
    torch.manual_seed(7)
    counts = dict.fromkeys(WORDS, 2)
    vocabularies = {
        "words": WordVocabulary.build(counts),
        "characters": CharacterVocabulary.build(counts),
        "affixes": AffixVocabulary.build(counts),
        "ngrams": NgramVocabulary.build(counts),
        "subwords": SubwordVocabulary.build(counts),
    }
    embedding = Concatenation(
        {
            "words": WordEmbedding(vocabularies, dim=6),
            "cnn": CharacterCNN(vocabularies, dim=4, filters=3),
            "affixes": AffixEmbedding(vocabularies, dim=2),
            "ngrams": NgramEmbedding(vocabularies, dim=2),
            "subwords": SubwordEmbedding(vocabularies, dim=3),
        }
    )
    size = embedding.size
    sharing = Hard(list(TARGETS), lambda: LSTMTrunk(size, num_layers=1, hidden_size=8))
    labels = {task: target.labelling() for task, target in TARGETS.items()}
    heads = {task: SoftmaxTagger(16, labels[task]) for task in ("pos", "chunk")}
    heads |= {task: SoftmaxTagger(16, labels[task]) for task in ("marks", "time", "votes")}
    heads["ner"] = CRFTagger(16, labels["ner"], scheme="iobes", constrained=True)
    heads["rules"] = ConstrainedTagger(16, labels["rules"], scheme="iobes")
    heads["kind"] = PoolClassifier(16, labels["kind"])
    heads["set"] = AttentionClassifier(16, labels["set"], hops=2)
    heads["number"] = PoolClassifier(16, labels["number"], pooling="mean")
    heads["soft"] = PoolClassifier(16, labels["soft"])
    heads["pair"] = AttentionClassifier(16, Pairs(["no", "yes"]))
    for head in heads.values():  # large scores, so that labels differ
        torch.nn.init.normal_(head.output.weight, std=1.5)
    own, layers = {task: task for task in TARGETS}, dict.fromkeys(TARGETS, -1)
    model = MultiTaskModel(embedding, sharing, heads, head_of=own, layers=layers).eval()
    thresholds = model.head("set").objective.thresholds
    thresholds.copy_(torch.tensor([0.2, 0.5, 0.8]))
    defaults = {"schemes": SCHEMES, "max_length": 100, "overlap": 4}
    return Predictor(model, Batcher(vocabularies, TARGETS), **{**defaults, **options})


def same(found: Any, expected: Any) -> bool:
    """Return whether two values are equal, numbers up to rounding."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=2e-5, abs_tol=2e-6)
    return bool(found == expected)


def both(
    texts: Sentences, tasks: Sequence[str], by_sentence: Sequence[str] = (), **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the records of the runtime and of torch, with confidences."""
    in_torch = predictor(**options)
    units = {task: "sentence" if task in by_sentence else "record" for task in TARGETS}
    model = Model(Network(in_torch, units=units))
    pairs = tasks == ["pair"]
    read = list(read_sentences(texts, pairs=pairs))
    expected = in_torch.run(read, tasks, confidence=True, by_sentence=by_sentence)
    found = model.annotate(texts, tasks, confidence=True)
    plain = [prediction.labels for prediction in in_torch.run(read, tasks, by_sentence=by_sentence)]
    assert same([p.labels for p in model.annotate(texts, tasks)], plain)
    return [p.to_dict() for p in found], [p.to_dict() for p in expected]


@pytest.mark.parametrize("task", SINGLE)
def test_each_task_has_the_labels_and_confidences_of_torch(task: str) -> None:
    found, expected = both(TEXTS, [task])
    assert same(found, expected)
    assert len({str(record[task]) for record in expected}) > 1


@pytest.mark.parametrize("by_sentence", [(), ("pos", "ner", "kind"), SINGLE], ids=len)
@pytest.mark.parametrize("max_length", [100, 7])
def test_all_tasks_together(max_length: int, by_sentence: Sequence[str]) -> None:
    found, expected = both(TEXTS, SINGLE, by_sentence, max_length=max_length)
    assert same(found, expected)


@pytest.mark.parametrize("size", [20, 1024])
def test_many_sentences_keep_their_order(size: int) -> None:
    texts = [WORDS[n % 5 : n % 17] for n in range(100)]
    found, expected = both(texts, SINGLE, max_tokens=size)
    assert same(found, expected)


def test_one_sentence() -> None:
    for text in TEXTS:
        found, expected = both([text], SINGLE)
        assert same(found, expected)


def test_pairs() -> None:
    pairs = [("Ann left.", "Bob goes"), ("", "Rome"), (WORDS, ["a"]), ("", ""), ("Ann", "")]
    found, expected = both(pairs, ["pair"])
    assert same(found, expected)


@pytest.mark.parametrize("task", ["pos", "ner", "chunk", "rules", "kind", "pair"])
def test_probabilities(task: str) -> None:
    texts: Any = [(text, "Rome") for text in TEXTS] if task == "pair" else TEXTS
    in_torch = predictor(max_length=9)
    read = list(read_sentences(texts, pairs=task == "pair"))
    labels, expected = probabilities(in_torch, read, task)
    names, found = Model(Network(in_torch)).probabilities(texts, task)
    assert names == labels
    for own, other in zip(found, expected, strict=True):
        assert own.dtype == other.dtype
        assert own == pytest.approx(other, abs=2e-6)


@pytest.mark.parametrize("task", SINGLE)
def test_temperatures(task: str) -> None:
    in_torch, neutral = predictor(max_length=9), predictor(max_length=9)
    in_torch.temperatures = {task: Temperatures(2.3, 0.7)}
    read = list(read_sentences(TEXTS, pairs=False))
    expected = [p.to_dict() for p in in_torch.run(read, [task], confidence=True)]
    model = Model(Network(in_torch, units=dict.fromkeys(TARGETS, "record")))
    found = [p.to_dict() for p in model.annotate(TEXTS, [task], confidence=True)]
    assert same(found, expected)
    plain = [p.to_dict() for p in neutral.run(read, [task], confidence=True)]
    assert (plain == expected) == (task in ("time", "number", "votes", "soft"))
