"""Measure reading, training and tagging with one large corpus: memory, speed, and the first batch.

    python benchmarks/big_data.py --megabytes 200

The corpus has invented words with the frequencies of natural text, and one tag per word. Reading
and training run in processes of their own, so that their memory is their own:

- reading: the text is parsed into an empty cache, once for each number of processes;
- training: a new process reads the cache, builds the vocabulary and trains some steps;
- tagging: the model labels 10,000 sentences, in the process that has trained it.

Memory is the peak of resident memory (VmHWM) of the phase. "All processes" adds the memory that
the reading processes had at the same time, sampled every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from side_by_side import conditions, report, table

LENGTH = 20
"""Mean number of words per sentence."""
DISTINCT = 1_000_000
"""Number of different words to draw from."""
FIELDS = ("VmHWM", "RssAnon")
"""The peak of resident memory, and the memory without mapped files."""
TAGS = ("NOUN", "VERB", "ADJ", "ADV", "DET", "PRON", "ADP", "CONJ", "NUM", "PUNCT", "PART", "X")


def generate(path: Path, megabytes: float, form: str, seed: int = 1) -> None:
    """Write a corpus of a size; the tag of a word follows from the word."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlcumwfgypbvkjxqz"))
    lengths = rng.integers(2, 12, DISTINCT)
    words = [f"{''.join(letters[rng.integers(0, 26, n)])}{i % 97}" for i, n in enumerate(lengths)]
    left = megabytes * 1e6
    with open(path, "w", encoding="utf-8") as file:
        while left > 0:
            sizes = rng.integers(2, 2 * LENGTH, 1000)
            # The word of rank r has a probability near 1/r, as in natural text (Zipf).
            ranks = np.exp(rng.random(int(sizes.sum())) * np.log(DISTINCT)).astype(int) - 1
            for row in np.split(ranks, np.cumsum(sizes)[:-1]):
                tokens = [words[rank] for rank in row.tolist()]
                tags = [TAGS[rank % len(TAGS)] for rank in row.tolist()]
                if form == "conll":
                    pairs = zip(tokens, tags, strict=True)
                    text = "".join(f"{token} {tag}\n" for token, tag in pairs) + "\n"
                else:
                    text = json.dumps({"tokens": tokens, "pos": tags}) + "\n"
                left -= file.write(text)


def run_file(folder: Path, form: str) -> Path:
    """Write the run file of a small tagger."""
    reader = "{type: conll, columns: [tokens, pos]}" if form == "conll" else "{type: jsonl}"
    path = folder / "run.yaml"
    path.write_text(
        f"""\
embedding:
  words: {{dim: 50, min_count: 5}}
trunk: {{type: lstm, num_layers: 1, hidden_size: 50, bidirectional: true}}
corpora:
  big:
    reader: {reader}
    files: {{train: big.{form}, dev: small.{form}}}
    tasks:
      pos: {{labels: pos, head: {{type: softmax}}, metric: accuracy}}
tasks:
  pos: {{use: big/pos}}
training: {{epochs: 1, epoch_steps: 20, batch: {{sentences: 32}}, device: cpu}}
"""
    )
    return path


class Phases:
    """The time and the peak of resident memory of the phases of a process."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float | str]] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a phase."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from the present memory
        began = time.perf_counter()
        yield
        spent = time.perf_counter() - began
        status = Path("/proc/self/status").read_text()
        peak, own = (int(status.split(f"{key}:")[1].split()[0]) / 1e3 for key in FIELDS)
        self.add(name, spent, peak, own)

    def add(self, phase: str, seconds: float, peak: float = 0, own: float = 0) -> None:
        """Add a phase, and print it as JSON."""
        row = {"phase": phase, "seconds": seconds, "peak": peak, "own": own}
        self.rows.append(row)
        print(json.dumps(row), flush=True)


def work(part: str, folder: Path) -> None:
    """Run one part in this process."""
    began, phases = time.perf_counter(), Phases()
    with phases.phase("import"):
        import torch

        from mtl.experiment import load_config, load_corpora, make_trainer, prepare
        from mtl.training.events import Step

        torch.set_num_threads(1)
        run = load_config(folder / "run.yaml")
    with phases.phase("read" if part == "reading" else "open the cache"):
        corpora = load_corpora(run)
    if part == "training":
        with phases.phase("count words and labels"):
            experiment = prepare(run, corpora)
        with phases.phase("make batches"):
            trainer = make_trainer(experiment, corpora)
            events = trainer.run()
        with phases.phase("first step"):
            next(events)
        first = time.perf_counter() - began
        with phases.phase("20 steps, dev set"):
            steps = sum(isinstance(event, Step) for event in events)
            assert steps == 19
        phases.add("start to first step", first)
        split = corpora["big"].splits["train"]
        random = np.random.default_rng(1)
        with phases.phase("5,000 sentences in random order"):
            for rows in np.array_split(random.integers(0, len(split), 5000), 150):
                split.examples(rows.tolist())
        with phases.phase("label 10,000 sentences"):
            for _ in experiment.predictor.run(_sentences(islice(split, 10_000)), ["pos"]):
                pass


def _sentences(examples: Iterator[object]) -> Iterator[object]:
    from mtl.inference.inputs import Sentence

    return map(Sentence, examples)  # type: ignore[arg-type]


def call(part: str, folder: Path, **variables: str) -> tuple[list[dict[str, float]], float]:
    """Run one part in a new process; return its phases, and the peak of all processes in MB."""
    peak, done = 0.0, threading.Event()
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    environment = {**os.environ, "MTL_CACHE": str(folder / "cache"), **variables}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, sum(map(_proportional, _family(process.pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    out, _ = process.communicate()
    done.set()
    thread.join()
    if process.returncode:
        raise SystemExit(f"{part} failed")
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")], peak


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _proportional(pid: int) -> float:
    """Return the resident memory of a process in MB; shared pages are divided among processes."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return int(rollup.split("Pss:")[1].split()[0]) / 1e3


def main() -> None:
    """Measure, print and save the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=200, help="size of the corpus")
    parser.add_argument("--form", choices=("conll", "jsonl"), default="conll")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path, help="keep corpus and cache in this folder")
    parser.add_argument("--part", choices=("reading", "training"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        work(options.part, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True, parents=True)
        corpus = folder / f"big.{options.form}"
        if not corpus.exists():
            generate(corpus, options.megabytes, options.form)
            generate(folder / f"small.{options.form}", 0.2, options.form, seed=2)
        run_file(folder, options.form)
        size = corpus.stat().st_size / 1e6
        reading, rows = [], []
        for number in options.processes:
            for file in (folder / "cache").glob("corpora/*"):
                file.unlink()
            phases, everything = call("reading", folder, MTL_READERS=str(number))
            own = phases[-1]
            speed = size / own["seconds"]
            reading.append([number, *(f"{n:.0f}" for n in (own["seconds"],)), f"{speed:.1f}"])
            reading[-1] += [f"{own['peak']:.0f}", f"{everything:.0f}"]
            print(reading[-1], flush=True)
        for own in call("training", folder)[0]:
            memory = [f"{own[key]:.0f}" if own[key] else "" for key in ("peak", "own")]
            rows.append([own["phase"], f"{own['seconds']:.1f}", *memory])
            print(rows[-1], flush=True)
    head = ["processes", "s", "MB/s", "peak MB, first process", "peak MB, all processes"]
    phase = ["phase, from the cache", "s", "peak MB", "without mapped files, MB"]
    text = (
        f"# A large corpus\n\n{size:,.0f} MB of {options.form}.\n\n{table(head, reading)}\n\n"
        f"{table(phase, rows)}\n\n{conditions(['torch', 'pyarrow'])}"
    )
    report("big_data", text)


if __name__ == "__main__":
    main()
