"""Measure the training engine: the share of the loop outside the network, and checkpoints.

    MTL_DATA=… python benchmarks/engine.py --steps 100

A step of training is divided into the forward pass, the backward pass, the optimiser, and the rest:
waiting for the batch, clipping, the average of the weights, and the record of the step. Times are
processor time of the main thread, with one thread, so other programs hardly matter. Batches are
prepared in a thread of their own; their time is a column of its own.

A checkpoint is everything that a run needs to continue. Its cost is its time divided by the ten
minutes between two of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from side_by_side import ROOT, conditions, report, table

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.runs.checkpoint import save_training
from mtl.training.events import Step
from mtl.training.state import training_state
from mtl.training.trainer import Trainer

CONFIGS = ("quickstart", "reviews", "ewt_pos_ner")
"""Runs of configs/: widths of 100 and 200, batches of 16 and more sentences."""
NEEDS_DATA = ("reviews", "ewt_pos_ner")
MINUTES = 10
"""Minutes between two checkpoints."""


class Clock:
    """The processor time of some functions of a trainer, by name, in the thread that calls them."""

    def __init__(self, trainer: Trainer) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._measure(trainer.model, "forward", "forward")
        self._measure(trainer.weighting, "backward", "backward")
        self._measure(trainer.optimizer, "step", "optimiser")
        self._measure(trainer, "_parts", "batches")

    def _measure(self, owner: Any, name: str, label: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.spent[label] += time.thread_time() - began

        setattr(owner, name, measured)


def make(config: str) -> Trainer:
    """Return the trainer of a committed run, without evaluation."""
    run = load_config(ROOT / f"configs/{config}.yaml")
    corpora = load_corpora(run)
    trainer = make_trainer(prepare(run, corpora), corpora)
    trainer.evaluate = None
    return trainer


def steps_of(trainer: Trainer) -> Iterator[Step]:
    """Yield the steps of a run."""
    return (event for event in trainer.run() if isinstance(event, Step))


def loop(trainer: Trainer, steps: int) -> list[str]:
    """Return the cells of one run: time per step in its parts, and the share of the rest."""
    clock = Clock(trainer)
    events = steps_of(trainer)
    list(islice(events, 20))  # caches fill, and memory is allocated
    clock.spent.clear()
    began = time.thread_time()
    taken = len(list(islice(events, steps)))
    whole = time.thread_time() - began
    network = [clock.spent[name] for name in ("forward", "backward", "optimiser")]
    rest = whole - sum(network)
    times = [*network, rest, clock.spent["batches"]]
    return [*(f"{1000 * spent / taken:.1f}" for spent in times), f"**{rest / whole:.1%}**"]


def checkpoint(trainer: Trainer, rounds: int) -> list[str]:
    """Return the cells of one run: size and time of a checkpoint, and its share of the time."""
    list(islice(steps_of(trainer), 2))  # the optimiser has a state from the first step on
    seconds = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        folder = Path(place)
        for _ in range(rounds):
            began = time.perf_counter()
            save_training(folder, *training_state(trainer))
            seconds.append(time.perf_counter() - began)
        # The previous checkpoint may still be there, so the size is of the files of one.
        sizes = [file.stat().st_size for file in folder.rglob("*.safetensors")]
    spent = median(seconds)
    cells = [f"{max(sizes) / 1e6:.0f}", f"{spent:.2f}", f"{max(seconds):.2f}"]
    return [*cells, f"**{spent / (60 * MINUTES):.3%}**"]


def main() -> None:
    """Measure, print and save the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="training steps per run")
    parser.add_argument("--rounds", type=int, default=7, help="checkpoints per run")
    parser.add_argument("--runs", nargs="+", choices=CONFIGS, default=CONFIGS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [n for n in options.runs if n not in NEEDS_DATA or "MTL_DATA" in os.environ]
    loops, saves = [], []
    for name in names:
        loops.append([name, *loop(make(name), options.steps)])
        saves.append([name, *checkpoint(make(name), options.rounds)])
    parts = ["forward", "backward", "optimiser", "rest", "batches, in their thread"]
    head = ["processor time per step, ms", *parts, "rest ÷ step"]
    saved = ["checkpoint", "MB", "s, median", "s, largest", f"share of {MINUTES} minutes"]
    text = (
        f"# The training engine\n\n{table(head, loops)}\n\n{table(saved, saves)}\n\n"
        f"{conditions(['torch'])}"
    )
    report("engine", text)


if __name__ == "__main__":
    main()
