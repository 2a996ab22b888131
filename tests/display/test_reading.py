"""Reading that takes long shows how far it is, on a terminal alone."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from mtl.display.reading import show_reading

ERASED = "\x1b[2K"


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Return the progress display for a file of four lines with these seconds after each line."""
    clock = [0.0]
    monkeypatch.setattr("mtl.display.reading.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def show(*seconds, terminal=True, name="text.txt"):
        (tmp_path / name).write_text("a\n" * 4)
        out = StringIO()
        console = Console(file=out, force_terminal=terminal, width=80)
        with show_reading(tmp_path / name, console) as at:
            for line, passed in enumerate(seconds, 1):
                clock[0] += passed
                at(line)
        return out.getvalue()

    return show


def test_what_is_read_at_once_shows_nothing(shown):
    assert shown(0.1, 0.1, 0.1) == ""


def test_what_takes_long_shows_a_bar_which_goes_in_the_end(shown):
    text = shown(0.7, 0.7, 0.7)
    assert "reading text.txt " in text
    assert "━" in text
    assert ":--" in text  # the remaining time cannot be estimated from one step
    assert text.endswith(ERASED)


def test_what_is_long_in_a_packed_file_is_not_known(shown):
    text = shown(2, 2, name="text.txt.gz")
    assert "reading text.txt.gz" in text
    assert ":--" not in text
    assert text.endswith(ERASED)


def test_a_file_gets_no_bar(shown):
    assert shown(2, 2, terminal=False) == ""
