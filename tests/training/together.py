"""Runs of several processes: as threads of one process, or as real processes.

Started as a program, it is one of the processes, and trains all runs of a file in turn.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from mtl.experiment import make_trainer
from mtl.training.events import Epoch, Step
from mtl.training.processes import ALONE, Processes, join, leave
from mtl.training.trainer import Trainer
from mtl.weighting import PCGrad
from tests.training.runs import corpus, prepared
from tests.training.texts import text_corpus

ValueT = TypeVar("ValueT")
STILL = {"type": "lstm", "hidden_size": 8, "num_layers": 2}
TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "d/verb", "weight": 0.5}}
TEXT = {
    "next": {"use": "t/next"},
    "previous": {"use": "t/previous"},
    "verb": {"use": "d/verb", "batch": {"sentences": 4}},
}


_RANDOM = threading.Lock()
"""Held while a model is made, as threads share their random numbers."""


class World:
    """The meeting point of threads that act as processes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size)
        self._values: list[Any] = [None] * size

    def swap(self, rank: int, value: Any) -> list[Any]:
        """Return the values of all threads."""
        self._values[rank] = value
        self._barrier.wait(60)
        found = list(self._values)
        self._barrier.wait(60)
        return found

    def run(self, train: Callable[[Processes], ValueT]) -> list[ValueT]:
        """Call a function in each thread, and return the results."""

        def started(rank: int) -> ValueT:
            try:
                return train(ThreadProcess(rank, self))
            except BaseException:
                self._barrier.abort()
                raise

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(started, range(self.size)))


class ThreadProcess(Processes):
    """A thread in place of a process."""

    def __init__(self, rank: int, threads: World) -> None:
        super().__init__(rank, threads.size, rank, threads.size)
        self.threads_together = threads

    def _sum(self, tensor: Tensor) -> None:
        found = self.threads_together.swap(self.rank, tensor.clone())
        tensor.copy_(sum(found[1:], start=found[0]))

    def _rows(self, own: Tensor) -> Tensor:
        return torch.stack(self.threads_together.swap(self.rank, own))

    def _objects(self, value: ValueT) -> list[ValueT]:
        return copy.deepcopy(self.threads_together.swap(self.rank, value))

    def _object_of_main(self, value: ValueT | None) -> ValueT:
        return self._objects(value)[0]  # type: ignore[return-value]

    def separate_random(self, *key: int) -> None:
        """Do nothing: threads share their random numbers."""


def write(folder: Path) -> dict[str, Any]:
    """Write the corpora of the runs, and return what a run file says of them."""
    return {
        "c": corpus(folder, "c", 37),
        "d": corpus(folder, "d", 23, first=50, verb=9),
        "t": text_corpus(folder, "t", 40),
    }


def made(
    folder: Path, processes: Processes, batch: int, run: Mapping[str, Any], factor: int = 1
) -> Trainer:
    """Return a trainer without dropout.

    Args:
        folder: A folder of this process.
        processes: The processes.
        batch: The size of a batch of one process, in sentences, streams or tens of tokens.
        run: The parts that the run file names, `unit`, the unit of the batch, and `overlap`, the
            words of a chunk of text that the next one reads again.
        factor: The number of processes for which the size is meant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {"trunk": STILL, "mixing": "joint", "epochs": 10**6, **run}
    unit = options.pop("unit", "sentences")
    tasks = options.pop("tasks", TEXT if unit == "streams" else TASKS)
    size = {unit: 10 * batch if unit == "max_tokens" else batch}
    if unit == "streams":
        size |= {"bptt": 6, "overlap": options.pop("overlap", 0)}
        options["metric"] = "verb.f1"
        verb = {"use": "d/verb", "batch": {"sentences": batch}}
        tasks = {**tasks, "verb": verb} if "verb" in tasks else tasks
    kept = {task["use"].partition("/")[0] for task in tasks.values()}
    corpora = {name: own for name, own in write(folder).items() if name in kept}
    double = options.pop("double", False)
    with _RANDOM:
        experiment, found = prepared(
            folder, tasks, corpora, batch=size, processes=None if factor == 1 else factor, **options
        )
    trainer = make_trainer(experiment, found, processes=processes)
    if isinstance(trainer.weighting, PCGrad):
        trainer.weighting.order.fill_(7)
    for module in trainer.model.modules():
        if isinstance(getattr(module, "p", None), float):
            module.p = 0.0
    if double:
        trainer.model.double()
    return trainer


def losses(trainer: Trainer, steps: int) -> list[dict[str, Any]]:
    """Train for so many steps, and return their losses, penalties and weights."""
    events: Iterator[Step | Epoch] = trainer.run()
    found = islice((event for event in events if isinstance(event, Step)), steps)
    return [
        {
            "losses": dict(step.losses),
            "total": step.total,
            "weights": dict(step.weights),
            "penalties": dict(step.penalties),
            "tokens": dict(step.tokens),
            "norm": step.grad_norm,
        }
        for step in found
    ]


def difference(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> float:
    """Return the largest difference of a loss, relative to the loss where that is above 1."""
    worst = 0.0
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for key in ("losses", "penalties"):
            assert set(one[key]) == set(other[key])
            for name, value in one[key].items():
                worst = max(worst, abs(value - other[key][name]) / max(1.0, abs(value)))
    return worst


def start(world: int, program: Sequence[str], **environment: str) -> list[subprocess.Popen[str]]:
    """Start a program in several processes, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **environment,
    }
    pipe = subprocess.PIPE
    return [
        subprocess.Popen(
            [sys.executable, *program],
            env={**given, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        for rank in range(world)
    ]


def main(folder: Path) -> None:
    """Train all runs of `runs.json` in turn, and write their losses."""
    torch.set_num_threads(1)
    processes = join()
    for number, (steps, batch, run) in enumerate(json.loads((folder / "runs.json").read_text())):
        own = folder / f"rank-{processes.rank}"
        found = losses(made(own, processes, batch, run, processes.world), steps)
        if processes.main:
            (folder / f"found-{number}.json").write_text(json.dumps(found))
            print(number, flush=True)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

__all__ = ["ALONE", "World", "difference", "losses", "made", "start"]
