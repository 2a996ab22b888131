"""Steps of several batches, compared with steps of one large batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.errors import ConfigError
from mtl.experiment.plan import describe, make_plan
from mtl.experiment.training import make_trainer
from mtl.training.trainer import Trainer
from mtl.weighting import WEIGHTING, Weighting
from tests.training.runs import corpus, prepared, steps_of, trainer

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb", "weight": 0.5}}
STILL = {"type": "lstm", "hidden_size": 8, "num_layers": 2}
SGD = {"type": "sgd", "lr": 0.1}


def gradients(made: Trainer) -> dict[str, Tensor]:
    modules = {"model": made.model, "weighting": made.weighting}
    return {
        f"{kind}.{name}": p.grad.clone()
        for kind, module in modules.items()
        for name, p in module.named_parameters()
        if p.grad is not None
    }


def one_batch(made: Trainer, batches: int) -> Batch:
    """The sentences of the first batches as one batch."""
    loader = made.loaders["c"]
    examples = [e for index in range(batches) for e in loader.examples(0, index)]
    return made.batcher.batch(examples, list(made.tasks["c"]))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("weighting", [w for w in WEIGHTING if WEIGHTING.find(w).adds_parts()])
@pytest.mark.parametrize("lacking", [{}, {"verb": 13, "ner": 5}], ids=["all", "some labels"])
def test_a_step_of_four_batches_equals_one_large_batch(
    weighting: str, lacking: dict[str, int], tmp_path: Path
) -> None:
    check_parts(tmp_path, weighting, lacking)


@pytest.mark.parametrize("unit", ["sentence", "max_length"])
def test_the_unit_of_the_loss_is_counted_over_all_parts(unit: str, tmp_path: Path) -> None:
    check_parts(tmp_path, "static", {"ner": 5}, loss_unit=unit)


def check_parts(tmp_path: Path, weighting: str, lacking: dict[str, int], **training: Any) -> None:
    """Check that a step of four batches equals a step of one batch with all their sentences."""
    found = []
    for whole in (False, True):
        data = {"c": corpus(tmp_path, "c", 16, **lacking)}
        options = {"optimizer": SGD, "clip_norm": None, "trunk": STILL, **training}
        made = trainer(
            tmp_path, TASKS, data, weighting=weighting, accumulate=1 if whole else 4, **options
        )
        made.model.double().eval()  # words are dropped in training
        torch.manual_seed(3)  # PCGrad takes the other tasks in random order
        parts = made._parts(next(iter(made.sampler.epoch(0))), set())
        if whole:
            parts = [{"c": one_batch(made, 4)}]
        assert len(parts) == (1 if whole else 4)
        step = made._step(parts, 0)
        found.append((step, gradients(made), made.weighting.weights()))
    (step, ours, weights), (other, expected, more) = found
    assert set(ours) == set(expected)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-6, atol=1e-9)
    for key in ("losses", "weights", "weighted"):
        assert getattr(step, key) == pytest.approx(getattr(other, key), rel=1e-6)
    assert step.total == pytest.approx(other.total, rel=1e-6)
    assert step.grad_norm == pytest.approx(other.grad_norm, rel=1e-6)
    assert step.gradients.norms == pytest.approx(other.gradients.norms, rel=1e-6)
    assert weights == pytest.approx(more, rel=1e-6)


@pytest.mark.parametrize("weights", [[0.5, 1.0, 3.0, 0.0], [1e-38] * 4, [1e38] * 4])
def test_weights_of_sentences_count_over_all_parts(weights: list[float], tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, accumulate=4)
    parts = made._parts(next(iter(made.sampler.epoch(0))), set())
    whole = one_batch(made, 4)
    rows = [len(part["c"].mask) for part in parts]
    own = torch.cat([torch.full([n], w) for n, w in zip(rows, weights, strict=True)])
    for part, some in zip(parts[1:], own.split(rows)[1:], strict=True):  # the first one has none
        part["c"].weights["verb"] = some  # type: ignore[index]
    own[: rows[0]] = 1.0
    whole.weights["verb"] = own  # type: ignore[index]
    made.model.eval()
    loss = made._step(parts, 0).losses["verb"]
    again = trainer(tmp_path, TASKS)
    again.model.eval()
    assert loss == pytest.approx(again._step([{"c": whole}], 0).losses["verb"], rel=1e-5)


def test_an_epoch_has_every_batch_once_and_fewer_steps(tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, TASKS, epochs=2, accumulate=4).run())
    plain = steps_of(trainer(tmp_path, TASKS, epochs=2).run())
    assert (len(steps), len(plain)) == (4, 12)  # six batches: four and two
    assert sum(s.tokens["pos"] for s in steps) == sum(s.tokens["pos"] for s in plain)


def test_joint_mixing_accumulates_every_corpus(tmp_path: Path) -> None:
    data = {"c": corpus(tmp_path, "c", 16), "d": corpus(tmp_path, "d", 8)}
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "d/verb"}}
    made = trainer(tmp_path, tasks, data, mixing="joint", accumulate=3, epochs=1)
    parts = made._parts(next(iter(made.sampler.epoch(0))), set())
    assert [set(part) for part in parts] == [{"c", "d"}, {"c", "d"}, {"c"}]
    assert all(set(step.losses) == {"pos", "verb"} for step in steps_of(made.run()))


def test_penalties_keep_their_size(tmp_path: Path) -> None:
    sharing = {"type": "soft", "strength": 0.1}
    found = []
    for n in (1, 4):
        made = trainer(tmp_path, TASKS, sharing=sharing, accumulate=n)
        found.append(next(made.run()).penalties)
    assert found[0]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_plan_counts_steps(tmp_path: Path) -> None:
    given = prepared(tmp_path, TASKS, accumulate=10)
    plan = make_plan(*given, make_trainer(*given))
    text = "\n".join(describe(plan))
    assert "batches of c: 6 per pass, 10 per step, 1 steps in the first epoch" in text
    assert "c: a pass has 6 batches, fewer than training.accumulate (10)" in text


class Lopsided(Weighting):
    """A weighting that changes gradients and knows no parts."""

    def weights(self) -> dict[str, float]:
        """Return ones."""
        return dict.fromkeys(self.tasks, 1.0)

    def backward(self, losses: Any, shared: Any, penalty: Any = None) -> Any:
        """Do what the base does."""
        return super().backward(losses, shared, penalty)


def test_a_weighting_that_knows_no_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WEIGHTING._table, "lopsided", Lopsided)
    with pytest.raises(ConfigError, match="'lopsided' cannot add up the parts of a step"):
        prepared(tmp_path, TASKS, weighting="lopsided", accumulate=2)
