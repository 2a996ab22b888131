"""`mtl tune` where optuna is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.command import assert_refused, mtl


def test_the_missing_package_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mtl.tuning.study", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    message = "mtl tune needs optuna, which is not installed; run pip install 'mtl[tune]'"
    assert_refused(mtl("tune", "run.yaml", "trunk.hidden_size={search: [4, 8]}"), message)


def test_a_training_refuses_ranges_and_names_the_command(project: Path) -> None:
    change = "trunk.hidden_size={search: [4, 8]}"
    message = f"command line: {change}: trunk.hidden_size: a range of values; search the best one "
    assert_refused(mtl("train", "run.yaml", change), f"{message}with mtl tune, or write one value")


def test_check_lists_ranges(project: Path) -> None:
    lr = "training.optimizer.lr={search: [1.0e-4, 1.0e-2], log: true}"
    result = mtl("check", "run.yaml", lr, "trunk.type={search: {choices: [lstm, gru]}}")
    assert result.code == 0
    assert result.out.endswith(
        "\nranges to search (the plan above is for the first value of each):\n"
        "  trunk.type: one of lstm, gru\n"
        "  training.optimizer.lr: 0.0001 to 0.01, log\n"
        "\nrun.yaml: no errors; search with mtl tune\n"
    )
