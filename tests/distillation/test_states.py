"""A student that imitates the hidden states of its teachers, transformers among them."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import mtl
from mtl.errors import ConfigError, MtlError
from mtl.experiment import make_trainer
from mtl.experiment.distillation import outputs
from mtl.experiment.distillation.states import StateLessons, StoredStates, components
from mtl.experiment.distillation.teachers import TaskTeacher
from mtl.experiment.distillation.teaching import Teaching
from mtl.layers.state_imitation import StateProjection
from mtl.runs.checkpoint import load_tensors
from mtl.text.example import Example
from mtl.training.events import Step
from tests.distillation.conftest import School
from tests.distillation.schools import QUIET
from tests.distillation.test_distil import distil, files, killed
from tests.hub import bert
from tests.training.runs import prepared

HIDDEN = {"distillation.hidden.dim": 6, "distillation.hidden.weight": 0.5}


# ---- the loss


def test_the_loss_is_the_squared_distance_and_ignores_padding_and_order() -> None:
    torch.manual_seed(1)
    projection = StateProjection(4, 3, weight=0.7).double()
    hidden, states = torch.randn(2, 5, 4).double(), torch.randn(2, 5, 3).double()
    lengths = [5, 2]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    weights, bias = (value.detach().numpy() for value in projection.map.parameters())
    expected = 0.0
    for row, length in enumerate(lengths):
        for token in range(length):
            for d in range(3):
                predicted = bias[d] + sum(weights[d, h] * hidden[row, token, h] for h in range(4))
                expected += 0.7 * float(predicted - states[row, token, d]) ** 2
    found = projection(hidden, states, mask).item()
    assert found == pytest.approx(expected, rel=1e-12)
    swapped = projection(hidden.flip(0), states.flip(0), mask.flip(0)).item()
    alone = [projection(hidden[i : i + 1, :n], states[i : i + 1, :n], mask[i : i + 1, :n])
             for i, n in enumerate(lengths)]  # fmt: skip
    assert swapped == pytest.approx(expected, rel=1e-12)
    assert sum(alone).item() == pytest.approx(expected, rel=1e-12)


def test_a_step_adds_the_mean_over_all_of_its_tokens(tmp_path: Path) -> None:
    trunk = {"type": "lstm", "hidden_size": 8, "num_layers": 2, "dropout": 0.0}
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    experiment, corpora = prepared(
        tmp_path, tasks, trunk=trunk, weighting="uncertainty", accumulate=2
    )
    split = corpora["c"].splits["train"]
    values = np.random.default_rng(1).standard_normal((int(split.lengths.sum()), 3))
    stored = StoredStates([values.astype(np.float16)], split.lengths)
    states = StateLessons({"c": stored}, 3, 0.5, [])
    trainer = make_trainer(experiment, corpora, Teaching(lessons={"c": {}}, states=states))
    assert trainer.imitation
    model, projection = deepcopy(trainer.model).eval(), deepcopy(trainer.imitation)
    step = next(trainer.run())
    assert isinstance(step, Step)
    draws = next(iter(trainer.sampler.epoch(0)))
    loader = trainer.loaders["c"]
    distance, tokens = 0.0, 0
    starts = np.cumsum(split.lengths) - split.lengths
    for index in (2 * draws[0].index, 2 * draws[0].index + 1):
        for row, start, end in loader.loader.pieces(0, index):  # type: ignore[union-attr]
            example = Example(split[row].tokens[start:end])
            alone = experiment.batcher.batch([example])
            # Hard sharing: one trunk, whose last layer is the same for every task.
            embedded = model.embedding(alone.features, alone.mask)
            last = model.sharing(embedded.vectors, embedded.mask, ["verb"])["verb"].layers[-1][0]
            own = stored.sources[0][starts[row] + start : starts[row] + end].astype(np.float64)
            predicted = projection.map(last).detach().double().numpy()
            distance += float(((predicted - own) ** 2).sum())
            tokens += end - start
    assert step.penalties == {"hidden": pytest.approx(0.5 * distance / tokens, rel=1e-5)}
    # Uncertainty weighting does not divide it.
    assert step.total == pytest.approx(sum(step.weighted.values()) + step.penalties["hidden"])
    for parameter in trainer.imitation.parameters():
        assert parameter.grad is not None


# ---- the states of the teachers


def test_components_are_principal_and_have_a_norm_of_one() -> None:
    draw = np.random.default_rng(2)
    rows = (draw.standard_normal((60, 5)) * [9, 5, 1, 0.5, 0.1] + 3).astype(np.float32)
    found = components(rows, 2)
    projected = (rows - found["mean"]) @ found["matrix"]
    np.testing.assert_allclose((projected**2).sum(1).mean(), 1, rtol=1e-4)
    _, values, directions = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    np.testing.assert_allclose(found["variance"], (values[:2] ** 2).sum() / (values**2).sum(), 1e-4)
    scale = np.sqrt((values[:2] ** 2).sum() / 60)
    np.testing.assert_allclose(np.abs(found["matrix"]), np.abs(directions[:2].T) / scale, atol=1e-4)
    assert components(rows, None)["matrix"].shape == (5, 5)


def test_several_teachers_stand_side_by_side() -> None:
    one, two = np.ones((8, 2), dtype=np.float16), np.arange(8, dtype=np.float16)[:, None]
    lesson = StoredStates([one, two], np.array([2, 5, 1], dtype=np.int32))
    found = lesson.states(np.array([[1, 2, 5], [0, 0, 2]]), 4)
    expected = torch.zeros(2, 4, 3)
    expected[0, :3] = torch.tensor([[1.0, 1, 4], [1, 1, 5], [1, 1, 6]])
    expected[1, :2] = torch.tensor([[1.0, 1, 0], [1, 1, 1]])
    torch.testing.assert_close(found, expected / 2**0.5)


def test_hidden_states_are_the_input_of_the_head(at: School) -> None:
    model = mtl.load(at.teachers[0])
    texts = [["Ann", "left", "Rome", "."], ["Bob", "saw"]]
    states = model.hidden_states(texts, "ner")
    assert [rows.shape for rows in states] == [(4, 16), (2, 16)]
    network = model.experiment.model
    for words, own in zip(texts, states, strict=True):
        batch = model.experiment.batcher.batch([Example(tuple(words))])
        with torch.no_grad():
            expected = network.encode(batch, ["ner"]).hidden["ner"][0]
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-6)


# ---- from the command's function to the folder


def test_who_imitates_and_is_killed_ends_as_if_not(
    at: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"training.epochs": 2, **HIDDEN}
    monkeypatch.setattr(outputs, "_SHARD", 64)
    distil(at, tmp_path / "whole", options)
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "other"))

    def at_states(path: Path, tensors: dict[str, Any]) -> bool:
        done.append("states" in tensors)
        return sum(done) == 2

    done: list[bool] = []
    with monkeypatch.context() as patch:
        error = killed(patch, "outputs.save_tensors", at_states)
        with pytest.raises(error):
            distil(at, tmp_path / "half", options)
    with monkeypatch.context() as patch:
        error = killed(
            patch, "mtl.api.steps.save_training", lambda _, __, values: values["epoch"] == 2
        )
        with pytest.raises(error):
            distil(at, tmp_path / "half", options, resume=True)
    distil(at, tmp_path / "half", options, resume=True)
    assert files(tmp_path / "half") == files(tmp_path / "whole")

    # The map to the states of the teachers belongs to the checkpoint, not to the model.
    weights = load_tensors(tmp_path / "whole" / "model.safetensors")
    plain = load_tensors(at.teachers[0] / "model.safetensors")
    assert {name.split(".")[0] for name in weights} == {name.split(".")[0] for name in plain}
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [record for record in map(json.loads, lines) if record["type"] == "step"]
    assert all(record["penalties"]["hidden"] > 0 for record in steps)
    log = (tmp_path / "whole" / "log.txt").read_text(encoding="utf-8")
    assert f"hidden states: the trunk imitates {at.teachers[0]} (task ner): 6 of 16" in log
    assert "12 bytes per token in the cache" in log


@pytest.fixture
def transformer(at: School, tmp_path: Path) -> Path:
    """Return a run on a pretrained transformer, with the tasks of the tagger."""
    run = yaml.safe_load((at.folder / "tagger.yaml").read_text(encoding="utf-8"))
    run["trunk"] = {"type": "transformer", "name": str(bert(tmp_path / "bert"))}
    run["embedding"] = {"affixes": {"dim": 4}}
    changes = {"training.epochs": 1, "training.max_length": 20, "training.overlap": 4}
    mtl.train(run, changes, output=tmp_path / "transformer", **QUIET)
    return tmp_path / "transformer"


def test_a_transformer_and_another_run_teach_together(
    at: School, tmp_path: Path, transformer: Path
) -> None:
    both = [transformer, at.teachers[0]]
    student = mtl.distil(
        both, at.run, {"training.epochs": 1, **HIDDEN}, output=tmp_path / "s", text=["text.txt"],
        progress=False,
    )  # fmt: skip
    log = (tmp_path / "s" / "log.txt").read_text(encoding="utf-8")
    assert f"task pos: learns from the mean of {transformer} (task pos) and {both[1]}" in log
    assert f"imitates {transformer} (task ner): 6 of 12 components" in log  # without affixes
    assert f"imitates {both[1]} (task ner): 6 of 16 components" in log
    for folder in (transformer, tmp_path / "bert"):
        shutil.rmtree(folder)
    assert student.predict(["Ann left Rome ."])["pos"]


def test_an_ensemble_gives_the_states_of_its_members(at: School, tmp_path: Path) -> None:
    from mtl.experiment.distillation.states import state_teachers

    other = shutil.copytree(at.teachers[0], tmp_path / "other")
    mtl.ensemble([at.teachers[0], other], output=tmp_path / "joint")
    joint = mtl.load(tmp_path / "joint")
    teacher = TaskTeacher(joint, "ner", (), "joint")
    run = mtl.load(at.teachers[0]).run
    found = state_teachers(run, {"ner": [teacher], "pos": [replace(teacher, task="pos")]})
    assert [each.model for each in found] == list(joint.members)
    assert {each.task for each in found} == {"ner"}
    with pytest.raises(MtlError, match="an ensemble has several networks"):
        joint.hidden_states(["Ann left Rome ."], "ner")


@pytest.mark.slow
def test_a_base_model_predicts_words_and_imitates(at: School, tmp_path: Path) -> None:
    (at.folder / "tasks" / "lines.yaml").write_text(
        "reader: {type: text}\nfiles: {train: ../text.txt, dev: ../text.txt}\ntasks:\n"
        "  next: {labels: {text: next}, head: {type: lm}, metric: perplexity}\n"
        "  previous: {labels: {text: previous}, head: {type: lm}, metric: perplexity}\n",
        encoding="utf-8",
    )
    changes = {
        "tasks": {name: {"use": f"lines/{name}"} for name in ("next", "previous")}
        | {"pos": {"use": "news/pos"}},
        "training": {**at.run["training"], "metric": "pos.accuracy", "epochs": 2},
    }
    student = mtl.distil(
        at.teachers[:1], {**at.run, **changes}, HIDDEN, output=tmp_path / "s", text=["text.txt"],
        progress=False,
    )  # fmt: skip
    lines = (tmp_path / "s" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert any(json.loads(line).get("penalties", {}).get("hidden") for line in lines)
    assert student.evaluate("dev").scores()["next"]["perplexity"] > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sharing": "none"}, "hidden: under 'none' tasks have layers of their own"),
        ({"trunk.bidirectional": False}, "hidden: the trunk does not see the words after a word"),
        (
            {"training.fine_tuning.frozen": ["embedding", "trunk"]},
            "distillation.hidden: embedding and trunk are frozen",
        ),
        ({"distillation.hidden.weight": 0}, "distillation.hidden.weight: expected"),
    ],
)
def test_students_that_cannot_imitate_are_refused(
    at: School, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        distil(at, tmp_path / "s", {**HIDDEN, **changes})
    assert message in str(error.value)
