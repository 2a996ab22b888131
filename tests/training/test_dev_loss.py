"""Runs that select the epoch by the loss of a task on its development set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import mtl
from mtl.errors import ConfigError
from tests.training.runs import CORPUS, RUN, corpus, epochs_of, prepared, trainer
from tests.training.test_state import check_resumed
from tests.training.texts import NEXT, text_corpus
from tests.training.together import ALONE, World, made

TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}


@pytest.mark.parametrize("task", ["pos", "ner", "verb"])
def test_the_loss_is_the_mean_surprise_of_the_gold_labels(task: str, tmp_path: Path) -> None:
    """Against the log-probabilities of the head, sentence by sentence, without batches."""
    tasks: dict[str, Any] = {task: {"use": f"c/{task}"}}
    experiment, corpora = prepared(tmp_path, tasks, metric=f"{task}.loss")
    found = experiment.validate(list(corpora.values())).losses
    model, total, labels = experiment.model.eval(), 0.0, 0
    for example in corpora["c"].splits["dev"]:
        batch = experiment.batcher.batch([example], [task])
        hidden = model.encode(batch, [task]).hidden[task]
        head, target = model.head(task), batch.targets[task]
        if task == "ner":  # p of the whole sequence
            total += head.loss(hidden, batch.mask, target).item()
        else:
            known = target[target >= 0]
            log_probs = head.log_probs(hidden, batch.mask)[target >= 0]
            total -= log_probs.gather(1, known.unsqueeze(1)).sum().item()
        labels += int((target >= 0).sum())
    assert found == {task: pytest.approx(total / labels, rel=1e-5)}


def test_regularisers_do_not_count(tmp_path: Path) -> None:
    losses = []
    for options in ({}, {"label_smoothing": 0.3, "class_weights": {"N": 9.0}}):
        tasks = {"pos": {"use": "c/pos", "head": {"type": "softmax", **options}}}
        experiment, corpora = prepared(tmp_path, tasks, metric="pos.loss", label_prior=False)
        losses.append(experiment.validate(list(corpora.values())).losses)
    assert losses[0] == losses[1]


def test_weights_of_sentences_do_not_count(tmp_path: Path) -> None:
    losses = []
    for labels in ("pos", {"column": "pos", "weight": "w"}):
        corpora = {"c": corpus(tmp_path, "c", 22)}
        corpora["c"]["tasks"] = {"pos": {**CORPUS["tasks"]["pos"], "labels": labels}}
        for path in tmp_path.glob("*.jsonl"):
            rows = map(json.loads, path.read_text().splitlines())
            lines = [json.dumps({**row, "w": 0.3 + i}) for i, row in enumerate(rows)]
            path.write_text("\n".join(lines))
        experiment, found = prepared(
            tmp_path, {"pos": {"use": "c/pos"}}, corpora, metric="pos.loss"
        )
        losses.append(experiment.validate(list(found.values())).losses)
    assert losses[0] == losses[1]


def test_the_epoch_with_the_lowest_loss_is_kept_and_patience_follows_it(tmp_path: Path) -> None:
    optimizer = {"type": "adam", "lr": 0.3}
    run = trainer(tmp_path, TASKS, metric="pos.loss", patience=2, epochs=40, optimizer=optimizer)
    epochs = epochs_of(run.run())
    losses = [epoch.dev.losses["pos"] for epoch in epochs if epoch.dev]
    lowest = losses.index(min(losses))
    assert run.selection.best == lowest
    assert len(epochs) == lowest + 3 < 40
    assert epochs[-1].score == -losses[-1]


def test_the_selection_is_resumed(tmp_path: Path) -> None:
    check_resumed(tmp_path, 1, {"metric": "pos.loss"})


def test_processes_find_the_same_loss(tmp_path: Path) -> None:
    run = {"metric": "pos.loss", "double": True}
    expected = made(tmp_path / "alone", ALONE, 4, run).evaluate().losses
    found = World(3).run(
        lambda processes: made(tmp_path / str(processes.rank), processes, 4, run).evaluate().losses
    )
    assert found == [pytest.approx(expected, rel=1e-9)] * 3


def test_a_run_writes_the_loss_and_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {**RUN, "tasks": TASKS, "corpora": {"c": corpus(tmp_path, "c", 22)}}
    run["training"] = {**RUN["training"], "metric": "verb.loss", "epochs": 1}
    files = {k: str(tmp_path / v) for k, v in run["corpora"]["c"]["files"].items()}
    run["corpora"]["c"] = {**CORPUS, "files": files}
    model = mtl.train(run, output=tmp_path / "run", progress=True)
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    record = json.loads(lines[-1])
    assert record["dev_losses"] == {"verb": pytest.approx(-record["score"])}
    assert "dev loss" in capsys.readouterr().err
    assert isinstance(model, mtl.TrainedModel)
    with torch.no_grad():
        assert model.evaluate("dev").losses == {}  # only training selects


def test_the_loss_of_a_language_model_is_named_by_its_perplexity(tmp_path: Path) -> None:
    corpora = {"t": text_corpus(tmp_path, "t", 40)}
    tasks = {"next": {**NEXT, "batch": {"streams": 2, "bptt": 6}}}
    with pytest.raises(ConfigError, match="'next' is the logarithm of its perplexity; name that"):
        prepared(tmp_path, tasks, corpora, metric="next.loss")
