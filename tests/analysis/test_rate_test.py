"""The learning-rate range test."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.analysis import rate_test
from mtl.analysis.rate_test import conclude, find_rate, has_diverged, relative, smooth
from mtl.analysis.report.rates import rate_rows, rates_page, verdict
from mtl.errors import MtlError
from tests.cli.command import mtl
from tests.training.runs import RUN, corpus, steps_of, trainer

TASKS: dict[str, Any] = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb", "lr": 0.01}}


def write(folder: Path, tasks: dict[str, Any] = TASKS, **training: Any) -> Path:
    run = {**RUN, "tasks": tasks, "corpora": {"c": corpus(folder, "c", 22)}}
    run["training"] = {**RUN["training"], **training}
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    return folder / "run.yaml"


def rising(steps: int, low: float, high: float) -> list[float]:
    return [low * (high / low) ** (i / (steps - 1)) for i in range(steps)]


def test_the_losses_are_those_of_training_with_each_rate(tmp_path: Path) -> None:
    """Against the steps of a plain trainer whose rates are set by hand."""
    found = find_rate(write(tmp_path), steps=12, low=1e-4, high=1e-1)
    assert found.rates == pytest.approx(rising(12, 1e-4, 1e-1))
    made = trainer(tmp_path, TASKS, epoch_steps=12)
    losses, steps = [], made.run()
    for rate in found.rates:
        made.update.base_rates = [rate, rate * 0.01 / 0.02]  # rates of heads rise in proportion
        made.learning_rate.warmup = 0
        losses += [dict(step.losses) for step in steps_of(iter([next(steps)]))]
    assert found.losses == pytest.approx(relative(losses), rel=1e-6)


def test_the_suggested_rate_is_a_tenth_of_the_one_with_the_lowest_loss() -> None:
    rates = rising(100, 1e-6, 10)
    losses = [1 + 0.1 * (math.log10(rate / 1e-2) ** 2 - 16) / 16 for rate in rates]
    found = conclude(rates, losses, 100, diverged=False)
    assert found.lowest == pytest.approx(1e-2, rel=0.3)
    assert found.suggested == pytest.approx(found.lowest / 10)
    assert f"training.optimizer.lr={found.suggested:.2g}" in verdict(found)


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rates = rising(40, 1e-6, 10)
    found = conclude(rates, [1 + rate for rate in rates], 40, diverged=False)
    assert found.suggested is None
    assert "did not fall at any rate" in verdict(found)


def test_smoothing_keeps_constants_and_is_not_moved_by_one_large_loss() -> None:
    assert smooth([2.0] * 9, 2.0) == pytest.approx([2.0] * 9)
    plain = smooth([1.0] * 9, 1.0)
    large = smooth([*[1.0] * 8, 1e6], 1.0)
    assert large[:4] == pytest.approx(plain[:4], rel=0.02)


def test_divergence_is_a_mean_far_above_the_lowest() -> None:
    assert not has_diverged([1.0] * 50, 100)
    assert not has_diverged([1.0] * 50 + [9.0], 100)  # one bad batch
    assert has_diverged([1.0] * 50 + [5.0] * 4, 100)
    assert has_diverged([1.0, math.nan], 10)


def test_a_loss_that_is_not_finite_ends_the_test(tmp_path: Path) -> None:
    run = write(tmp_path, optimizer={"type": "sgd", "lr": 0.1}, clip_norm=None)
    found = find_rate(run, steps=20, low=1e-3, high=1e6)
    assert found.diverged
    assert len(found.rates) < 20


@pytest.mark.parametrize(
    "options",
    [
        {"average": 0.9, "patience": 1, "schedule": {"type": "plateau", "patience": 1}},
        {"mixing": "progress", "accumulate": 2},
        {"fine_tuning": {"gradual": True, "lr_ratio": 2.0}},
    ],
    ids=str,
)
def test_other_options_of_training_do_not_stop_it(options: dict[str, Any], tmp_path: Path) -> None:
    found = find_rate(write(tmp_path, **options), steps=15, low=1e-4, high=1e-2)
    assert len(found.rates) == 15
    assert found.rates[-1] == pytest.approx(1e-2)


def test_rates_of_a_language_model_do_not_depend_on_the_lengths_of_its_chunks(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("a b c d e f g h\n" * 30)
    lm = {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}
    files = {"train": "a.txt", "dev": "a.txt"}
    run = {
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "hidden_size": 4, "bidirectional": False},
        "corpora": {"c": {"reader": "text", "files": files, "tasks": {"next": lm}}},
        "tasks": {"next": {"use": "c/next"}},
        "training": {"batch": {"streams": 2, "bptt": 5}, "device": "cpu"},
    }
    (tmp_path / "lm.yaml").write_text(yaml.safe_dump(run))
    found = find_rate(tmp_path / "lm.yaml", steps=12, low=1e-4, high=1e-2)
    assert found.rates == pytest.approx(rising(12, 1e-4, 1e-2))


def test_mistakes_are_named(tmp_path: Path) -> None:
    run = write(tmp_path)
    with pytest.raises(MtlError, match="a lowest rate below the highest one"):
        find_rate(run, low=1.0, high=0.1)
    folder = {"distillation.teachers": [str(tmp_path)]}
    with pytest.raises(MtlError, match="the test trains on gold labels; add the override distill"):
        find_rate(run, folder)


def test_the_command_writes_nothing_but_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    options = ("--steps", "12", "--low", "1e-4", "--high", "0.1")
    result = mtl("lr", "run.yaml", *options, "--json", "--html", "page.html")
    assert result.code == 0, result.err
    assert {path.name for path in tmp_path.iterdir()} == {*before, "page.html"}
    found = json.loads(result.out)
    assert found["rates"] == pytest.approx(rising(12, 1e-4, 0.1))
    assert len(found["losses"]) == len(found["smoothed"]) == 12
    page = (tmp_path / "page.html").read_text()
    assert "Learning rates of run" in page
    assert "<svg" in page
    table = mtl("lr", "run.yaml", *options)
    assert "(12 of 12 steps, all steps)" in table.out
    assert "training.optimizer.lr=" in table.out
    assert mtl("lr", "run.yaml", "--low", "1", "--high", "0.1").code == 2


def test_the_table_has_at_most_twenty_rows_and_the_page_no_infinite_points() -> None:
    rates = rising(95, 1e-6, 10)
    losses = [*[1.0] * 60, *[0.5] * 20, *[1e9] * 15]
    found = conclude(rates, losses, 95, diverged=True)
    rows = rate_rows(found)
    assert len(rows) == 19
    assert max(len(row[2]) for row in rows) == 32
    assert "1,000,000" not in rates_page(found, "title").partition("Numbers")[0]


def test_the_first_losses_of_a_task_are_its_unit() -> None:
    steps = [{"a": 4.0}] * rate_test._FIRST + [{"a": 2.0, "b": 3.0}, {"b": 3.0}]
    assert relative(steps) == pytest.approx([1.0] * 5 + [0.75, 1.0])
