"""Compare the speed of two checkouts.

    MTL_DATA=… python scripts/same_speed.py BEFORE AFTER [--rounds 5] [--steps 100]

Both checkouts do the same work in turn, on the CPU with one thread, after one round that does not
count:

- `mtl.train` with `configs/ewt_pos_ner.yaml` and `configs/quickstart.yaml` of BEFORE, for a fixed
  number of steps;
- `predict` on the sentences of the EWT test set, as lists of tokens, with a model that BEFORE
  trains. Both checkouts load the same run folder.

The table has the median speeds over the rounds, and the median, lowest and highest ratio of AFTER
to BEFORE. A ratio above 1 means that AFTER is faster. Speeds by the wall clock suffer from other
programs on the machine. Speeds by CPU time do so less. In training, the wall clock covers the steps
only, and the CPU time covers the whole call with reading and evaluation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

from same_numbers import checkout_folder, fetch_quickstart, quickstart_files

TEXT = "ud_english_ewt/en_ewt-ud-test.conllu"

TIMES = 3
"""How often the sentences are tagged in a round."""

WORKER = """
import json, os, pathlib, sys, time
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import mtl
found = pathlib.Path(mtl.__file__).resolve().parent.parent
assert found == pathlib.Path(sys.argv[1]), f"imported mtl from {found}"
model = None
for line in sys.stdin:
    task = json.loads(line)
    if "sentences" in task:
        sentences, model = task["sentences"], mtl.load(task["run"], device="cpu")
    wall, cpu = time.perf_counter(), time.process_time()
    if "config" in task:
        mtl.train(task["config"], task["overrides"], output=task["output"])
    else:
        for _ in range(task["times"]):
            model.predict(sentences)
    seconds = [time.perf_counter() - wall, time.process_time() - cpu]
    print(json.dumps(seconds), file=answers, flush=True)
"""


class Worker:
    """A process that works with a checkout.

    Args:
        checkout: The checkout.
        folder: The folder for its cache, run folders and messages.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.runs = 0
        environment = {
            **os.environ,
            "MTL_DATA": os.path.abspath(os.environ["MTL_DATA"]),
            "PYTHONPATH": str(checkout),
            "MTL_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        with (folder / "errors.txt").open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(checkout)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=environment,
                text=True,
            )

    def seconds(self, **task: Any) -> tuple[float, float]:
        """Do a task and return its wall-clock time and its CPU time."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps(task), file=self._process.stdin, flush=True)
            wall, cpu = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, ValueError):
            errors = (self.folder / "errors.txt").read_text(encoding="utf-8").splitlines()
            sys.exit("error: " + "\n".join(errors[-5:]))
        return wall, cpu

    def train(self, config: Path, overrides: list[str]) -> tuple[Path, float]:
        """Train, and return the run folder and the CPU time of the call."""
        self.runs += 1
        run = self.folder / f"run-{self.runs}"
        _, cpu = self.seconds(config=str(config), overrides=overrides, output=str(run))
        return run, cpu

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def training_speed(run: Path) -> float:
    """Return the tokens per second of the last epoch in the log, as a mean over the tasks."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    speeds: dict[str, float] = json.loads(lines[-1])["tokens_per_second"]
    return mean(speeds.values())


def sentences_of(path: Path) -> Iterator[list[str]]:
    """Yield the words of each sentence in a CoNLL-U file."""
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        yield [row[1] for row in rows if row[0].isdecimal()]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the speeds of BEFORE and AFTER in each round by the kind of work."""
    fetch_quickstart(options.before, folder / "quickstart")
    steps = ["training.epochs=1", f"training.epoch_steps={options.steps}", "training.device=cpu"]
    overrides = {
        "ewt_pos_ner": [*steps, "corpora.ewt.limit.dev=50", "corpora.uner.limit.dev=50"],
        "quickstart": [*steps, *quickstart_files(folder / "quickstart")],
    }
    workers = [Worker(options.before, folder / "before"), Worker(options.after, folder / "after")]
    sentences = list(sentences_of(Path(os.environ["MTL_DATA"]) / TEXT))
    words = sum(map(len, sentences))
    speeds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        for number in range(options.rounds + 1):
            order = (0, 1) if number % 2 else (1, 0)
            found: dict[str, dict[int, float]] = defaultdict(dict)
            for name, own in overrides.items():
                for side in order:
                    config = options.before / "configs" / f"{name}.yaml"
                    run, cpu = workers[side].train(config, own)
                    found[f"train {name}: tokens per second"][side] = training_speed(run)
                    found[f"train {name}: runs per CPU hour"][side] = 3600 / cpu
            if number == 0:
                for worker in workers:
                    tagger = workers[0].folder / "run-1"
                    worker.seconds(run=str(tagger), sentences=sentences, times=1)
            for side in order:
                wall, cpu = workers[side].seconds(times=TIMES)
                found["tag EWT: tokens per second"][side] = TIMES * words / wall
                found["tag EWT: tokens per CPU second"][side] = TIMES * words / cpu
            for kind, both in found.items():
                if number:
                    speeds[kind].append((both[0], both[1]))
            print(f"round {number} of {options.rounds}", file=sys.stderr)
    finally:
        for worker in workers:
            worker.close()
    return speeds


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=checkout_folder, metavar="BEFORE", help="a checkout")
    parser.add_argument("after", type=checkout_folder, metavar="AFTER", help="another checkout")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: 5)")
    parser.add_argument("--steps", type=int, default=100, help="steps of a run (default: 100)")
    options = parser.parse_args()
    if "MTL_DATA" not in os.environ:
        sys.exit("error: set MTL_DATA to the folder of the corpora")
    with tempfile.TemporaryDirectory() as folder:
        speeds = measure(options, Path(folder).resolve())
    width = max(map(len, speeds))
    print(f"{'':{width}} {'BEFORE':>9} {'AFTER':>9}  AFTER / BEFORE (lowest to highest)")
    for kind, rounds in speeds.items():
        before, after = (median(own) for own in zip(*rounds, strict=True))
        ratios = [other / one for one, other in rounds]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{kind:{width}} {before:9,.0f} {after:9,.0f}  {spread}")


if __name__ == "__main__":
    main()
