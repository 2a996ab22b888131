"""Drawing words: temperature, top-k and top-p by hand, and text from a small model."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.experiment import Experiment
from mtl.inference.generator import Beam, Sampling, generate
from mtl.text.example import Example
from mtl.text.running import END
from tests.training.texts import NEXT, language_model

PROBS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def log_probs(weights: list[int]) -> torch.Tensor:
    numbers = torch.tensor(weights).double()
    return (numbers / numbers.sum()).log()


@given(PROBS, st.floats(0.2, 5))
def test_temperature_divides_the_scores(weights: list[int], temperature: float) -> None:
    found = Sampling(temperature).probabilities(log_probs(weights)).tolist()
    powers = [(w / sum(weights)) ** (1 / temperature) for w in weights]
    assert found == pytest.approx([power / sum(powers) for power in powers])


@given(PROBS, st.integers(1, 7))
def test_top_k_keeps_the_most_likely_words(weights: list[int], k: int) -> None:
    found = Sampling(top_k=k).probabilities(log_probs(weights)).tolist()
    kept = sorted(range(len(weights)), key=lambda i: (-weights[i], i))[:k]
    total = sum(weights[i] for i in kept)
    assert found == pytest.approx([w / total * (i in kept) for i, w in enumerate(weights)])


@given(PROBS, st.floats(0.05, 1))
def test_top_p_keeps_the_fewest_words_of_that_mass(weights: list[int], p: float) -> None:
    found = Sampling(top_p=p - 1e-9).probabilities(log_probs(weights)).tolist()
    order = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    masses = [sum(weights[i] for i in order[:n]) / sum(weights) for n in range(len(order) + 1)]
    kept = order[: next(n for n, mass in enumerate(masses) if mass >= p - 1e-9)]
    total = sum(weights[i] for i in kept)
    assert found == pytest.approx([w / total * (i in kept) for i, w in enumerate(weights)])


def test_words_that_cannot_be_drawn_have_no_probability() -> None:
    scores = torch.tensor([-torch.inf, 0.0, -torch.inf])
    assert Sampling(2.0, 3, 0.5).probabilities(scores).tolist() == [0, 1, 0]


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 0}, {"top_p": 0}, {"top_p": 2}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Sampling(**options)


@pytest.fixture(params=[{}, {"attention": "key_value", "window": 3}], ids=str)
def model(tmp_path: Path, request: pytest.FixtureRequest) -> Experiment:
    task = {**NEXT, "head": {"type": "lm", **request.param}}
    experiment, _ = language_model(tmp_path, {"type": "gru"}, {"next": task})
    experiment.model.eval()
    return experiment


def drawn(
    made: Experiment,
    sampling: Sampling | Beam,
    *,
    seed: int = 1,
    sentences: bool = False,
    length: int = 30,
) -> list[str]:
    options = {"length": length, "sampling": sampling, "seed": seed, "whole_sentences": sentences}
    return [*generate(made.model, made.batcher, "next", ["a", "b"], **options)]


def test_the_most_likely_word_follows_all_that_came_before(model: Experiment) -> None:
    """Greedy, by a pass over the whole text for each word."""
    text = [END, "a", "b"]
    for _ in range(10):
        batch = model.batcher.batch([Example(tuple(text), {})])
        hidden = model.model.encode(batch, ["next"]).hidden
        found = model.model.head("next").log_probs(hidden["next"], batch.mask)[0, -1]
        text.append(model.model.head("next").labels[2 + int(found[2:].argmax())])
    assert drawn(model, Sampling(top_k=1), length=10) == text[3:]


def test_a_seed_gives_the_same_words_again(model: Experiment) -> None:
    first, again, other = (drawn(model, Sampling(), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first) == 30


def test_words_are_drawn_as_often_as_they_are_likely(model: Experiment) -> None:
    batch = model.batcher.batch([Example((END, "a", "b"), {})])
    hidden = model.model.encode(batch, ["next"]).hidden
    probs = model.model.head("next").log_probs(hidden["next"], batch.mask)[0, -1, 2:].softmax(0)
    first = [drawn(model, Sampling(), seed=seed, length=1)[0] for seed in range(400)]
    labels = model.model.head("next").labels[2:]
    found = torch.tensor([first.count(word) / 400 for word in labels]).double()
    torch.testing.assert_close(found, probs.detach(), atol=0.08, rtol=0)


def test_padding_and_the_unknown_word_are_never_drawn(model: Experiment) -> None:
    with torch.no_grad():
        model.model.head("next").output.bias[:2] = 50.0
    assert not {"<pad>", "<unk>"} & set(drawn(model, Sampling()))


def test_a_model_of_sentences_ends_with_the_sentence(model: Experiment) -> None:
    with torch.no_grad():
        model.model.head("next").output.bias[model.batcher.targets["next"].encode((END,))[0]] = 2.0
    words = drawn(model, Sampling(), sentences=True)
    assert words.index(END) == len(words) - 1
    assert END in drawn(model, Sampling())[:-1]


def test_words_come_one_by_one(model: Experiment) -> None:
    options = {"length": 10**9, "sampling": Sampling(), "seed": 1, "whole_sentences": False}
    words = generate(model.model, model.batcher, "next", [], **options)
    assert len([*islice(words, 3)]) == 3


def log_prob(made: Experiment, words: tuple[str, ...]) -> float:
    """The log-probability of a continuation of "a b", by one pass, without unknown words."""
    batch = made.batcher.batch([Example(("a", "b", *words), {})])
    head = made.model.head("next")
    log_probs = head.log_probs(made.model.encode(batch, ["next"]).hidden["next"], batch.mask)[0]
    log_probs[:, :2] = -torch.inf
    ids = [head.labels.index(word) for word in words]
    scores = log_probs.log_softmax(1)[1 : 1 + len(words)]
    return sum(float(row[word]) for row, word in zip(scores, ids, strict=True))


def continuations(words: list[str], length: int) -> list[tuple[str, ...]]:
    """All texts of some length, and the shorter ones that end."""
    found: list[tuple[str, ...]] = [()]
    for _ in range(length):
        found = [
            longer
            for text in found
            for longer in ([text] if text[-1:] == (END,) else [(*text, word) for word in words])
        ]
    return found


@pytest.mark.parametrize("length", [1, 3])
def test_a_wide_beam_finds_the_most_probable_text(model: Experiment, length: int) -> None:
    """Sentences end early in some of the texts."""
    with torch.no_grad():
        model.model.head("next").output.bias[model.batcher.targets["next"].encode((END,))[0]] = 1.0
        texts = continuations([*model.model.head("next").labels[2:]], length)
        best = max(texts, key=lambda text: log_prob(model, text))
    assert (*drawn(model, Beam(len(texts)), sentences=True, length=length),) == best


def test_a_beam_of_one_takes_the_most_probable_word_each_time(model: Experiment) -> None:
    assert drawn(model, Beam(1), length=10) == drawn(model, Sampling(top_k=1), length=10)


def test_a_beam_has_a_width() -> None:
    with pytest.raises(ValueError, match="width: expected a whole number of at least 1, got 0"):
        Beam(0)
