"""Random combinations of parts and options: each one trains and reloads, or is refused.

`MTL_COMBINATIONS=2000 pytest -m slow tests/contracts/test_combinations.py` tries more of them, and
prints the counts with `-s`.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
import re
import shutil
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

import mtl
from mtl.errors import MtlError
from mtl.experiment import KINDS
from mtl.options import Option, options_of
from mtl.registry import Registry
from mtl.targets import (
    LabelSetTarget,
    NextWordTarget,
    NumberTarget,
    SentenceLabelTarget,
    Target,
    TokenLabelTarget,
    TokenNumberTarget,
    TokenSetTarget,
)
from tests.contracts.test_options import BASE, others

COUNT = int(os.environ.get("MTL_COMBINATIONS", "60"))

WORDS = ["the", "red", "dog", "sees", "Ann", "in", "Rome", "2019", "quickly", "."]
Row = dict[str, Any]
Options = dict[str, Any]


def _token_row(rng: random.Random) -> Row:
    words = rng.choices(WORDS, k=rng.randint(1, 7))
    names = ["B-PER" if w == "Ann" else "B-LOC" if w == "Rome" else "O" for w in words]
    return {
        "tokens": words,
        "pos": [w[-1].upper() for w in words],
        "ner": names,
        "sets": ["a|b" if len(w) > 3 else "a" for w in words],
        "sizes": [str(len(w)) for w in words],
    }


def _text_row(rng: random.Random) -> Row:
    words = rng.choices(WORDS, k=rng.randint(2, 8))
    return {
        "text": " ".join(words),
        "kind": rng.choice(["good", "bad", "odd"]),
        "tags": rng.choice(["x", "y", "x|y"]),
        "stars": str(rng.randint(1, 5)),
    }


def _data() -> dict[str, Any]:
    rng = random.Random(0)
    return {
        "words": {s: [_token_row(rng) for _ in range(12)] for s in ("train", "dev", "test")},
        "texts": {s: [_text_row(rng) for _ in range(12)] for s in ("train", "dev", "test")},
    }


DATA = _data()
TEXTS = [row["tokens"] for row in DATA["words"]["test"]]
CORPORA: dict[str, Any] = {
    "words": {
        "tasks": {
            "pos": {"labels": "pos", "head": {"type": "softmax"}, "metric": "accuracy"},
            "ner": {
                "labels": "ner",
                "scheme": "bio",
                "head": {"type": "crf"},
                "metric": "span_f1",
            },
            "sets": {
                "labels": {"column": "sets", "form": "token_set", "separator": "|"},
                "head": {"type": "softmax"},
                "metric": "set_f1",
            },
            "sizes": {
                "labels": {"column": "sizes", "form": "token_number"},
                "head": {"type": "softmax"},
                "metric": "pearson",
            },
            "next": {"labels": {"text": "next"}, "head": {"type": "lm"}, "metric": "perplexity"},
        }
    },
    "texts": {
        "tasks": {
            "kind": {"labels": "kind", "head": {"type": "cnn"}, "metric": "accuracy"},
            "tags": {
                "labels": {"column": "tags", "form": "set", "separator": "|"},
                "head": {"type": "pool"},
                "metric": "set_f1",
            },
            "stars": {
                "labels": {"column": "stars", "form": "number"},
                "head": {"type": "attention"},
                "metric": "pearson",
            },
        }
    },
}
TASKS = [f"{corpus}/{task}" for corpus, own in CORPORA.items() for task in own["tasks"]]
SMALL: Mapping[str, Any] = {"hidden_size": 8, "dim": 6, "num_layers": 2, "filters": 4, "cycles": 1}
"""Sizes, so that a step takes milliseconds."""
LISTS = Path(__file__).parents[1] / "fixtures" / "gazetteers"
REQUIRED: Mapping[tuple[str, str], Options] = {
    ("embedding", "gazetteers"): {
        "lists": {file.stem: str(file) for file in sorted(LISTS.iterdir())}
    }
}
"""Options that a part needs in a run."""
SLOTS = {"cnn": "characters", "lstm": "characters"}
"""The slot of an embedding, if it has another name."""
KEY = re.compile(r"(?:^|\]: |config: )([a-z_]+(?:\.\w+)*): ", re.MULTILINE)
"""The key that a message of a refusal names."""
TARGETS: Mapping[str, type[Target]] = {
    "pos": TokenLabelTarget,
    "ner": TokenLabelTarget,
    "sets": TokenSetTarget,
    "sizes": TokenNumberTarget,
    "next": NextWordTarget,
    "kind": SentenceLabelTarget,
    "tags": LabelSetTarget,
    "stars": NumberTarget,
}
UNREACHED = {
    ("training", "patience"),
    ("training", "clip_norm"),
    ("weighting", "alpha"),  # of gradnorm: the first steps follow the sign of a difference
    ("weighting", "bound"),
    ("weighting", "smoothness"),
    ("training", "precision"),  # the layers of some runs are all computed in float32
    ("training", "schedule", "points"),
    ("training", "schedule", "rise"),
    ("training", "mixing", "temperature"),
}
"""Limits and shares, which may change nothing in two steps on corpora of equal size."""
SHARINGS = [name for name in KINDS["sharing"] if name not in ("easy_adapt", "progressive")]
"""All but those for tasks with one head, and for runs that start from another one."""
TIMES = {"seconds", "tokens_per_second"}
"""Keys of the log whose values differ each time."""
SMALL_TRUNK = {"num_layers": 1, "hidden_size": 8}
TRAINING: Mapping[str, list[Any]] = {
    "accumulate": [2],
    "clip_norm": [None, 0.1],
    "decay_biases": [False],
    "precision": ["bf16"],
    "overlap": [2],
    "average": [{"type": "exponential"}, {"type": "asgd"}],
    "patience": [1],
}


def _fits(option: Option, value: Any) -> bool:
    try:
        TypeAdapter(option.annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def random_part(kind: str, name: str, rng: random.Random, most: int = 2) -> Options:
    """Return a part with small sizes and up to `most` options away from their defaults."""
    options = {option.name: option for option in options_of(KINDS[kind].find(name))}
    base = {**BASE.get((kind, name), {}), **REQUIRED.get((kind, name), {})}
    base |= {key: value for key, value in SMALL.items() if key in options and key not in base}
    known = [option for option in options.values() if option.name not in base]
    for option in rng.sample(known, min(len(known), rng.randint(0, most))):
        if values := [value for value in others(option) if _fits(option, value)]:
            base[option.name] = rng.choice(values)
    return {"type": name, **base}


def _chosen(registry: Registry[Any], rng: random.Random) -> str:
    return rng.choice(list(registry))


def _heads(task: str) -> list[str]:
    """Return the heads that accept the labels of a task."""
    return [name for name, head in KINDS["head"].items() if head.accepts(TARGETS[task])]


def combination(rng: random.Random) -> Options:
    """Return a random run, whose tasks are called a, b and c."""
    tasks = rng.sample(TASKS, rng.randint(1, 3))
    slots = rng.sample(list(KINDS["embedding"]), rng.randint(1, 2))
    if "words/next" in tasks and "words" not in slots:
        slots.append("words")
    own = {
        name: {
            "use": task,
            "head": random_part("head", rng.choice(_heads(task.partition("/")[2])), rng),
        }
        for name, task in zip("abc", tasks, strict=False)
    }
    trunk = random_part("trunk", _chosen(KINDS["trunk"], rng), rng, 3)
    training = {
        "epochs": 1,
        "epoch_steps": 2,
        "batch": {"sentences": 6},
        "max_length": 9,
        "overlap": 0,
        "threads": 1,
        "device": "cpu",
        "mixing": random_part("mixing", _chosen(KINDS["mixing"], rng), rng),
        "optimizer": random_part("optimizer", _chosen(KINDS["optimizer"], rng), rng),
        "schedule": random_part("schedule", _chosen(KINDS["schedule"], rng), rng),
    }
    if "words/next" in tasks and len(tasks) > 1:
        training["metric"] = f"{'abc'[tasks.index('words/next')]}.perplexity"
    for key in rng.sample(list(TRAINING), rng.randint(0, 2)):
        training[key] = rng.choice(TRAINING[key])
    return {
        "seed": 1,
        "corpora": {c: CORPORA[c] for c in CORPORA if any(t.startswith(c) for t in tasks)},
        "embedding": {SLOTS.get(s, s): random_part("embedding", s, rng) for s in slots},
        "trunk": trunk,
        "sharing": random_part("sharing", rng.choice(SHARINGS), rng),
        "weighting": random_part("weighting", _chosen(KINDS["weighting"], rng), rng),
        "tasks": own,
        "training": training,
    }


def trained(run: Options, folder: Path) -> mtl.TrainedModel | str:
    """Return the model after two steps, or the message of the refusal."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        data = {corpus: DATA[corpus] for corpus in run["corpora"]}
        model = mtl.train(run, data=data, output=folder, progress=False)
    except MtlError as error:
        return str(error)
    assert isinstance(model, mtl.TrainedModel)
    return model


def repaired(run: Options, message: str) -> Options:
    """Return a run without the keys that a refusal names."""
    run = copy.deepcopy(run)
    for line in message.splitlines():
        place: Any = run
        *parents, last = KEY.findall(line)[0].split(".")
        for name in parents:
            place = place.get(name, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):
            place.pop(last, None)
    run.setdefault("trunk", {"type": "lstm", **SMALL_TRUNK})
    return run


def accepted(run: Options, folder: Path) -> tuple[Options, mtl.TrainedModel | str]:
    """Train a run; after a refusal, without the keys that it names, at most four times."""
    for _ in range(4):
        model = trained(run, folder)
        if not isinstance(model, str):
            return run, model
        assert model.strip()
        if not KEY.search(model):
            break
        run = repaired(run, model)
    return run, trained(run, folder)


def alike(one: Any, two: Any) -> bool:
    """Return whether predictions are equal, apart from the rounding of numbers."""
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(alike(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        if one and all(isinstance(own, float) for own in one):  # sums of terms of the largest size
            largest = max(map(abs, one))
            return len(one) == len(two) and np.allclose(
                one, two, rtol=1e-3, atol=1e-4 + 1e-5 * largest
            )
        return len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, float):
        return math.isclose(one, two, rel_tol=1e-3, abs_tol=1e-4)
    return bool(one == two)


def predictable(run: Options) -> list[str]:
    """Return the tasks that label texts."""
    return [task for task, own in run["tasks"].items() if not own["use"].endswith("/next")]


def check(run: Options, model: mtl.TrainedModel, folder: Path) -> None:
    """Evaluate and reload a model; batches and padding change nothing."""
    assert model.evaluate("test", data=held_out(run))
    if tasks := predictable(run):
        before = model.predict(TEXTS, tasks=tasks)
        again = mtl.load(folder)
        assert alike(again.predict(TEXTS, tasks=tasks), before)
        alone = [again.predict([text], tasks=tasks) for text in TEXTS]
        assert alike({t: [own[t][0] for own in alone] for t in tasks}, before)


def held_out(run: Options) -> dict[str, Any]:
    return {name: DATA[name]["test"] for name in run["corpora"]}


def done(run: Options, model: mtl.TrainedModel, folder: Path) -> list[str]:
    """Return all that training and prediction have made, as texts that compare exactly."""
    weights = model.networks[0].state_dict()
    tasks = predictable(run)
    labelled = model.annotate(TEXTS, tasks=tasks, confidence=True) if tasks else []
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        repr({name: value.tolist() for name, value in weights.items()}),
        repr(model.evaluate("test", data=held_out(run))),
        repr([p.to_dict() for p in labelled]),
        repr([without_times(event) for event in log]),
    ]


def without_times(value: Any) -> Any:
    """Return an event of the log without its times, which differ each time."""
    if isinstance(value, dict):
        return {key: without_times(own) for key, own in value.items() if key not in TIMES}
    return value


def is_noted(place: tuple[str, ...], folder: Path) -> bool:
    """Return whether the log of a run has a note on an option or on its part."""
    log = (folder / "log.txt").read_text()
    return any(f"note: {'.'.join(path)}:" in log for path in (place, place[:-1]))


def is_default(run: Options, place: tuple[str, ...]) -> bool:
    """Return whether an option has its default, or another name for it."""
    part, name = value_at(run, place[:-1]), place[-1]
    if not isinstance(part, dict) or "type" not in part:
        return False
    kind = {"tasks": "head", "training": place[1]}.get(place[0], place[0])
    options = {option.name: option for option in options_of(KINDS[kind].find(part["type"]))}
    if (part["type"], name) == ("transformer", "relative_positions"):  # null: false without `name`
        return part[name] is False
    if (part["type"], name) == ("deep_cnn", "widths"):  # a width for all levels, or one for each
        return set(part[name]) == set(options[name].default)
    # Options of vocabularies are not in the signature of the embedding.
    return name in options and bool(part[name] == options[name].default)


def choices(run: Options) -> list[tuple[str, ...]]:
    """Return the places of the options of a run that were chosen at random."""
    parts: list[tuple[str, ...]] = [("trunk",), ("sharing",), ("weighting",)]
    parts += [("embedding", slot) for slot in run["embedding"]]
    parts += [("tasks", task, "head") for task in run["tasks"]]
    parts += [("training", name) for name in ("mixing", "optimizer", "schedule")]
    found = [("training", name) for name in TRAINING if name in run["training"]]
    for part in parts:
        options = value_at(run, part) or {}
        found += [(*part, name) for name in options if name != "type" and name not in SMALL]
    return [place for place in found if place not in UNREACHED and not is_default(run, place)]


def value_at(run: Options, place: tuple[str, ...]) -> Any:
    value: Any = run
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def combinations(count: int) -> Iterator[Options]:
    """Yield random runs."""
    rng = random.Random(5)
    for _ in range(count):
        yield combination(rng)


def is_idle(run: Options, model: mtl.TrainedModel, place: tuple[str, ...], folder: Path) -> bool:
    """Return whether an option of a run changes nothing."""
    other = copy.deepcopy(run)
    del value_at(other, place[:-1])[place[-1]]
    without = trained(other, folder / "without")
    if isinstance(without, str):
        return False
    before = done(run, model, folder / "run")
    return before == done(other, without, folder / "without")


@pytest.mark.slow
def test_an_option_that_changes_nothing_is_found(tmp_path: Path) -> None:
    """The comparison sees equal runs as equal, and other ones as different."""
    torch.set_num_threads(1)
    runs = (accepted(run, tmp_path / "run") for run in combinations(COUNT))
    run = next(own for own, model in runs if isinstance(model, mtl.TrainedModel))
    for place, value, idle in (("training", "accumulate"), 1, True), (("seed",), 2, False):
        own = copy.deepcopy(run)
        value_at(own, place[:-1])[place[-1]] = value
        again = trained(own, tmp_path / "run")
        assert isinstance(again, mtl.TrainedModel)
        assert is_idle(own, again, place, tmp_path) is idle


@pytest.mark.slow
def test_random_combinations_train_and_reload_or_are_refused(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    rng = random.Random(6)
    crashes, idle = [], []
    for number, run in enumerate(combinations(COUNT)):
        try:
            own, model = accepted(run, tmp_path / "run")
            if isinstance(model, str):
                counts[model] += 1
                continue
            check(own, model, tmp_path / "run")
            counts["trained"] += 1
            if places := choices(own):
                place = rng.choice(places)
                if is_idle(own, model, place, tmp_path) and not is_noted(place, tmp_path / "run"):
                    part = value_at(own, place[:-1])
                    of = part.get("type") if isinstance(part, dict) else None
                    idle.append(f"{number}: {'.'.join(place)} of {of}: {value_at(own, place)!r}")
        except Exception:
            crashes.append(f"{number}: {run}\n{traceback.format_exc()}")
    print(f"{counts.pop('trained')} of {COUNT} trained, {len(crashes)} crashed, {len(idle)} idle")
    for message, times in counts.most_common():
        print(f"{times:5}  {message}")
    print("without effect:", *idle, sep="\n")
    assert not crashes, f"{len(crashes)} of {COUNT}\n" + "\n".join(crashes[:5])
    assert not idle, f"{len(idle)} options change nothing\n" + "\n".join(idle)
    assert sum(counts.values()) < COUNT / 4
