"""Resident memory of `mtl predict` while it reads a long text, by tenths of the text.

    python benchmarks/predict_memory.py RUN --megabytes 20
    python benchmarks/predict_memory.py RUN --long-words 500

The text has invented words, 10 % of all, so that the words never repeat; or words of 1 MB each. The
figure of a tenth is the largest resident memory during that tenth (Linux only): the table of words
fills and is halved many times per tenth, so a single moment says little. The memory after the first
tenth should not grow by more than 10 %.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMON = [f"word{number}" for number in range(5_000)]
LINE = 12
"""Words per line."""


def invented(megabytes: float, seed: int = 1) -> Iterator[str]:
    """Yield lines of text, of which one word in ten was never seen before."""
    rng = random.Random(seed)
    left = megabytes * 1e6
    while left > 0:
        words = [
            "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=9))
            if rng.random() < 0.1
            else rng.choice(COMMON)
            for _ in range(LINE)
        ]
        line = " ".join(words) + ".\n"
        left -= len(line)
        yield line


def long_words(count: int, characters: int = 1_000_000) -> Iterator[str]:
    """Yield lines of one long word each; no word occurs twice."""
    for number in range(count):
        yield f"{number}{'x' * characters}\n"


def largest(process: int) -> float:
    """Return the largest resident memory of a process in MB since the last call."""
    status = Path(f"/proc/{process}/status").read_text()
    Path(f"/proc/{process}/clear_refs").write_text("5")  # sets the largest value to the present one
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def main() -> None:
    """Print the memory by tenths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the run folder")
    parser.add_argument("--megabytes", type=float, default=20.0, help="size of the text")
    parser.add_argument("--long-words", type=int, help="this many words of 1 MB instead")
    arguments = parser.parse_args()
    if arguments.long_words:
        lines, total = long_words(arguments.long_words), arguments.long_words * 1e6
    else:
        lines, total = invented(arguments.megabytes), arguments.megabytes * 1e6
    command = [sys.executable, "-m", "mtl.cli.main", "predict", arguments.run, "--format", "jsonl"]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, encoding="utf-8"
    )
    assert running.stdin is not None
    written, tenth, memory = 0, 1, []
    for line in lines:
        running.stdin.write(line)
        written += len(line)
        if written >= tenth * total / 10:
            running.stdin.flush()
            memory.append(largest(running.pid))
            print(f"{10 * tenth:3} %  {memory[-1]:7.1f} MB", flush=True)
            tenth += 1
    running.stdin.close()
    running.wait()
    print(f"growth after the first tenth: {max(memory) / memory[0] - 1:+.1%}")


if __name__ == "__main__":
    main()
