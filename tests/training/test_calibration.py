"""The fit of temperatures: the least negative log-likelihood, whatever the batches are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.probabilities import probabilities
from mtl.inference.temperature import Temperatures
from mtl.metrics import SpanF1
from mtl.targets import LabelSetTarget, PartialLabelTarget
from mtl.text.example import Example, Labels, of_tokens
from mtl.training.calibration import LIMITS, _nll, fit_temperature, likelihood, span_likelihood
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
    """Return −Σ ln p(gold), with one further answer of all labels alike, and the number of labels.

    The probabilities are the ones of `probabilities`.
    """
    own = [example for example in examples if task in example.labels]
    labels, rows = probabilities(found, [Sentence(example) for example in own], task)
    gold_ones, means = [], []
    for example, row in zip(own, rows, strict=True):
        gold = example.labels[task]
        golds = gold if isinstance(gold, tuple) else (gold,)
        for label, p in zip(golds, np.atleast_2d(row), strict=True):
            if label in labels:
                gold_ones.append(-math.log(p[labels.index(str(label))]))
                means.append(-np.log(p).mean())
    share = 1 / (len(means) + 1)
    return (1 - share) * sum(gold_ones) + share * sum(means), len(means)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("task", ["pos", "kind"])
def test_the_likelihood_is_the_one_of_the_probabilities(task: str, temperature: float) -> None:
    found, examples = predictor(max_length=7, overlap=2), labelled(task)
    nll, count = likelihood(found, examples, task)  # type: ignore[arg-type]
    found.temperatures = {task: Temperatures(temperature, temperature)}
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
        found.temperatures = {task: Temperatures(temperature, temperature)}
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


def test_a_small_set_without_errors_gives_no_certainty() -> None:
    logits = 5 * torch.eye(3, dtype=torch.float64).repeat(4, 1)  # 12 right answers of p = 0.987
    gold = torch.arange(3).repeat(4)
    found = fit_temperature(lambda t: float(_nll((logits / t).log_softmax(1), gold, 1 / 13)))
    certain = (logits / found).softmax(1).amax(1)
    # The right label has 12 answers, and a third of the further one.
    assert certain[0] == pytest.approx((12 + 1 / 3) / 13, abs=1e-3)
    without = fit_temperature(lambda t: float(_nll((logits / t).log_softmax(1), gold)))
    assert without == pytest.approx(LIMITS[0], rel=1e-3)


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


def tagged(count: int = 20) -> list[Example]:
    """Return sentences with gold spans, some tags missing."""
    tags = ("B-X", "I-X", "O") * 3
    half = (*tags[:3], None, None, *tags[5:])
    return [Example(text(9, n).tokens, {"ner": half if n % 4 else tags}) for n in range(count)]


def test_the_answers_are_what_users_see() -> None:
    found = test_predictor.predictor()  # learns IOBES, shows BIO
    examples = tagged()
    answers = evaluate(found, examples, {"ner": SpanF1}, confidence=True)  # type: ignore[arg-type]
    assert list(answers.reliability["ner"]) == ["words", "spans"]
    words, spans = [], []
    for own in found.run(map(Sentence, examples), ["ner"], confidence=True):
        gold = of_tokens(own.sentence.example.labels["ner"])
        right = {(span.type, span.tokens) for span in own.spans["ner"]} & GOLD
        tags = zip(gold, own.labels["ner"], own.confidence["ner"], strict=True)  # type: ignore[arg-type]
        words += [(p, label == tag) for tag, label, p in tags if tag is not None]
        spans += [
            (span.confidence, (span.type, span.tokens) in right)
            for span in own.spans["ner"]
            if None not in gold[slice(*span.tokens)]
        ]
    for kind, expected in (("words", words), ("spans", spans)):
        seen = answers.reliability["ner"][kind]
        assert list(zip(seen.confidence, seen.correct, strict=True)) == expected
    assert len(spans) > 0


GOLD = {("X", (0, 2)), ("X", (3, 5)), ("X", (6, 8))}
"""The spans of the sentences of `tagged`."""


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_likelihood_of_spans_is_the_one_of_their_confidences(temperature: float) -> None:
    found, examples = test_predictor.predictor(), tagged()
    nll, count = span_likelihood(found, examples, "ner")  # type: ignore[arg-type]
    found.temperatures = {"ner": Temperatures(1.0, temperature)}
    answers = evaluate(found, examples, {"ner": SpanF1}, confidence=True)  # type: ignore[arg-type]
    spans = answers.reliability["ner"]["spans"]
    share, logarithms = 1 / (len(spans) + 1), np.log([spans.confidence, 1 - spans.confidence])
    own = np.where(spans.correct, *logarithms)
    total = -((1 - share) * own + share * logarithms.mean(0)).sum()
    assert (nll(temperature), count) == (pytest.approx(total, rel=1e-4), len(spans))
