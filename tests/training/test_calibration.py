"""The fit of temperatures: the least negative log-likelihood, whatever the batches are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mtl.heads import CRFTagger
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.probabilities import probabilities
from mtl.inference.temperature import Temperature
from mtl.targets import LabelSetTarget, PartialLabelTarget
from mtl.text.example import Example, Labels
from mtl.training.answers import AnswerCounts
from mtl.training.calibration import LIMITS, _nll, fit_temperature, likelihood
from mtl.training.evaluation import evaluate
from tests.inference import test_predictor
from tests.inference.test_predictor import LABELS, text

UNSEEN = "new"


def predictor(**options: int) -> Predictor:
    """Return a model whose tags have the scheme of its heads."""
    made = test_predictor.predictor(**options)
    made.schemes = dict.fromkeys(made.schemes)
    torch.manual_seed(5)
    for task in made.targets:  # large scores, so that temperatures matter
        torch.nn.init.normal_(made.head(task).output.weight, std=3.0)
    return made


def labelled(task: str, count: int = 12) -> list[Example]:
    """Return sentences with random labels, of which some are missing and some unseen."""
    rng, labels = np.random.default_rng(4), [*LABELS[task].labels, UNSEEN]
    examples = []
    for number in range(count):
        words = text(1 + 3 * number % 16, number)
        drawn: Labels = str(rng.choice(labels))
        if LABELS[task].level == "token":
            tags = rng.choice(labels[:-1] if task == "ner" else labels, len(words))
            drawn = tuple(None if rng.random() < 0.2 else str(tag) for tag in tags)
        examples.append(Example(words.tokens, {task: drawn}))
    return [*examples, text(3)]


def expected(found: Predictor, examples: Sequence[Example], task: str) -> tuple[float, int]:
    """Return the sum of −ln p(gold) over known labels, and their number, from `probabilities`."""
    own = [example for example in examples if task in example.labels]
    labels, rows = probabilities(found, [Sentence(example) for example in own], task)
    total, count = 0.0, 0
    for example, row in zip(own, rows, strict=True):
        gold = example.labels[task]
        for label, p in zip(
            gold if isinstance(gold, tuple) else [gold], np.atleast_2d(row), strict=True
        ):
            if label in labels:
                total, count = total - math.log(p[labels.index(str(label))]), count + 1
    return total, count


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("task", ["pos", "kind"])
def test_the_likelihood_is_the_one_of_the_probabilities(task: str, temperature: float) -> None:
    found, examples = predictor(max_length=7, overlap=2), labelled(task)
    nll, count = likelihood(found, examples, task)  # type: ignore[arg-type]
    found.temperatures = {task: Temperature(temperature, temperature)}
    total, known = expected(found, examples, task)
    assert (nll(temperature), count) == (pytest.approx(total, rel=1e-4), known)


@pytest.mark.parametrize("task", ["pos", "ner", "kind"])
def test_batches_and_order_do_not_matter(task: str) -> None:
    examples = labelled(task)
    numbers = []
    for order, size in ((1, 1024), (-1, 1024), (1, 16)):
        found = predictor(max_length=12, overlap=2, max_tokens=size)
        nll, count = likelihood(found, examples[::order], task)  # type: ignore[arg-type]
        numbers.append((nll(1.7), count))
    assert numbers[0][1] > 0
    for total, count in numbers[1:]:
        assert (total, count) == (pytest.approx(numbers[0][0], rel=1e-5), numbers[0][1])


@pytest.mark.parametrize("task", ["pos", "ner", "kind"])
def test_labels_do_not_depend_on_the_temperature(task: str) -> None:
    examples = [text(n) for n in range(12)]
    labels, certain = [], []
    for temperature in (0.2, 1.0, 5.0):
        found = predictor()
        found.temperatures = {task: Temperature(temperature, temperature)}
        answers = list(found.run(map(Sentence, examples), [task], confidence=True))
        labels.append([answer.labels for answer in answers])
        certain.append([answer.confidence for answer in answers])
    assert labels[0] == labels[1] == labels[2]
    assert certain[0] != certain[1] != certain[2]


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_temperature_of_drawn_labels_is_found(true: float) -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(20_000, 4, dtype=torch.float64)
    gold = torch.multinomial((logits / true).softmax(1), 1).squeeze(1)
    found = fit_temperature(lambda t: float(_nll((logits / t).log_softmax(1), gold)))
    grid = [true * (1 + step / 100) for step in range(-20, 21)]
    losses = [float(_nll((logits / t).log_softmax(1), gold)) for t in grid]
    assert found == pytest.approx(true, rel=0.05)
    assert float(_nll((logits / found).log_softmax(1), gold)) <= min(losses) + 1e-6


def test_the_temperature_stays_within_its_limits() -> None:
    assert fit_temperature(lambda t: t) == pytest.approx(LIMITS[0], rel=1e-4)
    assert fit_temperature(lambda t: -t) == pytest.approx(LIMITS[1], rel=1e-4)


def test_sets_and_possible_labels() -> None:
    p = torch.tensor([[0.9, 0.2], [0.6, 0.5], [0.3, 0.1]], dtype=torch.float64)
    sets = LabelSetTarget("ab").tensor([frozenset("a"), None, frozenset("ab")], 0)
    assert float(_nll(p.log(), sets)) == pytest.approx(-math.log(0.9 * 0.8 * 0.3 * 0.1))
    rows = torch.tensor([[[0.7, 0.2, 0.1]] * 3], dtype=torch.float64)
    open_, two, one = frozenset[str](), frozenset("ab"), frozenset("c")
    possible = PartialLabelTarget("abc").tensor([(open_, two, one)], 3)
    assert float(_nll(rows.log(), possible)) == pytest.approx(-math.log(0.9 * 0.1))


def test_the_answers_are_what_users_see() -> None:
    found = test_predictor.predictor()  # learns IOBES, shows BIO
    examples = [Example(text(9, n).tokens, {"ner": ("B-X", "I-X", "O") * 3}) for n in range(20)]
    answers = evaluate(found, examples, {}, confidence=True)  # type: ignore[arg-type]
    assert answers.reliability == {}
    counts = AnswerCounts(spans=True)
    spans = right = words = 0
    for own in found.run(map(Sentence, examples), ["ner"], confidence=True):
        gold = own.sentence.example.labels["ner"]
        counts.add(gold, own["ner"])
        words += sum(a == b for a, b in zip(gold, own.labels["ner"], strict=True))  # type: ignore[arg-type]
        spans += len(own.spans["ner"])
        right += sum(
            s.type == "X" and s.tokens in ((0, 2), (3, 5), (6, 8)) for s in own.spans["ner"]
        )
    by_kind = counts.reliability()
    assert list(by_kind) == ["words", "spans"]
    assert by_kind["words"].correct.sum() == words
    assert (len(by_kind["spans"]), by_kind["spans"].correct.sum()) == (spans, right)
    assert isinstance(found.head("ner"), CRFTagger)
