"""What a run writes down: metrics.jsonl, log.txt and TensorBoard events."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mtl.files import atomic_write
from mtl.training.events import EVERY, Epoch, Learnt, Step

CURVES = 16
"""What was learnt has a curve an entry in TensorBoard if it has at most so many."""
CELL = 16
"""The pixels of an entry's side in a picture of a matrix; the largest entry is white."""


class RunLog:
    """Writes events into a run folder; a line is complete as soon as it is written.

    Args:
        folder: The run folder.
        resumed: The epochs done before; what was written after them is removed.
    """

    def __init__(self, folder: Path, resumed: int = 0) -> None:
        self.metrics = folder / "metrics.jsonl"
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only for training

        if self.metrics.is_file():
            self._forget(resumed)
        self._metrics = self.metrics.open("a", encoding="utf-8")
        self._text = (folder / "log.txt").open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metrics.close()
        self._text.close()
        self._board.close()

    def _forget(self, epochs: int) -> None:
        kept = [
            line
            for line in self.metrics.read_text(encoding="utf-8").splitlines()
            if line.endswith("}") and json.loads(line)["epoch"] < epochs
        ]
        with atomic_write(self.metrics) as file:
            file.writelines(f"{line}\n" for line in kept)

    def note(self, text: str) -> None:
        """Write a line of text to log.txt."""
        self._text.write(f"{text}\n")
        self._text.flush()

    def write(self, event: Step | Epoch) -> None:
        """Write an event down."""
        if isinstance(event, Epoch):
            self._epoch(event)
        elif event.step % EVERY == 0:
            self._step(event)

    def _step(self, step: Step) -> None:
        record = {"type": "step", "epoch": step.epoch, "step": step.step, "losses": step.losses}
        record |= {"weights": step.weights, "weighted": step.weighted}
        record |= {"penalties": step.penalties, "total": step.total}
        record |= {"gradients": asdict(step.gradients) if step.gradients else None}
        record |= {"lr": step.lr, "grad_norm": step.grad_norm}
        self._line({**record, "seconds": step.seconds})
        for name, value in _curves(step).items():
            self._board.add_scalar(f"train/{name}", value, step.step)

    def _epoch(self, epoch: Epoch) -> None:
        dev = epoch.dev.scores() if epoch.dev else {}
        record = {"type": "epoch", "epoch": epoch.epoch, "step": epoch.step}
        record |= {"losses": epoch.losses, "dev": dev, "score": epoch.score}
        record |= {"improved": epoch.improved, "resting": sorted(epoch.resting)}
        record |= {"seconds": epoch.seconds, "tokens_per_second": epoch.tokens_per_second}
        if epoch.learnt:
            record["learnt"] = {name: own.values.tolist() for name, own in epoch.learnt.items()}
            record["axes"] = {name: own.axes for name, own in epoch.learnt.items() if own.axes}
        self._line(record)
        parts = [f"{t}.{n} {v:.4f}" for t, scores in dev.items() for n, v in scores.items()]
        self.note(f"epoch {epoch.epoch + 1}, step {epoch.step}: {', '.join(parts)}")
        for task, scores in dev.items():
            for name, value in scores.items():
                self._board.add_scalar(f"dev/{task}.{name}", value, epoch.step)
        for name, learnt in epoch.learnt.items():
            self._draw(f"learnt/{name}", learnt, epoch.step)

    def _draw(self, name: str, learnt: Learnt, step: int) -> None:
        """Write a curve for each entry of what is small, and a picture of what is a matrix."""
        values = learnt.values.float()
        if values.numel() <= CURVES:
            axes = learnt.axes or tuple([str(i) for i in range(size)] for size in values.shape)
            for entry, value in zip(product(*axes), values.flatten().tolist(), strict=True):
                self._board.add_scalar(".".join((name, *entry)), value, step)
        if values.ndim == 2:
            shades = (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)
            picture = shades.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
            self._board.add_image(name, picture.unsqueeze(0), step)

    def _line(self, record: dict[str, Any]) -> None:
        self._metrics.write(json.dumps(record) + "\n")
        self._metrics.flush()


def _curves(step: Step) -> dict[str, float]:
    """Return the numbers of a step by their names in TensorBoard."""
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
