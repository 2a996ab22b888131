"""What a run shows while it trains."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mtl.metrics import shown
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch, Step

_SMOOTHING = 0.05
"""How much the newest step counts in the losses and speeds shown."""


class Display:
    """A progress bar with ETA, loss and tokens/s a task, and a table of dev scores an epoch.

    Where the output is no terminal, the tables alone.

    Args:
        console: Where to show it.
        steps_per_epoch: Steps of an epoch.
        epochs: Epochs of the run, at most.
        best: The best epoch so far, from 0, when the run goes on.
    """

    def __init__(
        self, console: Console, steps_per_epoch: int, epochs: int, best: int | None = None
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
            TextColumn("{task.fields[status]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("starting", total=steps_per_epoch * epochs, status="")
        self._best = best
        self._shown = 0.0

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

    def show(self, event: Step | Epoch) -> None:
        """Show an event."""
        if isinstance(event, Epoch):
            self._epoch(event)
        else:
            self._step(event)

    def _step(self, step: Step) -> None:
        for task, loss in step.losses.items():
            speed = step.tokens[task] / max(step.seconds, 1e-9)
            self._losses[task] = _blend(self._losses.get(task), loss)
            self._speeds[task] = _blend(self._speeds.get(task), speed)
        if (now := time.monotonic()) - self._shown < 0.1:
            return
        self._shown = now
        status = "  ".join(
            f"{task} {loss:.3f} ({self._speeds[task]:,.0f} tokens/s)"
            for task, loss in self._losses.items()
        )
        self._progress.update(
            self._bar,
            completed=step.step + 1,
            description=f"epoch {step.epoch + 1}/{self.epochs}",
            status=status,
        )

    def _epoch(self, epoch: Epoch) -> None:
        title = f"epoch {epoch.epoch + 1}/{self.epochs}, {epoch.seconds:.1f} s, {self._rank(epoch)}"
        table = score_table(epoch.dev)
        table.add_column("loss", justify="right")
        table.add_column("tokens/s", justify="right")
        rows = list(epoch.dev.metrics) if epoch.dev else []
        for task in [*rows, *(task for task in epoch.losses if task not in rows)]:
            name = f"{task} (resting)" if task in epoch.resting else task
            loss = f"{epoch.losses[task]:.3f}" if task in epoch.losses else "–"
            speed = epoch.tokens_per_second.get(task)
            shown = f"{speed:,.0f}" if speed else "–"
            table.add_row(name, *score_cells(epoch.dev, task), loss, shown)
        print_table(self.console, title, table)

    def _rank(self, epoch: Epoch) -> str:
        if epoch.dev is None:
            return "no dev split"
        if epoch.improved or self._best is None:
            self._best = epoch.epoch
            return "best so far"
        return f"best: epoch {self._best + 1}"


def score_names(evaluation: Evaluation | None) -> list[str]:
    """Return the names of all scores, each once."""
    scores = evaluation.scores().values() if evaluation else []
    return list(dict.fromkeys(name for by_name in scores for name in by_name))


def print_table(console: Console, title: str, table: Table) -> None:
    """Print a table under its title, which may be wider."""
    console.print(title, style="italic", highlight=False, markup=False, soft_wrap=True)
    console.print(table)


def score_table(evaluation: Evaluation | None) -> Table:
    """Return an empty table with a column for the task and for each score."""
    table = Table("task")
    for name in score_names(evaluation):
        table.add_column(name, justify="right")
    return table


def score_cells(evaluation: Evaluation | None, task: str) -> list[str]:
    """Return the cells of one task; a dash if it has no such score."""
    metric = evaluation.metrics.get(task) if evaluation else None
    scores = metric.compute() if metric else {}
    return [
        shown(scores[name], metric.unit) if metric and name in scores else "–"
        for name in score_names(evaluation)
    ]


def _blend(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
