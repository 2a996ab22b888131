"""A text in pieces costs what it does in one pass, and no state has seen what it is to give."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.data.corpus import Split
from mtl.data.streams import Streams
from mtl.experiment import Experiment, make_trainer
from mtl.metrics import Perplexity
from mtl.text.example import Example
from mtl.text.running import END
from mtl.training.likelihood import measure
from tests.training.runs import corpus, prepared, steps_of
from tests.training.texts import (
    BOTH,
    NEXT,
    STILL,
    language_model,
    still,
    text_corpus,
    words_of,
)  # fmt: skip

TRUNKS: list[dict[str, Any]] = [
    {"type": "lstm"},
    {"type": "lstm", "connections": "dense", "feed_forward": 5},
    {"type": "lstm", "layer_norm": True, "learned_start": True},
    {"type": "lstm", "recurrent_dropout": 0.2, "zoneout_hidden": 0.1},
    {"type": "lstm", "num_layers": 2, "last_size": 6, "input_dropout": 0.3},
    {"type": "gru"},
    {"type": "gru", "layer_norm": True, "connections": "residual_sum"},
    {"type": "cell", "depth": 3, "learned_start": True},
    {"type": "cell", "cell": "nas", "connections": "skip"},
    {"type": "gru", "connections": "highway", "learned_start": True},
    {"type": "qrnn"},
    {"type": "qrnn", "window": 1, "sum_layers": True},
    {"type": "qrnn", "window": 4, "upper_window": 2},
    {"type": "qrnn", "pooling": "ifo", "connections": "residual"},
    {"type": "qrnn", "window": 3, "layer_norm": True},
    {"type": "qrnn", "highway": True},
]
CAUSAL: list[dict[str, Any]] = [
    {"type": "conv", "causal": True},
    {"type": "conv", "causal": True, "window": 3, "activation": "gated"},
]
trunks = pytest.mark.parametrize("trunk", TRUNKS, ids=str)


def one_pass(experiment: Experiment, words: list[str], following: str = END) -> float:
    """Losses of the next words of a text in nats, from the probabilities of all words."""
    example = Example(tuple(words), {"next": (*words[1:], following)})
    batch = experiment.batcher.batch([example], ["next"])
    with torch.no_grad():
        hidden = experiment.model.eval().encode(batch, ["next"]).hidden
        log_probs = experiment.model.head("next").log_probs(hidden["next"], batch.mask)
    return -log_probs.gather(2, batch.targets["next"].unsqueeze(2)).sum().item()


def in_streams(experiment: Experiment, split: Split, streams: int, bptt: int) -> float:
    """Mean loss per word in nats when the text is split into chunks."""
    cut = Streams("t", split, 1, {"next": "next"}, streams=streams, bptt=bptt, random_bptt=True)
    found = measure(experiment.model, experiment.batcher, cut, {"next": Perplexity})
    return math.log(found.scores()["next"]["perplexity"])


@pytest.mark.sampled(3)
@trunks
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bptt", [1, 7])
def test_a_text_in_pieces_costs_what_it_does_in_one_pass(
    trunk: dict[str, Any], bidirectional: bool, bptt: int, tmp_path: Path
) -> None:
    made = {**trunk, "bidirectional": bidirectional}
    experiment, corpora = language_model(tmp_path, made, {"next": NEXT})
    dev = corpora["t"].splits["dev"]
    expected = one_pass(experiment, words_of(dev)) / len(words_of(dev))
    assert in_streams(experiment, dev, 1, bptt) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("attention", ["key_value", "multi_head"])
@pytest.mark.parametrize("bptt", [1, 7])
def test_attention_reaches_into_earlier_pieces(attention: str, bptt: int, tmp_path: Path) -> None:
    head = {"type": "lm", "attention": attention, "window": 3, "dropout": 0.0}
    experiment, corpora = language_model(
        tmp_path, {"type": "gru"}, {"next": {**NEXT, "head": head}}
    )
    dev = corpora["t"].splits["dev"]
    expected = one_pass(experiment, words_of(dev)) / len(words_of(dev))
    assert in_streams(experiment, dev, 1, bptt) == pytest.approx(expected, rel=1e-9)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("trunk", [*TRUNKS, *CAUSAL], ids=str)
def test_each_of_several_streams_costs_what_it_does_alone(
    trunk: dict[str, Any], tmp_path: Path
) -> None:
    experiment, corpora = language_model(tmp_path, trunk, {"next": NEXT})
    dev = corpora["t"].splits["dev"]
    words, number = [*words_of(dev), END], len(words_of(dev))
    length = -(-number // 3)
    ends = [length, 2 * length, number]
    parts = [(words[i * length : end], words[end]) for i, end in enumerate(ends)]
    expected = sum(one_pass(experiment, *part) for part in parts) / number
    assert in_streams(experiment, dev, 3, 5) == pytest.approx(expected, rel=1e-9)


def states(experiment: Experiment, words: list[str]) -> dict[str, Tensor]:
    """The input of the head of each task, `[T, H]`."""
    batch = experiment.batcher.batch([Example(tuple(words), {})])
    with torch.no_grad():
        hidden = experiment.model.eval().encode(batch, experiment.run.tasks).hidden
    return {task: own[0] for task, own in hidden.items()}


@pytest.mark.sampled(4)
@trunks
@pytest.mark.parametrize("layer", [0, 1, -1, "mix"])
def test_a_language_model_does_not_see_the_predicted_word(
    trunk: dict[str, Any], layer: int | str, tmp_path: Path
) -> None:
    tasks = {task: {**use, "layer": layer} for task, use in BOTH.items()}
    experiment, _ = language_model(tmp_path, {**trunk, "bidirectional": True}, tasks)
    words, place = list("abcxyabc"), 4
    before, after = states(experiment, words), states(experiment, [*words[:4], "c", *words[5:]])
    seen = {task: (before[task] != after[task]).any(1) for task in tasks}
    assert not seen["next"][:place].any()
    assert not seen["previous"][place + 1 :].any()
    assert seen["next"][place]
    assert seen["previous"][place]


@trunks
def test_what_came_before_and_what_follows_is_read(trunk: dict[str, Any], tmp_path: Path) -> None:
    experiment, _ = language_model(tmp_path, {**trunk, "bidirectional": True})
    words = list("abcxyabc")
    before, after = states(experiment, words), states(experiment, [*words[:4], "c", *words[5:]])
    assert (before["next"] != after["next"]).any(1)[4:].all()
    assert (before["previous"] != after["previous"]).any(1)[:5].all()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("mixing", "epochs"), [("uniform", 2), ("proportional", 1), ("joint", 1)])
def test_the_state_is_carried_over_the_end_of_an_epoch(
    mixing: str, epochs: int, tmp_path: Path
) -> None:
    corpora = {"t": text_corpus(tmp_path, "t"), "c": corpus(tmp_path, "c", 9)}
    text = {**NEXT, "batch": {"streams": 1, "bptt": 6, "random_bptt": False}}
    tasks = {"next": text, "pos": {"use": "c/pos", "batch": {"sentences": 1}}}
    given = {**STILL, "mixing": mixing, "metric": "pos.accuracy", "schedule": "constant"}
    experiment, found = prepared(tmp_path, tasks, corpora, trunk=still({"type": "gru"}), **given)
    experiment.model.double()
    trainer = make_trainer(experiment, found)
    steps = [step for step in steps_of(trainer.run()) if "next" in step.losses]
    size = trainer.loaders["t"].size
    first = [step.losses["next"] * step.tokens["next"] for step in steps[:size]]
    assert len({step.epoch for step in steps[:size]}) == epochs
    expected = one_pass(experiment, words_of(found["t"].splits["train"]))
    assert sum(first) == pytest.approx(expected, rel=1e-9)
