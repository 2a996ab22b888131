"""A metric, reader, sharing, head and weighting of the user's own, from training to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import mtl

PARTS = '''
from collections.abc import Iterator
from typing import Annotated, TypedDict

import torch

from mtl.data.readers import Reader, Record
from mtl.errors import OptionError
from mtl.heads import PoolClassifier
from mtl.metrics import Metric
from mtl.options import Default, PositiveFloat, Requires
from mtl.sharing import Hard
from mtl.weighting import Static


class Dice(Reader):
    """Two sentences and a label per line, with a bar between them.

    Args:
        bar: The separator.
        doubled: Whether the second sentence is a column of its own.
    """

    def __init__(self, *, bar: str = "|", doubled: bool = True) -> None:
        self.bar = bar
        self.doubled = doubled

    @classmethod
    def pairs(cls, options):
        return options["doubled"]

    def read(self, path) -> Iterator[Record]:
        for line, text in enumerate(path.read_text().splitlines(), 1):
            first, second, label = text.split(self.bar)
            yield Record(first.split(), {"same": label}, line=line, pair=second.split())


class Errors(Metric):
    """The number of wrong labels (\N{EN DASH}).

    Args:
        each: The cost of an error.
    """

    higher_is_better = False
    unit = "plain"

    def __init__(self, *, each: PositiveFloat = 1.0) -> None:
        self.each = each
        self.wrong = 0

    @classmethod
    def check(cls, options, context):
        if options["each"] > 5:
            yield OptionError("each", f"too expensive for {context.task}")

    def update(self, gold, predicted):
        self.wrong += sum(a != b for a, b in zip(gold, predicted, strict=True))

    def compute(self):
        return {"errors": self.each * self.wrong}

    def merge(self, other):
        self.wrong += other.wrong


class Recipe(TypedDict, total=False):
    """Options that the class method reads.

    Args:
        leader: The task that comes first.
    """

    leader: Annotated[str | None, Default(None)]


class Led(Hard):
    """Hard sharing with a task that leads (\N{EN DASH}).

    Args:
        tasks: The names of all tasks.
        make_trunk: Returns a trunk.
        followers: The other tasks.
        strength: How much it leads.
    """

    recipe = Recipe
    min_tasks = 2

    def __init__(
        self,
        tasks,
        make_trunk,
        *,
        followers: list[str] | None = None,
        strength: Annotated[PositiveFloat, Requires("followers")] = 1.0,
    ) -> None:
        super().__init__(tasks, make_trunk)
        self.register_buffer("strength", torch.tensor(strength))

    @classmethod
    def check(cls, options, context):
        if options["leader"] is not None and options["leader"] not in context.tasks:
            yield OptionError("leader", "there is no such task")


class Careful(PoolClassifier):
    """A classifier that is for pairs alone (\N{EN DASH}).

    Args:
        in_features: Width H.
        labels: The labels.
        care: Divides the scores.
    """

    def __init__(self, in_features, labels, *, care: PositiveFloat = 2.0) -> None:
        super().__init__(in_features, labels)
        self.care = care

    @classmethod
    def check(cls, options, context):
        yield from super().check(options, context)
        if context.task not in context.pairs:
            yield OptionError("", "needs pairs of sentences")

    def scores_of(self, vectors):
        return super().scores_of(vectors) / self.care


class Loud(Static):
    """Static weights times a factor (\N{EN DASH}).

    Args:
        tasks: Task to weight.
        factor: The factor.
    """

    def __init__(self, tasks, *, factor: PositiveFloat = 2.0) -> None:
        super().__init__(tasks)
        self.factor = factor

    @classmethod
    def check(cls, options, context):
        if len(context.scored) < len(context.tasks):
            yield OptionError("factor", "every task must have a dev split")

    def weights(self):
        return {task: self.factor * weight for task, weight in self.tasks.items()}
'''
RUN = """\
embedding: {words: {dim: 8}}
trunk: {type: lstm, num_layers: 1, hidden_size: 8}
sharing: {type: own_parts:Led, leader: same}
weighting: own_parts:Loud
corpora:
  dice:
    reader: own_parts:Dice
    files: {train: train.txt, dev: dev.txt, test: dev.txt}
    tasks:
      same: {labels: same, head: {type: own_parts:Careful}, metric: {type: own_parts:Errors}}
tasks:
  same: {use: dice/same}
  again: {use: dice/same, head: {type: own_parts:Careful, care: 1.5, compare: [difference]}}
training: {epochs: 2, batch: {sentences: 4}}
"""


@pytest.fixture
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_parts.py").write_text(PARTS, encoding="utf-8")
    (tmp_path / "run.yaml").write_text(RUN, encoding="utf-8")
    for name in ("train", "dev"):
        rows = [f"roll a {i % 3}|roll a {i % 2}|{'yes' if i % 6 < 2 else 'no'}" for i in range(24)]
        (tmp_path / f"{name}.txt").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


pytestmark = pytest.mark.usefixtures("_project")


def test_parts_of_ones_own_train_score_and_report() -> None:
    result = mtl("train", "run.yaml", "--output", "out")
    assert result.code == 0, result.err
    assert "errors" in result.err
    records = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if record["type"] == "step"]
    assert steps[0]["weights"] == {"same": 2.0, "again": 2.0}
    scores = json.loads(mtl("evaluate", "out", "--json").out)
    errors = scores["same"]["errors"]
    assert errors in range(25)
    # A plain number is shown as it is, in every table.
    for command in (("evaluate", "out"), ("report", "out")):
        assert f"{errors:.2f}" in mtl(*command).out
    row = next(line for line in mtl("report", "out").out.splitlines() if "same" in line)
    assert f"{100 * errors:.2f}" not in row or not errors


def test_labels_are_predicted_for_pairs_of_their_reader() -> None:
    assert mtl("train", "run.yaml", "--output", "out").code == 0
    result = mtl("predict", "out", stdin="roll a 1\troll a 1\n")
    assert result.code == 0, result.err


def test_each_task_alone_is_a_run_that_their_sharing_allows() -> None:
    command = ("relate", "run.yaml", "--epochs", "1", "--seeds", "1", "--limit", "8")
    result = mtl(*command, "--output", "r", "sharing.followers=[again]")
    assert result.code == 0, result.err
    alone, both = (Path(f"r/{n}/seed-1/run.yaml").read_text() for n in ("same", "same+again"))
    assert "own_parts:Led" in both
    assert "own_parts:Led" not in alone
    assert "type: hard" in alone


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "tasks.same.metric={type: own_parts:Errors, each: 6}",
            "tasks.same.metric.each: too expensi",
        ),
        ("sharing.leader=smae", "sharing.leader: there is no such task"),
        ("sharing.strength=2", "sharing.strength: has no effect unless followers is set"),
        ("tasks.same.head.care=0", "tasks.same.head.care: expected a number above 0, got 0"),
        ("tasks.same.target=1000", ""),
        ("corpora.dice.reader.doubled=false", "tasks.same.head: 'own_parts:Careful': needs pairs"),
        ("corpora.dice.files.dev=null", "weighting.factor: every task must have a dev"),
        ("training.mixing=progress", "tasks.same.target: 'own_parts:Errors' has no best value"),
    ],
)
def test_their_checks_are_made_before_training(override: str, message: str) -> None:
    result = mtl("check", "run.yaml", override)
    assert message in result.err
    assert result.code == (2 if message else 0), result.err
