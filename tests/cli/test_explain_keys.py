"""`mtl explain` and `mtl list` of a section."""

from __future__ import annotations

import pytest

from tests.cli.command import mtl


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_a_key_has_values_default_and_meaning() -> None:
    assert mtl("explain", "training.patience").out.splitlines() == [
        "training.patience",
        "    a whole number of at least 1 or null; default null",
        "    Number of epochs without improvement after which training stops; null: never.",
    ]


def test_lines_fit_into_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = mtl("explain", "sharing.penalty").out.splitlines()
    assert 50 < max(map(len, lines)) <= 60


def test_without_a_key_the_first_keys_are_listed() -> None:
    result = mtl("explain")
    assert result.code == 0
    assert result.out.startswith("keys of a run file: seed, seeds, embedding, trunk, ")
    assert "distillation, training more: mtl explain KEY;" in " ".join(result.out.split())


def test_the_last_words_of_a_key_suffice() -> None:
    lines = mtl("explain", "lr").out.splitlines()
    assert "training.optimizer.lr (sgd)" in lines
    assert "tasks.TASK.lr" in lines


@pytest.mark.parametrize("name", ["crf", "head.crf"])
def test_a_part_lists_its_options(name: str) -> None:
    out = mtl("explain", name).out
    assert out.startswith("head crf: A linear-chain CRF")
    assert "head.constrained\n    true or false; default false" in out


def test_a_wrong_name_is_an_error_with_the_nearest_one() -> None:
    result = mtl("explain", "patiense")
    assert (result.code, result.err) == (
        2,
        "error: no key or part 'patiense'; did you mean 'patience'?\n",
    )


def test_sections_can_be_listed() -> None:
    out = mtl("list", "training").out
    assert "training.epochs" in out
    assert "training.fine_tuning.gradual" in out
    result = mtl("list", "trainig")
    assert result.code == 2
    assert "did you mean 'training'?" in result.err
