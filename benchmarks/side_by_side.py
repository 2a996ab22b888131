"""Timing of contestants in turn, A B A B, so that other load affects all of them equally."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
EWT_TEST = Path(os.environ.get("MTL_DATA", "data"), "ud_english_ewt", "en_ewt-ud-test.conllu")


def ewt_test_texts() -> list[str]:
    """Return the raw sentences of the test set of UD English EWT."""
    lines = EWT_TEST.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]


def alternate(contestants: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Run every contestant once per round, after one warm-up round.

    Args:
        contestants: Name to a function that does some work and returns its number of tokens.
        rounds: The number of measured rounds.

    Returns:
        Name to tokens per second, by round.
    """
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            began = time.perf_counter()
            tokens = work()
            if number:
                speeds[name].append(tokens / (time.perf_counter() - began))
    return speeds


def times_as_long(
    work: Callable[[], object],
    other: Callable[[], object],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> str:
    """Return time of work ÷ time of other, in turn: median, smallest and largest ratio.

    With one thread, use the clock `time.thread_time`, which stops while other programs run.
    """
    ratios = []
    for number in range(rounds + 2):
        began = clock()
        work()
        between = clock()
        other()
        if number > 1:
            ratios.append((between - began) / (clock() - between))
    return f"**{median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"


def speed(speeds: Sequence[float]) -> str:
    """Return the median as a table cell."""
    return f"{median(speeds):,.0f}"


def ratio(speeds: Sequence[float], others: Sequence[float]) -> str:
    """Return the median, smallest and largest ratio over the rounds as a table cell."""
    ratios = [one / other for one, other in zip(speeds, others, strict=True)]
    return f"**{median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns except the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def conditions(packages: Sequence[str]) -> str:
    """Return the command, commit, machine and versions as a Markdown list."""
    command = " ".join(["python", *sys.argv])
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [
        f"Command: `{command}`",
        f"Commit {_git('rev-parse', '--short', 'HEAD')}{_changes()}, {date.today().isoformat()}",
        f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        f"Python {platform.python_version()}, {versions}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def report(name: str, text: str) -> None:
    """Print a result and save it as `results/NAME.md`."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if _linux() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _linux() -> bool:
    return platform.system() == "Linux"


def _changes() -> str:
    return " with changes" if _git("status", "--porcelain", "--", "mtl") else ""


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip()
