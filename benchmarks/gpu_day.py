"""Do everything that needs a GPU within 25 minutes, the most valuable first.

    MTL_DATA=… python benchmarks/gpu_day.py --output runs/gpu_day

Each section runs in a process of its own, with a limit of time. A section that fails, or runs out
of time, is recorded in the result and the next one starts. The folder gets a file NAME.json per
section, and `gpu_day.md` with all tables; both are written after every section.

`--device cpu --tiny` tries the script on the CPU, with tiny sizes. Then the figures mean nothing.

- tests: the tests marked gpu.
- kernels: pooling and the CRF beside a copy of the bytes that they read and write. The goal for
  pooling is 0.8 of the bandwidth of a copy. For the CRF the bytes are those of the emissions and
  their gradients, so its figure shows how much of the time is not memory.
- layers: a training step of a QRNN layer beside torch's LSTM.
- speed: tokens per second of training, by precision, and of tagging.
- curves: perplexity of AWD-LSTM and AWD-QRNN on WikiText-2 over time, in the time that is left.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from cuda_bench import LAYERS, SHAPES, TYPES, replayed, step
from lm_curves import COMMON, RUNS
from quality import epochs
from side_by_side import ROOT, conditions, table, times_as_long
from torch import nn

import mtl
from mtl.layers import CRF, QRNN

Work = Callable[[], object]
TOTAL = 25 * 60
"""Seconds for everything."""
GOAL = 0.8
"""Share of the bandwidth of a copy that pooling is to reach."""
CRFS = [(32, 35, 17), (32, 100, 9), (64, 50, 70)]
"""(B, T, K): chunks, entities, fine parts of speech."""


class Table(NamedTuple):
    """A table of the result.

    Args:
        title: A sentence about the figures.
        head: The names of the columns.
        rows: The rows; all cells are text.
    """

    title: str
    head: list[str]
    rows: list[list[str]]


class Settings(NamedTuple):
    """The settings of a section.

    Args:
        device: The device, such as cuda.
        tiny: Whether to use tiny sizes.
        seconds: The time of the section.
        folder: The folder for its files.
    """

    device: str
    tiny: bool
    seconds: float
    folder: Path

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    @property
    def rounds(self) -> int:
        """The number of rounds of a comparison."""
        return 2 if self.tiny else 30

    def clock(self) -> float:
        """Wait until the device has finished, and return the time."""
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def ratio(self, work: Work, other: Work) -> str:
        """Return time of work ÷ time of other, both without the time that Python needs on a GPU."""
        if self.cuda:
            work, other = replayed(work), replayed(other)
        return times_as_long(work, other, self.rounds, self.clock)


def tests(settings: Settings) -> list[Table]:
    """Run the tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    chosen = ["--collect-only", "tests/ops/test_cuda.py"] if settings.tiny else ["tests"]
    environment = os.environ | ({} if settings.cuda else {"CUDA_VISIBLE_DEVICES": ""})
    done = subprocess.run(
        [*command, *chosen], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    (settings.folder / "tests.txt").write_text(done.stdout + done.stderr)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    rows = [[line.replace("|", "/"), ""] for line in [lines[-1], *failed]]
    return [Table(f"pytest ended with {done.returncode}.", ["last line and failures", ""], rows)]


def kernels(settings: Settings) -> list[Table]:
    """Measure pooling and the CRF beside a copy."""
    pools = [(5, 2, 8)] if settings.tiny else SHAPES
    crfs = [(2, 5, 3)] if settings.tiny else CRFS
    head = ["(T, B, H)", "type", "forward, inference", "forward, training", "backward", "in place"]
    rows = [_pooling(settings, shape, dtype) for dtype in TYPES for shape in pools]
    title = f"Pooling: share of the bandwidth of a copy of the same bytes; the goal is {GOAL}."
    crf_rows = [_crf(settings, shape) for shape in crfs]
    crf_title = "CRF: time of loss and gradients ÷ time of a copy of emissions and gradients."
    return [
        Table(title, head, rows),
        Table(crf_title, ["(B, T, K)", "times as long"], crf_rows),
    ]


def _copy(settings: Settings, units: float, size: int, dtype: torch.dtype) -> Work:
    """Return a function that copies this many units: half are reads and half are writes."""
    source = torch.randn(max(1, int(units * size) // 2), device=settings.device).to(dtype)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _pooling(settings: Settings, shape: Sequence[int], dtype: torch.dtype) -> list[str]:
    steps, batch, width = shape
    gates = torch.randn(batch, steps, 3 * width, device=settings.device).to(dtype)
    rest, kind = (gates, None, None, None), (3, False, 1)
    pool, ops = torch.ops.mtl.pool, torch.ops.mtl
    h, last, states = pool(*rest, *kind, True)
    given = (torch.randn_like(h), torch.zeros_like(last), *rest, states, *kind)
    works: list[tuple[Work, float]] = [
        (lambda: pool(*rest, *kind, False), 4),
        (lambda: pool(*rest, *kind, True), 5),
        (lambda: ops.pool_backward(*given), 8),
        (lambda: ops.pool_backward_(*given), 8),
    ]
    copies = [_copy(settings, units, h.numel(), dtype) for _, units in works]
    cells = [settings.ratio(copy, work) for copy, (work, _) in zip(copies, works, strict=True)]
    return [str(tuple(shape)), _name(dtype), *cells]


def _crf(settings: Settings, shape: Sequence[int]) -> list[str]:
    batch, length, labels = shape
    layer = CRF(labels).to(settings.device)
    emissions = torch.randn(*shape, device=settings.device, requires_grad=True)
    tags = torch.randint(labels, (batch, length), device=settings.device)
    mask = torch.ones(batch, length, dtype=torch.bool, device=settings.device)

    def work() -> None:
        layer.zero_grad()
        emissions.grad = None
        (-layer(emissions, tags, mask, reduction="sum")).backward()

    # The loss checks its input on the host, so it is not replayed from a graph.
    copy = _copy(settings, 3, emissions.numel(), torch.float32)
    return [str(tuple(shape)), times_as_long(work, copy, settings.rounds, settings.clock)]


def layers(settings: Settings) -> list[Table]:
    """Measure a training step of a QRNN layer beside torch's LSTM."""
    shapes = [(5, 2, 8, 8)] if settings.tiny else LAYERS
    rows = []
    for dtype in TYPES:
        for steps, batch, inputs, width in shapes:
            x = torch.randn(batch, steps, inputs, device=settings.device).to(dtype)
            x.requires_grad_()
            lstm = nn.LSTM(inputs, width, batch_first=True).to(settings.device, dtype)
            cells = []
            for window in (1, 2):
                qrnn = QRNN(inputs, width, window=window).to(settings.device, dtype)
                work, other = partial(step, lstm, x), partial(step, qrnn, x)
                cells.append(times_as_long(work, other, settings.rounds, settings.clock))
            rows.append([f"({steps}, {batch}, {inputs}→{width})", _name(dtype), *cells])
    title = "Time of torch's LSTM ÷ time of the QRNN, per training step."
    return [Table(title, ["(T, B, I→H)", "type", "window 1", "window 2"], rows)]


TINY_RUN = """\
embedding: {words: {dim: 8}}
trunk: {type: lstm, num_layers: 1, hidden_size: 8, bidirectional: true}
tasks: {pos: {use: tiny/pos}}
training: {epochs: 2, batch: {sentences: 4}}
"""
TINY_CORPUS = """\
reader: {type: conll, columns: [tokens, pos]}
files: {train: ../tiny.txt, dev: ../tiny.txt}
tasks: {pos: {labels: pos, head: {type: softmax}, metric: accuracy}}
"""


def speed(settings: Settings) -> list[Table]:
    """Measure the speed of training by precision, and of tagging."""
    if settings.tiny:
        (settings.folder / "tasks").mkdir(exist_ok=True)
        (settings.folder / "tiny.txt").write_text("the D\ncat N\nsleeps V\n\n" * 20)
        (settings.folder / "tasks/tiny.yaml").write_text(TINY_CORPUS)
        (settings.folder / "tiny.yaml").write_text(TINY_RUN)
        configs = [settings.folder / "tiny.yaml"]
    else:
        configs = [ROOT / f"configs/{n}.yaml" for n in ("ewt_pos_ner", "conll2000_pos", "reviews")]
    trained, tagged = [], []
    for config in configs:
        for precision in ("fp32", "bf16") if settings.tiny else ("fp32", "bf16", "fp16"):
            folder = settings.folder / f"{config.stem}-{precision}"
            # The first epoch warms up, the second one is measured.
            options = {
                "training.epochs": 2,
                "training.epoch_steps": 6 if settings.tiny else 150,
                "training.device": settings.device,
                "training.precision": precision,
                "training.schedule": {"type": "constant", "warmup": 0},
            }
            model: Any = mtl.train(config, options, output=folder, progress=False, resume=True)
            speeds = epochs(folder)[-1]["tokens_per_second"]
            trained.append([config.stem, precision, f"{max(speeds.values()):,.0f}"])
        texts = [
            ["the", "cat", "sleeps"] * (1 + n % 12) for n in range(20 if settings.tiny else 9000)
        ]
        model.predict(texts[:100])
        began = settings.clock()
        model.predict(texts)
        spent = settings.clock() - began
        tagged.append([config.stem, f"{sum(map(len, texts)) / spent:,.0f}"])
    title = "Training: tokens per second of the fastest task, without evaluation."
    return [
        Table(title, ["run", "precision", "tokens/s"], trained),
        Table("Prediction of all tasks: tokens per second.", ["run", "tokens/s"], tagged),
    ]


def curves(settings: Settings) -> list[Table]:
    """Train AWD-LSTM and AWD-QRNN one after the other, each for half of the time."""
    further = ["training.device=" + settings.device]
    if settings.tiny:
        limits = {"train": 60, "dev": 10, "test": 10}
        sizes = {"lstm": 8, "qrnn": 8}
        further += [f"corpora.wikitext2.limit.{split}={n}" for split, n in limits.items()]
        further += ["training.batch.streams=4", "training.epoch_steps=3", "training.epochs=2"]
        further += ["embedding.words.dim=8"]
    found: dict[str, list[tuple[float, float]]] = {}
    for name, own in RUNS.items():
        width = [f"trunk.hidden_size={sizes[name]}"] if settings.tiny else []
        folder = settings.folder / name
        config = ROOT / f"configs/papers/awd_{name}_wikitext2.yaml"
        command = [sys.executable, "-m", "mtl.cli.main", "train", str(config), *COMMON, *own]
        command += [*further, *width, "--output", str(folder)]
        with (settings.folder / f"{name}.txt").open("w") as messages:
            process = subprocess.Popen(command, stdout=messages, stderr=messages)
            try:
                process.wait((settings.seconds - 20) / len(RUNS))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.wait(60)
        if not (folder / "metrics.jsonl").is_file():
            lines = (settings.folder / f"{name}.txt").read_text().strip().splitlines()
            raise RuntimeError(f"{name}: " + " ".join(lines[-3:]))
        spent = 0.0
        found[name] = []
        for epoch in epochs(folder):
            spent += epoch["seconds"]
            found[name].append((spent, epoch["dev"]["next"]["perplexity"]))
    rows = [
        [name, str(epoch["epoch"] + 1), f"{spent:.0f}", f"{perplexity:.1f}"]
        for name, points in found.items()
        for epoch, (spent, perplexity) in zip(epochs(settings.folder / name), points, strict=True)
    ]
    title = "WikiText-2: perplexity of the development text over seconds of training."
    return [Table(title, ["model", "points of 250 steps", "s", "perplexity"], rows)]


SECTIONS: dict[str, tuple[Callable[[Settings], list[Table]], float]] = {
    "tests": (tests, 240),
    "kernels": (kernels, 240),
    "layers": (layers, 90),
    "speed": (speed, 330),
    "curves": (curves, TOTAL),
}
"""Section to its function and its seconds; the last one gets the time that is left."""


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def run_section(name: str, settings: Settings) -> dict[str, Any]:
    """Run a section in a process of its own; return its tables, or its error."""
    command = [sys.executable, __file__, "--section", name, "--device", settings.device]
    command += ["--seconds", str(settings.seconds), "--output", str(settings.folder.parent)]
    began = time.monotonic()
    tiny = ["--tiny"] if settings.tiny else []
    # A session of its own: at the end of the time, its own processes end with it.
    process = subprocess.Popen(
        [*command, *tiny],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        answer, errors = process.communicate(timeout=settings.seconds)
        if process.returncode:
            lines = errors.strip().splitlines() or [f"ended with {process.returncode}"]
            found = {"error": lines[-1]}
        else:
            found = {"tables": json.loads(answer.strip().splitlines()[-1])}
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        found = {"error": f"not finished within {settings.seconds:.0f} s"}
    return {"section": name, "seconds": round(time.monotonic() - began, 1), **found}


def markdown(results: Sequence[dict[str, Any]], settings: Settings) -> str:
    """Return all results as Markdown."""
    gpu = torch.cuda.get_device_name() if settings.cuda else "no GPU"
    parts = ["# A day on a GPU", f"{gpu}{', tiny sizes' if settings.tiny else ''}"]
    for result in results:
        parts.append(f"## {result['section'].capitalize()}, {result['seconds']:.0f} s")
        if "error" in result:
            parts.append(f"Error: {result['error']}")
        for found in result.get("tables", []):
            parts += [found["title"], table(found["head"], found["rows"])]
    return "\n\n".join([*parts, conditions(["torch"])]) + "\n"


def main() -> None:
    """Run all sections, or a single one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="the device: cuda, or cpu for a trial")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu_day"), help="result folder")
    parser.add_argument("--seconds", type=float, default=TOTAL, help="seconds for everything")
    parser.add_argument("--section", choices=list(SECTIONS), help="print this section as JSON")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("gpu_day: no CUDA device found; try the script with --device cpu --tiny")
    folder: Path = options.output.absolute()
    if options.section:
        place = folder / options.section
        place.mkdir(parents=True, exist_ok=True)
        settings = Settings(options.device, options.tiny, options.seconds, place)
        found = SECTIONS[options.section][0](settings)
        print(json.dumps([table_._asdict() for table_ in found]))
        return
    folder.mkdir(parents=True, exist_ok=True)
    began, results = time.monotonic(), []
    for name, (_, limit) in SECTIONS.items():
        left = options.seconds - (time.monotonic() - began)
        settings = Settings(options.device, options.tiny, min(limit, left), folder / name)
        if left < 10:
            results.append({"section": name, "seconds": 0, "error": "no time was left"})
        else:
            results.append(run_section(name, settings))
        (folder / f"{name}.json").write_text(json.dumps(results[-1], indent=1) + "\n")
        (folder / "gpu_day.md").write_text(markdown(results, settings))
        state = results[-1].get("error", "done")
        print(f"{name}: {state}, {results[-1]['seconds']:.0f} s", flush=True)
    print(f"results: {folder / 'gpu_day.md'}")


if __name__ == "__main__":
    main()
