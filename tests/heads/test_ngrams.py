"""The bag of word n-grams beside a classifier: scikit-learn and plain loops are the oracles."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction import FeatureHasher
from torch import Tensor

import mtl
from mtl.errors import ConfigError, MtlError, OptionError
from mtl.export.bundle import TaskForm, export_bundle
from mtl.heads import (
    HEADS,
    AttentionClassifier,
    Classifier,
    DomainClassifier,
    LabelSet,
    Number,
    Pairs,
    PoolClassifier,
)
from mtl.inference.attribution import explain
from mtl.inference.inputs import Sentence
from mtl.layers import NgramBag
from mtl.text.example import Example
from mtl.text.vocabulary import HashVocabulary
from tests.training.runs import prepared

SENTENCES = ["the cat sees the cat", "cat", "", "the dog the dog the dog", "a b c d e f g h"]


def numbers(sentences: list[str]) -> tuple[Tensor, Tensor]:
    """The numbers of words, `[B, T]`, and the mask."""
    encode = HashVocabulary().encode
    rows = [[encode(word)[0] for word in text.split()] for text in sentences]
    width = max(map(len, rows)) + 1
    words = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return words, words > 0


def code(words: list[int]) -> int:
    """The number of an n-gram, in whole numbers of any size."""
    found = 1
    for word in words:
        found = (found * 1_000_003 + word) % (2**31 - 1)
    return found


def made(longest: int, buckets: int = 50, size: int = 3) -> NgramBag:
    bag = NgramBag(longest, buckets, size).double()
    torch.nn.init.normal_(bag.table.weight)
    return bag


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_scores_are_those_of_a_linear_model_of_counts(longest: int) -> None:
    """The counts are those of scikit-learn's hashing trick, with these codes for hashes."""
    bag = made(longest)
    words, mask = numbers(SENTENCES)
    found = bag.pool(bag(words), mask)
    for row, own in zip(words.tolist(), found, strict=True):
        text = [word for word in row if word]
        grams = [
            code(text[i : i + n]) for n in range(1, longest + 1) for i in range(len(text) - n + 1)
        ]
        counts = np.bincount([gram % 50 for gram in grams], minlength=50)
        x = torch.from_numpy(counts).double() / math.sqrt(max(1, len(grams)))
        torch.testing.assert_close(own, x @ bag.table.weight)


def test_different_ngrams_make_a_vector_of_length_1() -> None:
    """With one row per n-gram, the features are those of FeatureHasher, scaled to length 1."""
    bag = made(2, buckets=1 << 20, size=1)
    words, mask = numbers(["a b c d e f g h"])
    grams = [*"abcdefgh", *(["ab", "bc", "cd", "de", "ef", "fg", "gh"])]
    hashed = FeatureHasher(1 << 20, input_type="string", alternate_sign=False).transform([grams])
    with torch.no_grad():
        bag.table.weight.fill_(1)
        score = bag.pool(bag(words), mask).item()
    assert score == pytest.approx(hashed.sum() / math.sqrt(hashed.multiply(hashed).sum()))


def test_gates_multiply_the_ngrams_of_their_words() -> None:
    """A word with the gate 0 is missing from the sentence, and so are its n-grams."""
    bag = made(2)
    words, mask = numbers(["a b c"])
    gates = torch.tensor([[1.0, 0.5, 0.0, 0.0]]).double()
    found = bag(words, gates)[0].sum(0)
    a, b = words[0, :2].tolist()
    rows = bag.table.weight
    expected = rows[code([a]) % 50] + 0.5 * rows[code([b]) % 50] + 0.5 * rows[code([a, b]) % 50]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(bag(words, mask.double()), bag(words))


def test_case_does_not_matter_and_no_word_has_the_number_of_padding() -> None:
    encode = HashVocabulary().encode
    assert encode("The") == encode("the") != encode("teh")
    assert all(0 < encode(word)[0] < 2**31 - 1 for word in ("", "a", "ß", "\ud800", "x" * 1000))
    saved = HashVocabulary().to_json()
    assert HashVocabulary.from_json(saved).encode("a") == encode("a")
    with pytest.raises(ValueError, match="expected the hash function crc32"):
        HashVocabulary.from_json({"hash": "md5"})


@pytest.mark.parametrize("labels", [["a", "b"], LabelSet("ab"), Number(3.0, 2.0)])
@pytest.mark.parametrize("name", ["cnn", "pool", "attention", "hierarchical", "deep_cnn"])
def test_scores_are_added_to_those_of_the_network(name: str, labels: Any) -> None:
    options: dict[str, Any] = {"widths": (1,), "maps": 4} if "cnn" in name else {}
    options |= {"penalty": 0.1} if name == "attention" else {}
    options |= {"layers": (1,)} if name == "deep_cnn" else {}
    with_bag = HEADS.find(name)(5, labels, ngrams=2, buckets=64, **options).double().eval()
    assert isinstance(with_bag, Classifier)
    assert with_bag.bag is not None
    torch.nn.init.normal_(with_bag.bag.table.weight)
    without = copy.deepcopy(with_bag)
    without.bag = None
    words, mask = numbers(SENTENCES)
    states, bag = torch.randn(*mask.shape, 5).double(), with_bag.bag
    hidden = torch.cat([states, bag(words)], 2)
    expected = without.scores(states, mask) + bag.pool(bag(words), mask)
    torch.testing.assert_close(with_bag.scores(hidden, mask), expected)
    dirty = torch.where(mask.unsqueeze(2), hidden, torch.full_like(hidden, 1e3))
    torch.testing.assert_close(with_bag.scores(dirty, mask), expected)


def test_a_penalty_leaves_the_scores_of_the_bag_in_the_loss() -> None:
    head = AttentionClassifier(4, ["a", "b"], ngrams=1, buckets=16, hops=2, penalty=1e-9, dropout=0)
    assert head.bag is not None
    torch.nn.init.normal_(head.bag.table.weight)
    words, mask = numbers(SENTENCES)
    hidden = torch.cat([torch.randn(*mask.shape, 4), head.bag(words)], 2)
    target = torch.tensor([0, 1, 0, 1, 1])
    torch.testing.assert_close(
        head.train().loss(hidden, mask, target), head.eval().loss(hidden, mask, target)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DomainClassifier(4, ["a", "b"], ngrams=1), "ngrams: has no effect on an adv"),
        (lambda: PoolClassifier(4, Pairs(["a", "b"]), ngrams=1), "ngrams: has no form for pairs"),
        (lambda: PoolClassifier(4, ["a", "b"], buckets=9), "buckets: has no effect unless ngrams"),
    ],
)
def test_options_without_effect_are_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


BAG = {"verb": {"use": "c/verb", "head": {"type": "pool", "ngrams": 2, "buckets": 100}}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> mtl.TrainedModel:
    """A trained model of a classifier with n-grams and a tagger, read from its folder."""
    folder = tmp_path_factory.mktemp("bag")
    prepared(folder, {**BAG, "pos": {"use": "c/pos"}}, epochs=3)
    mtl.train(folder / "run.yaml", output=folder / "run", progress=False)
    return mtl.load(folder / "run")


def test_a_run_learns_the_weights_of_ngrams(model: mtl.TrainedModel) -> None:
    """Predictions do not depend on the other sentences, nor on a second task."""
    head = model.predictor.head("verb")
    assert isinstance(head, Classifier)
    assert head.bag is not None
    assert head.bag.table.weight.abs().sum() > 0
    texts = [["w1", "cat", "sat"], ["the"], ["a", "dog", "ran", "up", "w3"]]
    batcher = model.predictor.batcher
    for together in (["verb"], ["verb", "pos"]):
        found = list(model.annotate(texts, tasks=together, confidence=True))
        for words, sentence in zip(texts, found, strict=True):
            batch = batcher.batch([Example(tuple(words))])
            with torch.no_grad():
                hidden = model.predictor.model.encode(batch, ["verb"]).hidden["verb"]
                expected = head.log_probs(hidden, batch.mask).exp().max().item()
            assert sentence["verb"].confidence == pytest.approx(expected, abs=1e-5)


def test_explanations_sum_to_the_score_with_the_ngrams_of_a_word(model: mtl.TrainedModel) -> None:
    """The weight of a word, by occlusion, is the change of the score if its gate is 0."""
    words = ("w1", "cat", "sat")
    predictor = model.predictor
    predictions = predictor.run([Sentence(Example(words))], ["verb"], confidence=True)
    given: Any = {"by_sentence": (), "method": "occlusion"}
    (answer,) = next(iter(explain(predictor, predictions, ["verb"], **given))).by_task["verb"]
    own = copy.deepcopy(predictor.model).double().eval()
    head = own.head("verb")
    batch = predictor.batcher.batch([Example(words)])

    def score(*gates: float) -> float:
        factors = torch.tensor([gates]).double()
        embedded = own.embed(batch.features, batch.mask)
        vectors = embedded.vectors * factors.unsqueeze(2)
        gated = embedded._replace(vectors=vectors, gates=factors)
        log_probs = head.log_probs(own.encode_vectors(gated, ["verb"]).hidden["verb"], batch.mask)
        p = log_probs.exp()[0, head.labels.index(str(answer.answer))]
        return (p / (1 - p)).log().item()

    whole = score(1, 1, 1)
    gates = [(0, 1, 1), (1, 0, 1), (1, 1, 0)]
    assert answer.weights == pytest.approx([whole - score(*own) for own in gates], abs=1e-9)


def test_a_bundle_refuses_the_head_but_has_the_other_tasks(
    model: mtl.TrainedModel, tmp_path: Path
) -> None:
    form = TaskForm("sentence", False, False)
    with pytest.raises(MtlError, match=r"task 'verb': its head has a bag of word n-grams, but a"):
        export_bundle(model.predictor, {"verb": form, "pos": form}, tmp_path / "both.mtl")
    export_bundle(model.predictor, {"pos": form}, tmp_path / "pos.mtl")
    assert b"hashes" not in (tmp_path / "pos.mtl").read_bytes()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"type": "pool", "buckets": 9}, r"verb.head.buckets: has no effect unless ngrams is set"),
        ({"type": "domain", "ngrams": 1}, r"verb.head.ngrams: has no effect on an adversary"),
        (
            {"type": "pool", "ngrams": -1},
            r"verb.head.ngrams: expected a whole number in \[0, 10\], got -1",
        ),
    ],
)
def test_a_run_file_with_such_options_is_refused(
    head: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, {"verb": {"use": "c/verb", "head": head}})
