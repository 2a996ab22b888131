"""The training loop."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.training.events import Epoch, Step
from mtl.training.trainer import Trainer, TrainingError
from tests.training.runs import TAGS, corpus, epochs_of, sentence, steps_of, trainer

POS, NER, VERB = {"use": "c/pos"}, {"use": "c/ner"}, {"use": "c/verb"}
TWO = {"pos": {"use": "large/pos"}, "verb": {"use": "small/verb"}}
STILL = {"type": "sgd", "lr": 1e-30}
"""An optimiser that changes nothing, so that scores never rise."""


def two_corpora(folder: Path) -> dict[str, Any]:
    """Corpora of 5 and 2 batches."""
    return {"large": corpus(folder, "large", 20), "small": corpus(folder, "small", 7, first=50)}


def drawn(trainer: Trainer, epoch: int) -> Counter[str]:
    """Return the number of draws of each sentence, by its first word, in an epoch."""
    return Counter(
        example.tokens[0]
        for draws in trainer.sampler.epoch(epoch)
        for draw in draws
        for example in trainer.loaders[draw.corpus].examples(draw.epoch, draw.index)
    )


def without_times(event: Step | Epoch) -> Any:
    if isinstance(event, Step):
        return replace(event, seconds=0)
    return event.epoch, event.losses, event.dev.scores(), event.score, event.improved


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    tasks = {"pos": POS, "ner": NER, "verb": VERB}
    first = [without_times(event) for event in trainer(tmp_path, tasks).run()]
    again = [without_times(event) for event in trainer(tmp_path, tasks).run()]
    assert first == again


def test_losses_fall_and_scores_rise(tmp_path: Path) -> None:
    tasks = {"pos": POS, "ner": NER, "verb": VERB}
    first, *_, last = epochs_of(trainer(tmp_path, tasks, epochs=6).run())
    assert all(last.losses[task] < first.losses[task] for task in tasks)
    assert last.score > first.score


def test_every_sentence_is_trained_once_an_epoch(tmp_path: Path) -> None:
    made = trainer(tmp_path, TWO, two_corpora(tmp_path))
    names = [f"w{i}" for i in [*range(20), *range(50, 57)]]
    for epoch in range(3):
        assert drawn(made, epoch) == dict.fromkeys(names, 1)


def test_steps_count_the_tokens_of_all_sentences(tmp_path: Path) -> None:
    tokens = sum(len(sentence(i)["tokens"]) for i in range(22))
    steps = steps_of(trainer(tmp_path, {"pos": POS, "verb": VERB}, epochs=2).run())
    for task in ("pos", "verb"):
        per_epoch = [sum(s.tokens[task] for s in steps if s.epoch == e) for e in range(2)]
        assert per_epoch == [tokens, tokens]
    assert [step.step for step in steps] == list(range(12))


def test_long_documents_come_in_windows_with_every_token(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": POS}, max_length=3, overlap=1, epochs=1)
    loader = made.loaders["c"]
    pieces = [e for i in range(loader.size) for e in loader.examples(0, i)]
    assert max(map(len, pieces)) == 3
    for piece in pieces:
        assert piece.labels["pos"] == tuple(TAGS.get(token, "X") for token in piece.tokens)
    rows = Counter((token, e.line) for e in pieces for token in e.tokens)
    assert set(rows) == {(t, i + 1) for i in range(22) for t in sentence(i)["tokens"]}
    assert len(steps_of(made.run())) == loader.size


def test_tasks_of_one_corpus_share_every_step(tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, {"pos": POS, "ner": NER, "verb": VERB}, epochs=1).run())
    assert len(steps) == 6
    assert all(set(step.losses) == {"pos", "ner", "verb"} for step in steps)


def test_tasks_of_different_corpora_take_different_steps(tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, TWO, two_corpora(tmp_path), epochs=1).run())
    assert Counter(task for step in steps for task in step.losses) == {"pos": 5, "verb": 2}
    assert all(len(step.losses) == 1 for step in steps)


def test_joint_mixing_takes_all_corpora_each_step(tmp_path: Path) -> None:
    made = trainer(tmp_path, TWO, two_corpora(tmp_path), epochs=1, mixing={"type": "joint"})
    steps = steps_of(made.run())
    assert len(steps) == 5
    assert all(set(step.losses) == set(step.tokens) == {"pos", "verb"} for step in steps)


def test_a_batch_without_labels_for_a_task_leaves_it_out(tmp_path: Path) -> None:
    corpora = {"c": corpus(tmp_path, "c", 22, verb=20)}
    made = trainer(tmp_path, {"pos": POS, "verb": VERB}, corpora, epochs=1)
    with_verb = [step for step in steps_of(made.run()) if "verb" in step.losses]
    assert 1 <= len(with_verb) <= 2


def test_a_batch_without_any_labels_is_no_step(tmp_path: Path) -> None:
    corpora = {"c": corpus(tmp_path, "c", 22, verb=21)}
    events = list(trainer(tmp_path, {"verb": VERB}, corpora, epochs=1).run())
    assert [type(event) for event in events] == [Step, Epoch]


def test_a_task_whose_patience_is_out_rests(tmp_path: Path) -> None:
    tasks = {"pos": {**POS, "patience": 1}, "verb": VERB}
    events = list(trainer(tmp_path, tasks, optimizer=STILL).run())
    assert [e.stopped for e in epochs_of(iter(events))] == [set(), {"pos"}, {"pos"}]
    trained = [set(step.losses) for step in steps_of(iter(events))]
    assert trained == [{"pos", "verb"}] * 12 + [{"verb"}] * 6


def test_the_run_ends_when_its_patience_is_out(tmp_path: Path) -> None:
    epochs = epochs_of(trainer(tmp_path, {"pos": POS}, optimizer=STILL, patience=1).run())
    assert [epoch.improved for epoch in epochs] == [True, True]  # equal scores


def test_the_run_ends_when_every_task_rests(tmp_path: Path) -> None:
    tasks = {"pos": {**POS, "patience": 1}, "verb": {**VERB, "patience": 1}}
    assert len(epochs_of(trainer(tmp_path, tasks, optimizer=STILL).run())) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_training_stops_before_weights_are_spoilt(tmp_path: Path, value: float) -> None:
    made = trainer(tmp_path, {"pos": POS})
    torch.nn.init.constant_(made.model.head("pos").output.bias, value)
    before = made.model.sharing.trunk.layers[0].ahead.rnn.weight_hh_l0.clone()
    with pytest.raises(
        TrainingError,
        match=r"pos\.output\.bias has .*; no model has been saved yet\. Correct",
    ):
        list(made.run())
    assert torch.equal(made.model.sharing.trunk.layers[0].ahead.rnn.weight_hh_l0, before)


def test_gradients_are_clipped_and_the_norm_is_reported(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": POS}, clip_norm=0.01, epochs=1)
    steps = steps_of(made.run())
    grads = [p.grad.norm() for p in made.model.parameters() if p.grad is not None]
    assert torch.stack(grads).norm().item() == pytest.approx(0.01, rel=1e-3)
    assert all(step.grad_norm > 0.01 for step in steps)


def test_without_a_norm_nothing_is_cut(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": POS}, clip_norm=None, epochs=1)
    last = steps_of(made.run())[-1]
    grads = [p.grad.norm() for p in made.model.parameters() if p.grad is not None]
    assert torch.stack(grads).norm().item() == pytest.approx(last.grad_norm)


def test_what_a_weighting_learns_has_no_part_in_that_norm(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": POS, "ner": NER}, weighting="uncertainty", clip_norm=None)
    first = next(made.run())
    grads = [p.grad.norm() for p in made.model.parameters() if p.grad is not None]
    assert torch.stack(grads).norm().item() == pytest.approx(first.grad_norm)
    assert all(own.grad is not None and own.grad != 0 for own in made.weighting.parameters())


def test_the_learning_rate_follows_its_schedule(tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, {"pos": POS}, epochs=1).run())
    expected = [0.02 * factor for factor in (1 / 3, 2 / 3, 1, 1, 1, 1)]
    assert [step.lr for step in steps] == pytest.approx(expected)


def test_a_step_is_as_long_as_its_learning_rate_says(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": POS}, optimizer={"type": "sgd", "lr": 0.3}, clip_norm=None)
    before = [p.detach().clone() for p in made.model.parameters()]
    first = next(made.run())
    moved = [(p - old).norm() for p, old in zip(made.model.parameters(), before, strict=True)]
    assert first.lr == pytest.approx(0.1)
    assert torch.stack(moved).norm().item() == pytest.approx(0.1 * first.grad_norm, rel=1e-4)


def test_a_head_may_have_a_learning_rate_of_its_own(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": {**POS, "lr": 1e-12}, "verb": VERB}, epochs=1)
    before = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    list(made.run())
    moved = {n for n, p in made.model.named_parameters() if (p - before[n]).abs().max() > 1e-6}
    assert moved == {name for name in before if not name.startswith("heads.pos.")}


def test_the_averaged_weights_are_evaluated_and_the_raw_ones_trained(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"pos": POS, "verb": VERB}, average=0.99, epochs=2)
    last = epochs_of(made.run())[-1]
    assert made.average.updates == 12
    with made.average.applied():
        assert made.evaluate().scores() == last.dev.scores()
    raw = dict(made.model.named_parameters())
    assert not any(torch.equal(raw[n], average) for n, average in made.average.average.items())


def test_two_tasks_may_train_one_head(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "large/pos"}, "more": {"use": "small/pos", "head": "pos"}}
    made = trainer(tmp_path, tasks, two_corpora(tmp_path), epochs=1)
    assert made.model.head("pos") is made.model.head("more")
    assert Counter(t for s in steps_of(made.run()) for t in s.losses) == {"pos": 5, "more": 2}


def test_losses_of_an_epoch_are_means_over_its_steps(tmp_path: Path) -> None:
    events = list(trainer(tmp_path, TWO, two_corpora(tmp_path), epochs=1).run())
    losses = [step.losses["verb"] for step in steps_of(iter(events)) if "verb" in step.losses]
    assert events[-1].losses["verb"] == pytest.approx(sum(losses) / 2)


def test_without_a_development_set_every_epoch_is_the_best(tmp_path: Path) -> None:
    made = corpus(tmp_path, "c", 8)
    del made["files"]["dev"]
    epochs = epochs_of(trainer(tmp_path, {"pos": POS}, {"c": made}, epochs=2).run())
    assert [(e.dev, e.score, e.improved) for e in epochs] == [(None, None, True)] * 2
