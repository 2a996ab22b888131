"""Compare the training speed of several processes with one process that has the same batches.

The processes of both contestants stay alive, and train some steps in turn, A B A B. Each uses one
thread. Beside the time by the clock, the processor time of the busiest process is measured: it
tells the ratio that free cores would give, and hardly depends on the load of the machine. The time
that a process waits for another one is missing from it.
"""

from __future__ import annotations

import mtl  # noqa: F401 (before torch, as in the command: sets how threads wait)

# isort: split
import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from side_by_side import alternate, conditions, ratio, report, speed, table

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.training.events import Step
from mtl.training.processes import join, leave

RUN = Path(__file__).with_name("bilstm.yaml")


class Group:
    """Processes that wait for an order to train.

    Args:
        run: The run file.
        number: The number of processes.
        factor: The number of batches of the run file in a batch of all of them.
        changes: Overrides of the run file.
    """

    def __init__(self, run: Path, number: int, factor: int, changes: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        given = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, __file__, str(run), *changes, "--worker", str(factor)]
        self.processor_time: list[float] = []
        """Seconds of the busiest process, by order."""
        self.processes = [
            subprocess.Popen(
                command,
                env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), **given},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(number)
        ]

    def train(self, steps: int) -> int:
        """Train so many steps, and return the number of tokens."""
        for process in self.processes:
            assert process.stdin
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
        found = [json.loads(process.stdout.readline()) for process in self.processes]  # type: ignore[union-attr]
        self.processor_time.append(max(own["processor"] for own in found))
        return int(found[0]["tokens"])

    def end(self) -> None:
        """End the processes."""
        for process in self.processes:
            assert process.stdin
            process.stdin.close()
            process.wait()


def work(run: Path, factor: int, changes: list[str]) -> None:
    """Train as one of the processes, whenever standard input has a number of steps."""
    processes = join()
    own = [f"training.processes={factor}", "training.threads=1"]
    config = load_config(run, [*changes, *own])
    corpora = load_corpora(config)
    trainer = make_trainer(prepare(config, corpora), corpora, processes=processes)
    trainer.evaluate = None  # only steps are measured
    events = (event for event in trainer.run() if isinstance(event, Step))
    for line in sys.stdin:
        began = time.process_time()
        tokens = sum(max(next(events).tokens.values()) for _ in range(int(line)))
        print(json.dumps({"tokens": tokens, "processor": time.process_time() - began}), flush=True)
    leave()


def main() -> None:
    """Measure, print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, default=RUN, help="the run file")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes to it")
    parser.add_argument("--processes", type=int, default=2, help="number of processes")
    parser.add_argument("--steps", type=int, default=20, help="steps per round")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.run, options.worker, options.changes)
        return
    number = options.processes
    groups = {n: Group(options.run, n, number, options.changes) for n in (1, number)}
    speeds = alternate(
        {str(n): lambda group=group: group.train(options.steps) for n, group in groups.items()},
        options.rounds,
    )
    for group in groups.values():
        group.end()
    alone, together = (group.processor_time[1:] for group in groups.values())
    rows = [
        ["1", speed(speeds["1"]), f"{median(alone):.2f}", "", ""],
        [
            str(number),
            speed(speeds[str(number)]),
            f"{median(together):.2f}",
            ratio(speeds[str(number)], speeds["1"]),
            ratio(alone, together),
        ],
    ]
    head = ["processes", "tokens/s", "processor s", "ratio by the clock", "by processor time"]
    measured = " ".join([options.run.name, *options.changes])
    text = f"{measured}, {options.steps} steps per round, {options.rounds} rounds; the ratios are "
    text += "median, smallest and largest.\n\n"
    text += f"{table(head, rows)}\n\n{conditions(['torch'])}"
    report("engine_processes", text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
