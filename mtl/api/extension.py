"""Extension of a trained model by tasks and labels, without the data of its old tasks.

`extend` composes parts that also work alone: the new run starts from all weights of the old one
(`trunk.init`, `trunk.init_heads`), and the old model teaches the old tasks on unlabelled text
(section `distillation`; learning without forgetting, Li & Hoiem 2016).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from mtl.api.training import TrainedModel, TrainedSeeds, load, output_folder, train
from mtl.config.distillation import Distillation
from mtl.config.load import Config, Dumper, read_tree
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.data.corpus import Split
from mtl.display.reading import show_reading
from mtl.errors import MtlError, shorten
from mtl.experiment import load_corpora
from mtl.experiment.build import head_owner, target_of
from mtl.experiment.corpora import reads_pairs, tasks_of, with_data
from mtl.experiment.distillation.teachers import teachable
from mtl.experiment.distillation.text import load_text
from mtl.files import atomic_text, exists, new_folder
from mtl.runs.checkpoint import MODEL
from mtl.runs.checksums import file_checksum
from mtl.text.example import Labels

KEPT = "kept"
"""The corpus of the old tasks in the new run."""
BASE, TRAIN, DEV, GOLD = "base.yaml", "train.jsonl", "dev.jsonl", "gold.json"
SOURCES = "sources.json"
"""The checksums of all that the folder of the kept tasks was made from."""
_LEFT = {"metric", "curriculum", "processes", "track"}
"""Settings of training that name tasks of the old run, or belong to its machine."""
_TOGETHER = 1000
"""The number of sentences that are labelled at once."""
_EVERY, _MOST = 10, 1000
"""Every tenth sentence of the text is held out, up to this number."""


@dataclass(frozen=True)
class Reference:
    """Sentences on which the old and the new model are compared in one task.

    Args:
        gold: Whether the labels are gold labels; else they are predictions of the old model.
        words: The words of each sentence.
        labels: The labels of each sentence.
    """

    gold: bool
    words: Sequence[Sequence[str]]
    labels: Sequence[Labels]


@dataclass(frozen=True)
class Extended:
    """An extended model, and all that is needed to measure the tasks that it had before.

    Args:
        trained: The model, or the models of several seeds.
        before: The old model.
        references: Old task to the sentences on which it is compared.
        left_out: Old task that the new model lacks, to the reason.
    """

    trained: TrainedModel | TrainedSeeds
    before: TrainedModel
    references: Mapping[str, Reference]
    left_out: Mapping[str, str]


def extend(
    old: str | PathLike[str],
    config: Config,
    overrides: Overrides = (),
    *,
    text: Sequence[str | PathLike[str]] = (),
    output: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
    trust: bool = False,
) -> Extended:
    """Train a model with the tasks of an old one and with new tasks or labels.

    The new run extends the run of the old model: embedding, trunk and training settings are the old
    ones unless the run file sets others. Tasks of the old model that the run file lacks are kept:
    they learn the probabilities of the old model on the text. Tasks in both runs learn from the
    data of the run file alone; their head starts from the old weights, and keeps its old labels.

    The text with the labels of the old model, and the run file with all that is taken from the old
    run, are written to a folder beside the output, whose name ends in `-kept`. A later call with
    the same old model, text and tasks uses this folder again.

    Args:
        old: The folder of the old run.
        config: A run file with new tasks, or a dictionary with its content.
        overrides: As for `train`.
        text: Files of unlabelled text; every tenth sentence is held out to compare both models.
        output: The new run folder; None: `runs/` and the name of the run file.
        resume: As for `train`.
        progress: As for `train`.
        trust: As for `train`; also for the folder of the old model.

    Raises:
        MtlError: As for `train`. The old run is an ensemble. Tasks of the old model are kept, but
            there is no text. The folder of the kept tasks was made from something else.
    """
    before = load(old, trust=trust)
    run = before.experiment.run
    folder = output_folder(config, output)
    given = _tasks(config, overrides)
    left_out = {t: why for t in run.tasks if t not in given and (why := _unkept(run, t, given))}
    kept = [task for task in run.tasks if task not in given and task not in left_out]
    grown = [task for task in run.tasks if task in given and _comparable(run, task) is None]
    if not (kept or grown):
        reasons = "; ".join(f"{task}: {why}" for task, why in left_out.items())
        raise MtlError(f"{before.folder}: no task can be kept ({reasons}); use trunk.init alone")
    if kept and not text:
        raise MtlError(
            f"--text: expected unlabelled text, on which {', '.join(kept)} "
            f"{'learns' if len(kept) == 1 else 'learn'} from the old model"
        )
    for file in text:
        if not exists(Path(file), Path.is_file):
            raise MtlError(f"--text: no such file: {shorten(str(file))}")
    place = folder.with_name(f"{folder.name}-kept")
    sources = _sources(before, kept, grown, text)
    if not exists(place):
        _write(before, place, kept, grown, text, sources)
    elif not _is_made_from(place, sources):
        raise MtlError(
            f"{place}: is from another old model, other text or other tasks; remove it, or choose "
            "another --output"
        )
    base = {"extends": [str(place / BASE), *_extends(config)]}
    content = {**config, **base} if isinstance(config, Mapping) else base
    trained = train(
        content, overrides, output=folder, resume=resume, progress=progress, trust=trust
    )
    references = _references(before, place, [*kept, *grown])
    return Extended(trained, before, references, left_out)


def _extends(config: Config) -> list[str]:
    """Return the files that the new run extends, after the base."""
    if not isinstance(config, Mapping):
        return [str(Path(config).absolute())]
    extends = config.get("extends", [])
    return [extends] if isinstance(extends, str) else list(extends)


def _tasks(config: Config, overrides: Overrides) -> set[str]:
    """Return the names of the tasks of a run file, before anything else of it is checked."""
    tasks = read_tree(config, overrides)[1].value.get("tasks")
    if tasks is None or not tasks.is_mapping:
        raise MtlError("tasks: expected the new tasks, or old tasks with new labels")
    return {name for name, node in tasks.value.items() if node.value and "use" in node.value}


def _comparable(run: Run, task: str) -> str | None:
    """Return the reason why a task cannot be compared on text; None if it can."""
    return "it compares two sentences" if reads_pairs(run, task) else teachable(run, task)


def _unkept(run: Run, task: str, given: set[str]) -> str | None:
    """Return the reason why an old task cannot be kept; None if it can."""
    owner = head_owner(run, task)
    if owner != task and owner in given:
        return f"it shares the head of {owner}, which learns from new data"
    return _comparable(run, task)


# ---- the corpus of the kept tasks


def _sources(
    before: TrainedModel,
    kept: Sequence[str],
    grown: Sequence[str],
    files: Sequence[str | PathLike[str]],
) -> dict[str, Any]:
    """Return all that the folder of the kept tasks is made from, files by their checksums."""
    return {
        "model": file_checksum(before.folder / MODEL),
        "folder": str(before.folder.absolute()),
        "text": [file_checksum(Path(file)) for file in files],
        "kept": list(kept),
        "grown": list(grown),
    }


def _is_made_from(place: Path, sources: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads((place / SOURCES).read_text(encoding="utf-8")) == sources)
    except (OSError, ValueError):
        return False


def _write(
    before: TrainedModel,
    place: Path,
    kept: Sequence[str],
    grown: Sequence[str],
    files: Sequence[str | PathLike[str]],
    sources: Mapping[str, Any],
) -> None:
    """Write the labelled text and the base of the new run into a folder."""
    run, tasks = before.run, [*kept, *grown]
    by_corpus = {run.tasks[task].corpus: tasks_of(run, run.tasks[task].corpus) for task in tasks}
    compared: list[dict[str, Any]] = []
    for corpus, every in by_corpus.items():
        compared += _dev(run, corpus, [task for task in every if task in tasks])
    gold = [task for task in tasks if any(task in row for row in compared)]
    with new_folder(place) as folder:
        train: list[dict[str, Any]] = []
        held: list[dict[str, Any]] = []
        if files:
            for i, row in enumerate(_labelled(before, tasks, files)):
                hold = i % _EVERY == _EVERY - 1 and len(held) < _MOST
                (held if hold else train).append(row)
            if not train:
                raise MtlError("--text: has no sentences")
        # Each task is compared on gold labels if it has some, else on labels of the old model.
        plain = [task for task in tasks if task not in gold]
        compared += [{key: row[key] for key in ("tokens", *plain)} for row in held if plain]
        for name, rows in ((TRAIN, train), (DEV, compared)):
            with atomic_text(folder / name) as file:
                file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        for name, own in ((GOLD, gold), (SOURCES, sources)):
            with atomic_text(folder / name) as file:
                json.dump(own, file)
        content = _base(before, kept, grown, has_dev=bool(compared))
        with atomic_text(folder / BASE) as file:
            yaml.dump(content, file, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def _base(
    before: TrainedModel, kept: Sequence[str], grown: Sequence[str], *, has_dev: bool
) -> dict[str, Any]:
    """Return the part of the new run that comes from the old one."""
    run, old = before.run, str(before.folder.absolute())
    written = run.model_dump(mode="json")
    start = {"init": old, "init_heads": True} | ({"keep_labels": True} if grown else {})
    content: dict[str, Any] = {
        "embedding": written["embedding"],
        "trunk": {**written["trunk"], **start},
        "training": {k: v for k, v in written["training"].items() if k not in _LEFT},
        "tasks": {task: {"head": written["tasks"][task]["head"]} for task in grown},
    }
    if kept:
        files = {"train": [TRAIN], **({"dev": [DEV]} if has_dev else {})}
        parts = {task: written["tasks"][task] for task in kept}
        own = {
            task: {
                "labels": task,
                "scheme": run.tasks[task].scheme,
                # A head that another task owns is named in the run alone.
                "head": written["tasks"][head_owner(run, task)]["head"],
                "metric": part["metric"],
            }
            for task, part in parts.items()
        }
        content["corpora"] = {KEPT: {"reader": {"type": "jsonl"}, "files": files, "tasks": own}}
        shown = ("head", "layer", "lr")
        content["tasks"] |= {
            task: {"use": f"{KEPT}/{task}", **{name: part[name] for name in shown}}
            for task, part in parts.items()
        }
        # The predicted labels only fill the corpus: its tasks learn from probabilities.
        none: dict[str, list[str]] = {task: [] for task in grown}
        content["distillation"] = {"teachers": [old], "match": none, "gold": 0.0}
    return content


def _labelled(
    before: TrainedModel, tasks: Sequence[str], files: Sequence[str | PathLike[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the sentences of files, with the labels that the old model predicts."""
    paths = [str(Path(file).absolute()) for file in files]
    options = Distillation(teachers=[str(before.folder)], text=paths)
    run = before.run.model_copy(update={"distillation": options})
    corpus = load_text(run, tasks, show_reading)
    assert corpus
    split = corpus.splits["train"]
    for first in range(0, len(split), _TOGETHER):
        words = split.words(first, min(first + _TOGETHER, len(split)))
        labels = before.predict(words, tasks)
        for i, tokens in enumerate(words):
            yield {"tokens": list(tokens), **{task: labels[task][i] for task in tasks}}


def _dev(run: Run, corpus: str, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return the development set of a corpus with its gold labels of some tasks."""
    split = _dev_split(run, corpus, tasks)
    return [
        {"tokens": list(example.tokens)}
        | {
            task: target_of(run, task).plain(example.labels[task])
            for task in tasks
            if task in example.labels
        }
        for example in split or ()
    ]


def _dev_split(run: Run, name: str, tasks: Sequence[str]) -> Split | None:
    """Return the development set of a corpus; None if its files are not there any more."""
    corpus = run.corpora[name]
    if "dev" not in corpus.split_names:
        return None
    files = {split: [Path(file) for file in own] for split, own in corpus.files.items()}
    if all(exists(path, Path.is_file) for own in files.values() for path in own):
        every = {task: run.tasks[task] for task in tasks_of(run, name)}
        there = run.model_copy(update={"corpora": {name: corpus}, "tasks": every})
    else:
        own = files.get("dev", [])
        if len(own) != 1 or not exists(own[0], Path.is_file):
            return None
        # A corpus needs training data, and the training data of the old run may be gone.
        there, _ = with_data(run, "dev", {name: own[0]}, tasks)
    return load_corpora(there, progress=show_reading)[name].splits["dev"]


def _references(before: TrainedModel, place: Path, tasks: Sequence[str]) -> dict[str, Reference]:
    """Return task to the sentences on which both models are compared, from the written files."""
    gold = json.loads((place / GOLD).read_text(encoding="utf-8"))
    lines = (place / DEV).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = {}
    for task in tasks:
        own = [row for row in rows if row.get(task) is not None]
        target = target_of(before.run, task)
        labels = [target.read(row[task], None) for row in own]
        found[task] = Reference(
            task in gold,
            [row["tokens"] for row in own],
            [value for value in labels if value is not None],
        )
    return {task: reference for task, reference in found.items() if reference.words}
