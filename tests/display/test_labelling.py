from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mtl.display.labelling import LabellingProgress
from mtl.files import open_text


def shown(path: Path | None, *, bar: bool = True, terminal: bool = True) -> str:
    """Return what is shown while a file of two blocks is labelled."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    with LabellingProgress(path, bar=bar, console=console) as progress:
        if path is None:
            return out.getvalue()
        with open_text(path, on_open=progress.opened) as lines:
            for line in lines:
                progress.add(1, len(line.split()), progress.position)
        assert progress.position in (None, path.stat().st_size)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("Ann left Rome .\n" * 500)
    return path


def test_a_bar_and_then_the_speed(file: Path) -> None:
    text = shown(file)
    assert "labelling in.txt" in text
    assert "500 sentences, 2,000 tokens in " in text
    assert text.endswith(" tokens/s)\n")


def test_no_bar_where_predictions_are_shown(file: Path) -> None:
    assert "labelling" not in shown(file, bar=False)
    assert "500 sentences" in shown(file, bar=False)


def test_nothing_without_a_terminal_or_a_file(file: Path) -> None:
    assert shown(file, terminal=False) == ""
    assert shown(None) == ""


def test_no_line_after_an_error(file: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True)
    with pytest.raises(KeyError), LabellingProgress(file, bar=False, console=console):
        raise KeyError
    assert out.getvalue() == ""
