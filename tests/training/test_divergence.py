"""A training that diverges, or is about to, names the cause."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mtl.data.batch import Batch
from mtl.errors import TrainingError
from mtl.model import ModelOutput
from mtl.training.divergence import LossWatch
from mtl.training.objective import mean_loss
from tests.training.runs import steps_of, trainer

TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
HUGE = {"type": "adam", "lr": 1e6}


def message(made: object) -> str:
    with pytest.raises(TrainingError) as caught:
        list(made.run())  # type: ignore[attr-defined]
    return str(caught.value)


def test_a_huge_weight_is_named_rather_than_the_learning_rate(tmp_path: Path) -> None:
    text = message(trainer(tmp_path, {**TASKS, "verb": {**TASKS["verb"], "weight": 1e38}}))
    assert "since task 'verb' has the weight 1e+38 and the loss" in text
    assert text.endswith("no model has been saved yet. Lower tasks.verb.weight")


@pytest.mark.parametrize("scale", [1e-38, 1e38])
def test_only_the_ratios_of_the_weights_of_sentences_count(scale: float) -> None:
    ratios = torch.tensor([1.0, 0.5, 0.0, 3.0])
    losses, target = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.zeros(4, dtype=torch.long)
    batch = Batch({}, torch.ones(4, 1).bool(), {"a": target}, weights={"a": scale * ratios})
    expected = (ratios * losses).sum() / ratios.sum()
    torch.testing.assert_close(mean_loss(ModelOutput({"a": losses}), batch, "a", 1.0), expected)


def test_vectors_that_are_not_finite_are_named(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS)
    with torch.no_grad():
        made.model.embedding.part("words").word_table[2:] = torch.inf
    text = message(made)
    assert "since embedding.parts.words.table.weight has numbers that are not finite" in text
    assert "'pos'" in text


def test_a_huge_learning_rate_is_still_blamed(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, optimizer={"type": "sgd", "lr": 1e38}, clip_norm=None)
    assert message(made).endswith("Train again with a lower training.optimizer.lr")


def test_a_part_whose_gradients_are_not_finite_is_named(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS)
    made.model.head("verb").output.weight.register_hook(lambda grad: grad * torch.nan)
    assert "the gradients of heads.verb are no longer finite (norm nan) at step 0" in message(made)


def test_a_loss_that_explodes_gives_one_warning(tmp_path: Path) -> None:
    warnings = [s.warning for s in steps_of(trainer(tmp_path, TASKS, optimizer=HUGE).run())]
    (text,) = filter(None, warnings)
    assert text.startswith("warning: the loss of task 'pos' is ")
    assert not any(step.warning for step in steps_of(trainer(tmp_path, TASKS).run()))


@pytest.mark.parametrize(
    ("losses", "warned"),
    [
        ([2.0, 99.0, 0.0], None),
        ([2.0, 101.0, 1e6], 1),
        ([3.0, 149.0, 151.0], 2),
        ([1e6, 1e6, 1e7], None),  # large from the start, as for numbers far from their mean
    ],
)
def test_a_warning_is_about_growth(losses: list[float], warned: int | None) -> None:
    watch = LossWatch()
    found = [watch.warning(step, {"a": loss}) for step, loss in enumerate(losses)]
    assert [step for step, text in enumerate(found) if text] == ([] if warned is None else [warned])
