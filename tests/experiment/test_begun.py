"""The state of a run in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.config.load import run_to_yaml
from mtl.errors import MtlError
from mtl.experiment.folder import find_begun
from tests.training.runs import prepared

POS = {"use": "c/pos"}


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ({"average": 0.9}, {}, "was trained with `training.average`, which is now left out"),
        ({}, {"average": 0.9}, "was trained without `training.average`, which is now set"),
        (
            {"average": 0.9},
            {"average": 0.8},
            "was trained with training.average.decay = 0.9, now it is 0.8",
        ),
    ],
)
def test_a_section_that_differs_is_named_and_not_shown(
    before: dict[str, Any], now: dict[str, Any], change: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run = prepared(tmp_path, {"pos": POS}, **before)[0].run
    (folder / "run.yaml").write_text(run_to_yaml(run), encoding="utf-8")
    assert find_begun(folder, run) == "no"
    with pytest.raises(MtlError) as error:
        find_begun(folder, prepared(tmp_path, {"pos": POS}, **now)[0].run)
    advice = "give the same run file and overrides, or train into another --output"
    assert str(error.value) == f"{folder}: {change}; {advice}"
