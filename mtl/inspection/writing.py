"""Writing the corpus file and the run file of a plan, with comments."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from mtl.config.load import Dumper
from mtl.errors import MtlError, shorten
from mtl.files import all_or_none
from mtl.inspection.columns import TaskPlan
from mtl.inspection.plan import CorpusPlan
from mtl.options import count

_STEPS = 1500
"""Number of training steps that a small model needs, about."""
_LABELS_SHOWN = 8


def write_files(plan: CorpusPlan, name: str, folder: Path, *, force: bool = False) -> list[Path]:
    """Write `tasks/NAME.yaml`, the corpus file, and `NAME.yaml`, the run file.

    Args:
        plan: The plan.
        name: The name of the corpus and of the run.
        folder: The folder of the run file.
        force: Whether to replace existing files.

    Returns:
        The run file and the corpus file.

    Raises:
        MtlError: A file exists already or cannot be written, or the name has characters other
            than letters, digits, _, - and dots.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise MtlError(f"--name: expected letters, digits, _, - and dots, got {name!r}")
    run, corpus = folder / f"{name}.yaml", folder / "tasks" / f"{name}.yaml"
    for path in (run, corpus):
        if path.exists() and not force:
            raise MtlError(
                f"{path}: exists already; choose another --name, or replace it with --force"
            )
    corpus.parent.mkdir(parents=True, exist_ok=True)
    with all_or_none() as write:
        write(corpus, corpus_text(plan, name, corpus.parent))
        write(run, run_text(plan, name))
    return [run, corpus]


def corpus_text(plan: CorpusPlan, name: str, folder: Path) -> str:
    """Return the corpus file of a plan; `folder` is its folder."""
    lines = [
        f"# The corpus {name}: its files, their format, and a task per kind of label.",
        f"title: {_yaml(name)}",
        f"reader: {_yaml({'type': plan.format.reader, **plan.format.options})}",
        "files:                       # relative to this file",
    ]
    for split, paths in plan.files.items():
        names = [_relative(path, folder) for path in paths]
        lines.append(f"  {split}: {_yaml(names[0] if len(names) == 1 else names)}")
    if plan.splits:
        lines.append(
            f"splits: {_yaml(plan.splits)}  # cut from the training data, the same in every run"
        )
    lines.append("tasks:")
    for task, its in plan.tasks.items():
        lines.append(
            f"  {_yaml(task)}:{' ' * max(1, 26 - len(task))}# {its.description}{_counts(its)}"
        )
        lines.append(f"    labels: {_yaml(its.labels)}")
        if its.scheme:
            lines.append(f"    scheme: {its.scheme}")
        lines.append(f"    head: {_yaml(its.head)}")
        lines.append(f"    metric: {its.metric}")
    lines += (f"# No task for {column!r}: {reason}." for column, reason in plan.skipped.items())
    return "\n".join(lines) + "\n"


def run_text(plan: CorpusPlan, name: str) -> str:
    """Return the run file of a plan."""
    batch = 32 if plan.sentences >= 5000 else 16 if plan.sentences >= 800 else 8
    steps = math.ceil(0.9 * plan.sentences / batch)
    epochs = min(100, max(10, math.ceil(_STEPS / max(1, steps))))
    if plan.pretrained:
        init = f"{'  init: english':<28} # start from the pretrained model for English"
    else:
        init = f"{'  # init: english':<28} # for English text, remove the # before init"
    tasks = "\n".join(f"  {_yaml(task)}: {{use: {name}/{task}}}" for task in plan.tasks)
    sharing = (
        "sharing: hard                # all tasks read one trunk; see docs/sharing.md for others\n"
        if len(plan.tasks) > 1
        else ""
    )
    return f"""\
# Check:  mtl check {name}
# Train:  mtl train {name}
# Label:  mtl predict runs/{name} FILE
# A key can be changed for one run: mtl train {name} training.epochs=5
seed: 1
embedding:
  words: {{dim: 100, min_count: {2 if plan.tokens > 20_000 else 1}, dropout: 0.2}}
  characters: {{type: cnn, dim: 30, filters: 50}}
  affixes: {{dim: 20}}
trunk:
  type: qrnn                 # `mtl list trunks` shows the others
  window: 2
  num_layers: 1
  hidden_size: 200
  bidirectional: true
  dropout: 0.4
{init}
{sharing}tasks:
{tasks}
training:
  epochs: {epochs:<18} # {plan.sentences:,} sentences, about {steps:,} steps per epoch
  batch: {{sentences: {batch}}}
  optimizer: {{type: adam, lr: 0.002}}
  clip_norm: 5.0
  patience: {max(5, epochs // 4):<16} # stop after this many epochs without a better dev score
"""


def _relative(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, or the absolute path of a file in another place."""
    path, beside = path.absolute(), folder.absolute().parent
    return os.path.relpath(path, folder) if path.is_relative_to(beside) else str(path)


def _counts(task: TaskPlan) -> str:
    """Return the labels with their counts, the most frequent first."""
    if not task.counts:
        return ""
    shown = [
        f"{shorten(' '.join(label.split()), 30)} ({count:,})"
        for label, count in task.counts.most_common(_LABELS_SHOWN)
    ]
    rest = len(task.counts) - len(shown)
    return f": {', '.join(shown)}" + (f" and {rest:,} more" if rest else "")


def _yaml(value: Any) -> str:
    """Return a value in the flow style of YAML, with quotes only where they are needed."""
    # In a list, a string has no end-of-document mark after it.
    text: str = yaml.dump(
        [value],
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=math.inf,
    )
    return text.strip()[1:-1]


def describe(plan: CorpusPlan) -> Iterable[str]:
    """Yield a summary of a plan, line by line."""
    first = plan.files["train"][0]
    yield f"{first}: {plan.format.description}; {plan.sentences:,} sentences, {plan.tokens:,} words"
    if plan.inspected < plan.sentences:
        yield f"note: labels are recognised and counted in {plan.inspected:,} of the sentences"
    for split, paths in plan.files.items():
        if split != "train" or len(paths) > 1:
            yield f"{split}: {', '.join(map(str, paths))}"
    for split, share in plan.splits.items():
        yield (
            f"no {split} file: {share} of the {plan.sentences:,} sentences become the {split} set"
        )
    for task, its in plan.tasks.items():
        without = f"; {count(its.unlabelled, 'sentence')} without a label" if its.unlabelled else ""
        yield f"task {task}: {its.description}{_counts(its)}{without}"
        if its.note:
            yield f"note: task {task}: {its.note}"
    for column, reason in plan.skipped.items():
        yield f"no task for {column!r}: {reason}"
    share = f"{plan.english:.0%} of the words are frequent words of English"
    if plan.pretrained:
        yield f"start: from the pretrained model english, because {share}"
    else:
        yield f"start: from random weights, because only {share}; see init: in the run file"
