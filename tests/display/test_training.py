"""The display of training, as text."""

from __future__ import annotations

import io
import re
from dataclasses import replace

from rich.console import Console

from mtl.display.training import Display
from mtl.metrics import Accuracy, SpanF1
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch, Step


def show(*events: Step | Epoch, terminal: bool = False, best: int | None = None) -> list[str]:
    """Return the lines shown, blanks squeezed."""
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=terminal, color_system=None)
    with Display(console, 10, 3, best) as display:
        for event in events:
            display.show(event)
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def step(number: int) -> Step:
    return Step(
        epoch=number // 10,
        step=number,
        losses={"pos": 0.5},
        weights={"pos": 1.0},
        weighted={"pos": 0.5},
        penalties={},
        total=0.5,
        gradients=None,
        lr=0.01,
        grad_norm=2.5,
        tokens={"pos": 700},
        seconds=0.1,
    )


def epoch(number: int, improved: bool, *, scored: bool = True) -> Epoch:
    pos, ner = Accuracy(), SpanF1()
    pos.update([("A", "B", "B")], [("A", "A", "A")])
    ner.update([("B-X", "O")], [("B-X", "O")])
    dev = Evaluation({"pos": pos, "ner": ner}) if scored else None
    return Epoch(
        number, 10, {"pos": 0.25}, dev, 0.5, improved, frozenset({"ner"}), {"pos": 7000.0}, 12.34
    )


def test_an_epoch_is_a_line_and_the_best_one_a_table_of_all_scores_in_per_cent() -> None:
    lines = show(epoch(0, True), epoch(1, False))
    line = "12.3 s pos 33.33 (loss 0.250) ner 100.00 (stopped)"
    assert lines[:3] == [
        f"epoch 1/3 {line} best",
        f"epoch 2/3 {line}",
        "dev scores of epoch 1, the best",
    ]
    assert [line for line in lines if line.startswith(("┃", "│"))] == [
        "┃ task ┃ accuracy ┃ span_f1 ┃ precision ┃ recall ┃ loss ┃ tokens/s ┃",
        "│ pos │ 33.33 │ – │ – │ – │ 0.250 │ 7,000 │",
        "│ ner (stopped) │ – │ 100.00 │ 100.00 │ 100.00 │ – │ – │",
    ]


def test_a_long_line_is_broken_between_tasks() -> None:
    text = io.StringIO()
    with Display(Console(file=text, width=50), 10, 3) as display:
        display.show(epoch(0, True))
    assert text.getvalue().splitlines()[:2] == [
        "epoch 1/3  12.3 s  pos 33.33 (loss 0.250)",
        "    ner 100.00 (stopped)  best",
    ]


def ends(lines: list[str]) -> list[str]:
    return [line.rpartition(")")[2].strip() for line in lines if "s pos" in line]


def test_the_best_epoch_is_named() -> None:
    lines = show(epoch(0, True), epoch(1, True), epoch(2, False))
    assert ends(lines) == ["best", "best", ""]
    assert "dev scores of epoch 2, the best" in lines


def test_the_best_epoch_is_known_when_a_run_goes_on() -> None:
    lines = show(epoch(2, False), best=0)
    assert ends(lines) == [""]
    assert lines[1:] == ["epoch 1 is still the best"]  # its scores are not known


def test_without_development_set_no_epoch_is_the_best() -> None:
    lines = show(epoch(0, True, scored=False))
    assert lines[:2] == [
        "epoch 1/3 12.3 s pos (loss 0.250) no dev scores",
        "epoch 1, without dev scores",
    ]
    assert "│ pos │ 0.250 │ 7,000 │" in lines


def test_no_table_follows_an_error() -> None:
    text = io.StringIO()
    display = Display(Console(file=text), 10, 3)
    display.__enter__()
    display.show(epoch(0, True))
    display.__exit__(ValueError, ValueError(), None)
    assert "dev scores of epoch" not in text.getvalue()


def test_a_terminal_has_a_bar_with_losses_and_speeds() -> None:
    text = " ".join(show(step(0), terminal=True)).replace("\N{NO-BREAK SPACE}", " ")
    assert "epoch 1/3" in text
    assert "1/30" in text
    assert "pos 0.500 (7,000 tokens/s)" in text


def test_a_narrow_terminal_shows_the_time_left_and_breaks_lines_between_tasks() -> None:
    losses = {"topic": 0.5, "urgency": 0.25}
    wide = replace(step(0), losses=losses, tokens=dict.fromkeys(losses, 700))
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True, color_system=None)
    with Display(console, 10, 3) as display:
        display.show(wide)
    drawn = text.getvalue().replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r" 1/30 [-\d:]+ topic 0\.500 \(7,000 tokens/s\) *\n", drawn)
    assert re.search(r"^ +urgency 0\.250 \(7,000 tokens/s\)", drawn, re.MULTILINE)


def test_steps_show_nothing_where_there_is_no_terminal() -> None:
    assert show(step(0), step(1)) == []


def bar(lines: list[str]) -> str:
    """Return the last state of the bar."""
    return [line for line in lines if "/30" in line][-1]


def test_the_bar_is_full_at_the_end_of_an_epoch() -> None:
    # Nine of ten steps, faster than the bar is drawn; the last one was skipped.
    first = [*map(step, range(9)), epoch(0, True)]
    assert " 10/30 " in bar(show(*first, terminal=True))
    assert " 20/30 " in bar(show(*first, step(10), epoch(1, True), terminal=True))
