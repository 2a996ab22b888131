"""Resident memory of a long training, by tenths of the time after the first epoch.

    MTL_DATA=… python benchmarks/soak.py configs/reviews.yaml --minutes 120

The run trains until the minutes are over and is then stopped by SIGTERM, as `mtl train` can be at any
time. The figure of a tenth is the largest resident memory during that tenth (Linux only). After the
first epoch, the memory should not grow by more than 3 %.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from predict_memory import largest

PARTS = 10


def epochs(run: Path) -> int:
    """Return the number of whole epochs of a run."""
    log = run / "metrics.jsonl"
    return log.read_text().count('"type": "epoch"') if log.is_file() else 0


def main() -> None:
    """Train, and print the memory by tenths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="the run file")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="options")
    parser.add_argument("--minutes", type=float, default=120.0, help="length of the training")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = ["training.epochs=1000000", "training.patience=null", *arguments.set]
        command = [sys.executable, "-m", "mtl.cli.main", "train", arguments.config, *options]
        start = time.monotonic()
        training = subprocess.Popen(
            [*command, "--output", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while epochs(run) < 1:
            if training.poll() is not None:
                raise SystemExit(f"the training ended with {training.returncode}: {command}")
            time.sleep(0.5)
        first = time.monotonic()
        print(f"first epoch: {(first - start) / 60:.1f} minutes, {largest(training.pid):.1f} MB")
        memory: list[float] = []
        for part in range(1, PARTS + 1):
            end = first + part * (start + 60 * arguments.minutes - first) / PARTS
            while time.monotonic() < end and training.poll() is None:
                time.sleep(0.5)
            if training.poll() is not None:
                raise SystemExit(f"the training ended with {training.returncode} before its time")
            memory.append(largest(training.pid))
            print(
                f"{100 * part // PARTS:3} %  {memory[-1]:7.1f} MB  {epochs(run)} epochs", flush=True
            )
        training.terminate()
        print(f"stopped by SIGTERM, exit status {training.wait()}")
    print(f"growth after the first tenth: {max(memory) / memory[0] - 1:+.1%}")


if __name__ == "__main__":
    main()
