"""Measure perplexity over training time: AWD-LSTM and AWD-QRNN with equal numbers of parameters.

    MTL_DATA=… python benchmarks/lm_curves.py --minutes 45

Both train in parallel, each on one thread, until each has used its minutes of processor time. Other
load on the machine therefore affects both equally. Evaluations are included. Word vectors have 200
dimensions, and there are 40 streams, chunks of 35 words and three LSTM layers of 400 units.

The papers train for hundreds of epochs, with SGD, an average that starts when progress stalls, and
much dropout. For a training time of minutes, this script uses Adam, a moving average from the start
and a dropout of 0.1. An existing curve is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from itertools import zip_longest
from pathlib import Path

from quality import ROOT, epochs
from side_by_side import table

STEPS = 250
"""Training steps between two points of a curve."""
COMMON = [
    "training.threads=1",
    "training.epochs=1000",
    f"training.epoch_steps={STEPS}",
    "training.optimizer={type: adam, lr: 0.002}",
    "training.schedule={type: constant, warmup: 200}",
    "training.average=0.99",
    "training.batch.streams=40",
    "training.batch.bptt=35",
    "embedding.words.dim=200",
    "tasks.next.head.output=tied_adaptive",
    "tasks.next.head.dropout=0.1",
    "trunk.last_size=null",
    "trunk.input_dropout=null",
    "trunk.dropout=0.1",
    "trunk.weight_drop=0.1",
]
RUNS = {
    "lstm": ["trunk.hidden_size=400"],
    "qrnn": ["trunk.hidden_size=560"],
}
"""Sizes with equal numbers of parameters: 3 layers of 400 units, and 4 of 560."""


def begin(name: str, folder: Path, further: list[str]) -> subprocess.Popen[bytes]:
    """Start the training of a run."""
    config = ROOT / f"configs/papers/awd_{name}_wikitext2.yaml"
    command = [sys.executable, "-m", "mtl.cli.main", "train", str(config)]
    command += [*COMMON, *RUNS[name], *further, "--output", str(folder)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def cpu_minutes(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time of a process, in minutes."""
    shown = subprocess.run(
        ["ps", "-o", "time=", "-p", str(process.pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    parts = shown.replace("-", ":").split(":") if shown else ["0"]
    return sum(float(part) * 60**i for i, part in enumerate(reversed(parts))) / 60


def measure(folders: dict[str, Path], minutes: float, further: list[str]) -> None:
    """Train the runs in parallel and save the processor time at the end of each epoch."""
    running = {name: begin(name, folder, further) for name, folder in folders.items()}
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
    while running:
        time.sleep(1)
        for name, process in list(running.items()):
            used = cpu_minutes(process)
            if (folders[name] / "metrics.jsonl").is_file():
                for epoch in epochs(folders[name])[len(curves[name]) :]:
                    curves[name].append((used, epoch["dev"]["next"]["perplexity"]))
            if used >= minutes:
                process.send_signal(signal.SIGINT)
            if process.poll() is not None or used >= minutes:
                process.wait()
                (folders[name] / "curve.json").write_text(json.dumps(curves[name]))
                del running[name]


def main() -> None:
    """Measure the missing curves and print all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=45, help="processor time of each run")
    parser.add_argument("--runs", type=Path, default=Path("runs/lm_curves"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    folders = {name: options.runs / name for name in RUNS}
    missing = {n: folder for n, folder in folders.items() if not (folder / "curve.json").is_file()}
    measure(missing, options.minutes, options.set)
    curves = {n: json.loads((folder / "curve.json").read_text()) for n, folder in folders.items()}
    cells = [[[f"{spent:.1f}", f"{ppl:.1f}"] for spent, ppl in curve] for curve in curves.values()]
    rows = [
        [f"{STEPS * number:,}", *lstm, *qrnn]
        for number, (lstm, qrnn) in enumerate(zip_longest(*cells, fillvalue=["", ""]), 1)
    ]
    print(table(["steps", "LSTM, minutes", "perplexity", "QRNN, minutes", "perplexity"], rows))
    spent, final = curves["lstm"][-1]
    reached = [used for used, perplexity in curves["qrnn"] if perplexity <= final]
    if reached:
        share = reached[0] / spent
        print(f"\nThe QRNN reaches the LSTM's last perplexity in **{share:.2f}** of its time.")
    else:
        print("\nThe QRNN does not reach the LSTM's last perplexity.")


if __name__ == "__main__":
    main()
