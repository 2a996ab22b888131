"""Logs of a run: metrics.jsonl, log.txt, TensorBoard events if it is installed, and trackers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mtl.errors import not_installed
from mtl.files import atomic_write
from mtl.metrics import defined
from mtl.runs.history import RECORDS, read_lines
from mtl.training.events import Epoch, Learnt, Step

if TYPE_CHECKING:
    from mtl.training.board import Board
    from mtl.training.tracking import End, Tracking

TEXT = "log.txt"
"""The plan, the scores of each epoch and the stops, for people."""
LOG_EVERY = 20
"""Log every 20th step."""
CURVES = 16
"""Largest number of entries of a learned quantity for which TensorBoard gets one curve each."""
CELL = 16
"""Width and height in pixels of one entry in the image of a matrix."""


def logs_step(step: int) -> bool:
    """Return whether this step, counted from 0, is logged."""
    return step % LOG_EVERY == 0


class RunLog:
    """Writer of events into a run folder. Each line is flushed as soon as it is written.

    Args:
        folder: The run folder.
        epoch: The number of completed epochs.
        step: The number of completed steps. What was logged after them is removed, and TensorBoard
            hides it.
        within: Whether some of these steps belong to a further epoch.
        tracking: The experiment trackers of the run; the log ends their runs.
        show: Shows a line to the user.
    """

    def __init__(
        self,
        folder: Path,
        epoch: int = 0,
        step: int = 0,
        *,
        within: bool = False,
        tracking: Tracking | None = None,
        show: Callable[[str], None] | None = None,
    ) -> None:
        self._tracking = tracking
        self._show = show
        self._values: dict[str, float] = {}
        self.stopped = False
        """Whether training was stopped and can be resumed, which trackers show."""
        self.metrics, text = folder / RECORDS, folder / TEXT
        if self.metrics.is_file():
            _keep_records(self.metrics, epoch, step)
        if text.is_file():
            _keep_text(text, epoch, step)
        self._metrics = self.metrics.open("a", encoding="utf-8")
        self._text = text.open("a", encoding="utf-8")
        self.notes: list[str] = []
        """Notes for the user."""
        self._board: Board | None = None
        try:
            from mtl.training.board import Board

            # Scores of an epoch have the number of its completed steps, so they must be before it.
            self._board = Board(folder, step if within or not step else step + 1)
        except ImportError as error:
            self.notes.append(not_installed("a log for TensorBoard", "tensorboard", error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tracking:
            end: End = "failed" if kind else "stopped" if self.stopped else "finished"
            self._tracking.close(end, self._tell)
        self._metrics.close()
        self._text.close()
        if self._board:
            self._board.close()

    def sync(self) -> None:
        """Write all lines to the disk, so that no crash loses lines before a checkpoint."""
        for file in (self._metrics, self._text):
            os.fsync(file.fileno())

    def note(self, text: str) -> None:
        """Write a line to log.txt."""
        self._text.write(f"{text}\n")
        self._text.flush()

    def write(self, event: Step | Epoch) -> None:
        """Log an epoch, or a step if it is due (see `LOG_EVERY`) or has gradient statistics."""
        if isinstance(event, Step) and event.warning:
            self.note(event.warning)
        if isinstance(event, Epoch):
            self._epoch(event)
        elif logs_step(event.step) or event.gradients:
            self._step(event)
        if self._board:
            self._board.flush()
        if self._tracking and self._values:
            self._tracking.log(self._values, event.step, self._tell)
        self._values = {}

    def _tell(self, line: str) -> None:
        """Write a line to log.txt, and show it."""
        self.note(line)
        if self._show:
            self._show(line)

    def _step(self, step: Step) -> None:
        record = {"type": "step", "epoch": step.epoch, "step": step.step, "losses": step.losses}
        record |= {"weights": step.weights, "weighted": step.weighted}
        record |= {"penalties": step.penalties, "total": step.total}
        record |= {"gradients": asdict(step.gradients) if step.gradients else None}
        record |= {"lr": step.lr, "grad_norm": step.grad_norm}
        self._line({**record, "seconds": step.seconds})
        for name, value in _curves(step).items():
            self._point(f"train/{name}", value, step.step)

    def _epoch(self, epoch: Epoch) -> None:
        dev = epoch.dev.to_json() if epoch.dev else {}
        record = {"type": "epoch", "epoch": epoch.epoch, "step": epoch.step}
        score = None if epoch.score is None else defined(epoch.score)
        record |= {"losses": epoch.losses, "dev": dev, "score": score}
        if epoch.dev and epoch.dev.losses:
            record["dev_losses"] = {task: defined(x) for task, x in epoch.dev.losses.items()}
        # The keys of the file format stay the same, so that old and new runs compare.
        record |= {"improved": epoch.improved, "resting": sorted(epoch.stopped)}
        record |= {"seconds": epoch.seconds, "tokens_per_second": epoch.tokens_per_second}
        if epoch.learnt:
            record["learnt"] = {name: q.values.tolist() for name, q in epoch.learnt.items()}
            record["axes"] = {name: q.axes for name, q in epoch.learnt.items() if q.axes}
        self._line(record)
        parts = [
            f"{task}.{name} {'–' if value is None else f'{value:z.4f}'}"
            for task, scores in dev.items()
            for name, value in scores.items()
        ]
        self.note(f"epoch {epoch.epoch + 1}, step {epoch.step}: {', '.join(parts)}")
        for task, scores in dev.items():
            for name, value in scores.items():
                if value is not None:
                    self._point(f"dev/{task}.{name}", value, epoch.step)
        # The curves of TensorBoard are over steps alone.
        self._values |= {f"epoch/{task}.loss": loss for task, loss in epoch.losses.items()}
        self._values |= {"epoch": epoch.epoch + 1} | ({} if score is None else {"score": score})
        for name, quantity in epoch.learnt.items():
            self._draw(f"learnt/{name}", quantity, epoch.step)

    def _point(self, curve: str, value: float, step: int) -> None:
        self._values[curve] = value
        if self._board:
            self._board.add_scalar(curve, value, step)

    def _draw(self, name: str, quantity: Learnt, step: int) -> None:
        """Write one curve per entry for small quantities, and an image for matrices."""
        values = quantity.values.float()
        if values.numel() <= CURVES:
            axes = quantity.axes or tuple([str(i) for i in range(size)] for size in values.shape)
            for entry, value in zip(product(*axes), values.flatten().tolist(), strict=True):
                self._point(".".join((name, *entry)), value, step)
        if self._board and values.ndim == 2:
            # Grey levels from the smallest entry, black, to the largest, white.
            shades = (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)
            image = shades.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
            self._board.add_image(name, image.unsqueeze(0), step)

    def _line(self, record: dict[str, Any]) -> None:
        self._metrics.write(json.dumps(record) + "\n")
        self._metrics.flush()


def _keep_records(path: Path, epochs: int, steps: int) -> None:
    """Keep the records of completed epochs and steps; the run repeats the later ones."""
    lines = [
        line
        for line, record in read_lines(path)
        if record["epoch"] < epochs or (record["type"] == "step" and record["step"] < steps)
    ]
    with atomic_write(path) as file:
        file.writelines(f"{line}\n" for line in lines)


_EPOCH = re.compile(rb"epoch (\d+), step \d+: ")
_WARNING = re.compile(rb"warning: .* at step (\d+), ")


def _keep_text(path: Path, epochs: int, steps: int) -> None:
    """Keep the lines of completed epochs and steps in log.txt, and all lines without a step."""
    lines = path.read_bytes().splitlines(keepends=True)
    with atomic_write(path, "wb") as file:
        for line in lines:
            epoch, warning = _EPOCH.match(line), _WARNING.match(line)
            later = (epoch and int(epoch[1]) > epochs) or (warning and int(warning[1]) >= steps)
            if line.endswith(b"\n") and not later:
                file.write(line)


def _curves(step: Step) -> dict[str, float]:
    """Return the values of a step by their names in TensorBoard."""
    curves = {f"{task}.loss": loss for task, loss in step.losses.items()}
    curves |= {f"{task}.weight": weight for task, weight in step.weights.items()}
    curves |= {f"{task}.weighted": loss for task, loss in step.weighted.items()}
    curves |= {f"penalty.{name}": value for name, value in step.penalties.items()}
    if step.gradients:
        curves |= {f"{task}.grad_norm": norm for task, norm in step.gradients.norms.items()}
        curves |= {
            f"{task}.{other}.cosine": cosine
            for task, others in step.gradients.cosines.items()
            for other, cosine in others.items()
        }
    return curves | {"total": step.total, "lr": step.lr, "grad_norm": step.grad_norm}
