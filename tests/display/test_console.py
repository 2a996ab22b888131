"""Where progress bars are drawn."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mtl.display.console import draws_bars


@pytest.mark.parametrize(("terminal", "expected"), [(True, True), (False, False)])
def test_outside_of_notebooks_bars_need_a_terminal(terminal: bool, expected: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, force_jupyter=False)
    assert draws_bars(console) is expected


@pytest.mark.parametrize(("found", "expected"), [(object(), True), (None, False)])
def test_notebooks_need_widgets_for_bars(
    found: object, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtl.display.console.find_spec", lambda name: found)
    console = Console(file=io.StringIO(), force_jupyter=True)
    assert draws_bars(console) is expected
