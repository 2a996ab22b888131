"""The display of a training run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from textwrap import wrap
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from mtl.display.console import draws_bars
from mtl.display.tables import Cells, print_rows
from mtl.metrics import shown
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch, Step

_SMOOTHING = 0.05
"""Weight of the newest step in the displayed losses and speeds (exponential average)."""
_BLANK = "\N{NO-BREAK SPACE}"
"""Stands for a blank at which a line is not broken."""
_REFRESH = 0.1
"""Least number of seconds between two updates of the bar."""


class Display:
    """A progress bar with ETA, a line of dev scores per epoch, and a table of the best epoch.

    A line ends with "best" if no earlier epoch is better. The bar shows loss and tokens/s per task.
    If the console is not a terminal, there is no bar.

    Args:
        console: The console.
        steps_per_epoch: The number of steps per epoch.
        epochs: The largest number of epochs.
        best: The best epoch so far, from 0, for a resumed run.
        begin: The current epoch and its first step, for a run that resumes within an epoch.
    """

    def __init__(
        self,
        console: Console,
        steps_per_epoch: int,
        epochs: int,
        best: int | None = None,
        *,
        begin: tuple[int, int] = (-1, 0),
    ) -> None:
        self.console = console
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self._losses: dict[str, float] = {}
        self._speeds: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            # Only this column is wrapped: else a narrow terminal cuts the remaining time.
            TextColumn("{task.fields[status]}", table_column=Column(overflow="fold")),
            console=console,
            disable=not draws_bars(console),  # a log file gets the lines without the bar
        )
        self._bar = self._progress.add_task("starting", total=steps_per_epoch * epochs, status="")
        self._best = best
        self._refreshed = 0.0
        self._table: tuple[str, Epoch] | None = None
        """Title and epoch of the table at the end: the best one, or the last without scores."""
        self._epoch_begin = begin
        """The current epoch and its first step."""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        if kind is None and self._table:
            self._scores(*self._table)
        elif kind is None and self._best is not None:  # its scores are from an earlier training
            self.console.print(f"epoch {self._best + 1} is still the best", highlight=False)

    def show(self, event: Step | Epoch) -> None:
        """Update the bar for a step, or print the line of an epoch."""
        if isinstance(event, Epoch):
            self._epoch(event)
        else:
            self._step(event)

    def _step(self, step: Step) -> None:
        if step.warning:
            self.console.print(step.warning, highlight=False, markup=False, soft_wrap=True)
        for task, loss in step.losses.items():
            speed = step.tokens[task] / max(step.seconds, 1e-9)
            self._losses[task] = _blend(self._losses.get(task), loss)
            self._speeds[task] = _blend(self._speeds.get(task), speed)
        if step.epoch != self._epoch_begin[0]:
            self._epoch_begin = (step.epoch, step.step)
        # Drawing after every step would take a noticeable part of short steps.
        if (now := time.monotonic()) - self._refreshed < _REFRESH:
            return
        self._refreshed = now
        status = "  ".join(
            f"{task} {loss:z.3f} ({self._speeds[task]:,.0f} tokens/s)".replace(" ", _BLANK)
            for task, loss in self._losses.items()
        )
        done = step.step - self._epoch_begin[1] + 1
        self._progress.update(
            self._bar,
            completed=step.epoch * self.steps_per_epoch + done,
            description=f"epoch {step.epoch + 1}/{self.epochs}",
            status=status,
        )

    def _epoch(self, epoch: Epoch) -> None:
        # Full even if steps were skipped, or not drawn because they followed each other too fast.
        self._progress.update(
            self._bar,
            completed=(epoch.epoch + 1) * self.steps_per_epoch,
            description=f"epoch {epoch.epoch + 1}/{self.epochs}",
        )
        if epoch.dev and (epoch.improved or self._best is None):
            self._best = epoch.epoch
        if epoch.dev is None:
            self._table = (f"epoch {epoch.epoch + 1}, without dev scores", epoch)
        elif epoch.epoch == self._best:
            self._table = (f"dev scores of epoch {epoch.epoch + 1}, the best", epoch)
        width = len(str(self.epochs))
        cells = [f"epoch {epoch.epoch + 1:{width}}/{self.epochs}", f"{epoch.seconds:.1f} s"]
        cells += [_summary(epoch, task) for task in _tasks(epoch)]
        cells += ["no dev scores"] if epoch.dev is None else []
        cells += ["best"] if epoch.epoch == self._best else []
        text = _wrapped(cells, self.console.width)
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _scores(self, title: str, epoch: Epoch) -> None:
        """Print the table of all scores of an epoch."""
        rows: list[Cells] = []
        losses = epoch.dev.losses if epoch.dev else {}
        for task in _tasks(epoch):
            name = f"{task} (stopped)" if task in epoch.stopped else task
            loss = f"{epoch.losses[task]:z.3f}" if task in epoch.losses else None
            speed = epoch.tokens_per_second.get(task)
            tokens = f"{speed:,.0f}" if speed else None
            dev = [f"{losses[task]:z.4f}" if task in losses else None] if losses else []
            rows.append([name, *score_cells(epoch.dev, task), *dev, loss, tokens])
        more = ["dev loss"] if losses else []
        header = ["task", *score_names(epoch.dev), *more, "loss", "tokens/s"]
        print_rows(self.console, title, header, rows)


def _tasks(epoch: Epoch) -> list[str]:
    """Return the tasks with dev scores, then the tasks that only train."""
    scored = list(epoch.dev.metrics) if epoch.dev else []
    return [*scored, *(task for task in epoch.losses if task not in scored)]


def _summary(epoch: Epoch, task: str) -> str:
    """Return the main dev score and the losses of a task."""
    metric = epoch.dev.metrics.get(task) if epoch.dev else None
    score = [shown(next(iter(metric.compute().values())), metric.unit)] if metric else []
    losses = [f"loss {epoch.losses[task]:z.3f}"] if task in epoch.losses else []
    if epoch.dev and task in epoch.dev.losses:
        losses.append(f"dev loss {epoch.dev.losses[task]:z.4f}")
    if task in epoch.stopped:
        losses.append("stopped")
    return " ".join([task, *score, *([f"({', '.join(losses)})"] if losses else [])])


def _wrapped(cells: Sequence[str], width: int) -> str:
    """Return cells with blanks between them; lines that are too long are broken between cells."""
    text = "  ".join(cell.replace(" ", _BLANK) for cell in cells)
    lines = wrap(
        text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace(_BLANK, " ")


def scoring_bar(console: Console) -> Progress:
    """Return a progress bar with ETA for several evaluations; it disappears at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not draws_bars(console), transient=True)


def score_names(evaluation: Evaluation | None) -> list[str]:
    """Return the names of all scores without duplicates, in their order."""
    scores = evaluation.scores().values() if evaluation else []
    return list(dict.fromkeys(name for by_name in scores for name in by_name))


def score_cells(evaluation: Evaluation | None, task: str) -> list[str | None]:
    """Return the cells of one task, None where it has no such score."""
    metric = evaluation.metrics.get(task) if evaluation else None
    scores = metric.compute() if metric else {}
    return [
        shown(scores[name], metric.unit) if metric and name in scores else None
        for name in score_names(evaluation)
    ]


def _blend(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
