"""The search, with trials that return scores of a formula in place of processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("optuna", reason="the package optuna is not installed")

import mtl
from mtl.config.run import Run
from mtl.errors import MtlError
from mtl.experiment import load_config
from mtl.experiment.config import load_search_space
from mtl.tuning import search
from mtl.tuning.settings import TuneSettings
from mtl.tuning.study import SharedStudy
from mtl.tuning.trial import RunningTrial

LR = "training.optimizer.lr"
RANGES: dict[str, Any] = {LR: {"search": [0.001, 0.1], "log": True}}
BOTH: dict[str, Any] = {**RANGES, "trunk.hidden_size": {"search": [4, 32]}}
EPOCHS = 3


class Formula:
    """Stands in for `RunningTrial`: its score is highest for a learning rate of 0.03."""

    started: ClassVar[list[Formula]] = []
    failing: ClassVar[Callable[[Run], bool]] = lambda run: False
    signal: ClassVar[int] = 0
    """Number of the trial during which Ctrl-C comes."""

    def __init__(self, run: Run, folder: Path, *, speed: bool, trust: bool) -> None:
        self.run, self.folder = run, folder
        self.began = 0.0
        self.running = type(self).signal == len(self.started) + 1
        self.stopped = False
        self._told = False
        self.started.append(self)

    @property
    def lr(self) -> float:
        return float(self.run.training.optimizer.options["lr"])

    @property
    def best(self) -> tuple[int, float]:
        return EPOCHS, self.score(EPOCHS)

    def score(self, epoch: int) -> float:
        return (1 - abs(self.lr - 0.03)) * epoch / EPOCHS

    def new_scores(self) -> list[tuple[int, float]]:
        if self.running:
            signal.raise_signal(signal.SIGINT)
        told, self._told = self._told, True
        return [] if told else [(epoch, self.score(epoch)) for epoch in range(1, EPOCHS + 1)]

    def stop(self) -> None:
        self.stopped = True

    def wait(self) -> None:
        pass

    def close(self) -> tuple[dict[str, float], str, str]:
        if type(self).failing(self.run):
            return {}, "the loss is not finite", "Traceback:\nthe loss is not finite\n"
        size = float(self.run.trunk.options["hidden_size"])
        return {"score": self.score(EPOCHS), "size": size, "speed": 1 / size}, "", ""


@pytest.fixture(autouse=True)
def _formula(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "RunningTrial", Formula)
    monkeypatch.setattr(search, "_TURN", 0.0)
    monkeypatch.setattr(Formula, "started", [])
    monkeypatch.setattr(Formula, "failing", lambda run: False)
    monkeypatch.setattr(Formula, "signal", 0)


def tune(ranges: dict[str, Any] = RANGES, **options: Any) -> search.Tuned:
    overrides = {"training.epochs": EPOCHS, **ranges}
    return mtl.tune("run.yaml", overrides, **{"progress": False, **options})


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.slow
def test_the_best_values_are_found_and_written() -> None:
    found = tune(BOTH, trials=12, pruning="none")
    assert [trial.name for trial in found.trials] == list(range(1, 13))
    scores = [own.score(EPOCHS) for own in Formula.started]
    assert found.best.values["score"] == max(scores)
    assert found.best.name == 1 + scores.index(max(scores))
    assert [own.folder for own in Formula.started] == [trial.folder for trial in found.trials]
    text = found.best_file.read_text()
    assert "\nextends: ../../run.yaml\ntraining:\n  epochs: 3\n" in text
    assert load_config(found.best_file) == Formula.started[found.best.name - 1].run
    assert not isinstance(found.importance, str)
    assert sum(found.importance.values()) == pytest.approx(1)
    assert found.importance[LR] > 0.8  # the score does not depend on the size


def test_a_part_that_values_cannot_replace_gives_the_complete_run() -> None:
    parts = [{"type": "gru", "hidden_size": 8}, {"type": "qrnn", "hidden_size": 8}]
    found = tune({"trunk": {"search": {"choices": parts}}}, trials=2)
    text = found.best_file.read_text()
    assert "The complete run" in text
    assert load_config(found.best_file) == Formula.started[found.best.name - 1].run


def test_a_failed_trial_does_not_end_the_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Formula, "failing", lambda run: len(Formula.started) in (1, 3))
    found = tune(trials=4, progress=None)
    assert [trial.state for trial in found.trials] == ["failed", "complete", "failed", "complete"]
    assert found.trials[0].error == "the loss is not finite"
    assert (found.folder / "trial-3.err").read_text().startswith("Traceback:")
    lines = told(capsys)
    assert lines[0] == "runs/run-tune: 4 trials, 1 range, sampler tpe, pruning median"
    assert lines[1].startswith("trial 1: failed: the loss is not finite; lr 0.")
    monkeypatch.setattr(Formula, "failing", lambda run: True)
    message = "broken: no trial was completed; the last one failed: the loss is not finite"
    with pytest.raises(MtlError, match=message):
        tune(trials=2, output="broken")


@pytest.mark.slow
def test_values_that_do_not_fit_together_are_a_failed_trial() -> None:
    ranges = {
        "training.max_length": {"search": {"choices": [512, 64]}},
        "training.overlap": {"search": {"choices": [0, 100]}},
    }
    found = tune(ranges, trials=8, sampler="random")
    failed = [trial for trial in found.trials if trial.state == "failed"]
    wrong = [t for t in found.trials if tuple(t.params.values()) == ("64", "100")]
    assert failed == wrong != []
    assert "training.overlap: expected less than max_length (64), got 100" in failed[0].error


@pytest.mark.slow
def test_pruning_compares_with_the_median_of_the_others() -> None:
    found = tune(trials=20, sampler="random")
    complete: list[Formula] = []
    for own, trial in zip(Formula.started, found.trials, strict=True):
        others = sorted(other.score(1) for other in complete)
        middle = (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2 if others else 0
        assert (trial.state == "pruned") == (len(complete) >= 5 and own.score(1) < middle)
        assert own.stopped == (trial.state == "pruned")
        if trial.state == "complete":
            complete.append(own)
        else:
            assert trial.values == {"score": own.score(1)}
    assert len(complete) < 20


@pytest.mark.slow
def test_no_pruning_and_halving() -> None:
    none = tune(trials=8, pruning="none", output="none", sampler="random")
    assert {trial.state for trial in none.trials} == {"complete"}
    halving = tune(trials=8, pruning="halving", output="halving", sampler="random")
    assert "pruned" in {trial.state for trial in halving.trials}


@pytest.mark.slow
def test_a_study_continues_with_its_trials() -> None:
    first = tune(trials=3)
    with pytest.raises(MtlError, match="exists already; continue its training with --resume"):
        tune(trials=5)
    again = tune(trials=5, resume=True)
    assert again.trials[:3] == first.trials
    assert len(Formula.started) == 5
    # As without a stop; and the seed does not draw the first values again.
    whole = tune(trials=5, output="whole")
    assert [t.params for t in whole.trials] == [t.params for t in again.trials]
    assert len({trial.params[LR] for trial in whole.trials}) == 5
    assert tune(trials=5, seed=2, output="other").trials[0].params != whole.trials[0].params


@pytest.mark.slow
def test_a_study_is_about_one_run() -> None:
    tune(trials=1)
    expected = "runs/run-tune: was searched with training.epochs = 3, now it is 4; give the same"
    with pytest.raises(MtlError, match=expected):
        tune({**RANGES, "training.epochs": 4}, resume=True)
    expected = f"was searched with {LR} = '0.001 to 0.1, log', now it is '0.001 to 0.2, log'"
    with pytest.raises(MtlError, match=expected):
        tune({LR: {"search": [0.001, 0.2], "log": True}}, resume=True)
    with pytest.raises(MtlError, match="has other objectives; give the same ones"):
        tune(objectives=["score", "size"], resume=True)


def test_ctrl_c_puts_the_trials_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Formula, "signal", 2)
    found = tune(trials=3, progress=None)
    assert [trial.state for trial in found.trials] == ["complete", "waiting"]
    assert Formula.started[1].stopped
    assert told(capsys)[-1] == "stopped with 1 trial unfinished; --resume continues"
    monkeypatch.setattr(Formula, "signal", 0)
    again = tune(trials=3, resume=True)
    assert [trial.state for trial in again.trials] == ["complete"] * 3
    second, third = Formula.started[1:3]
    assert (third.folder, third.run) == (second.folder, second.run)
    whole = tune(trials=2, output="whole")
    assert [t.params for t in whole.trials] == [t.params for t in again.trials][:2]


def open_study(trials: int, storage: str | None = None) -> SharedStudy:
    space = load_search_space("run.yaml", {"training.epochs": EPOCHS, **RANGES})
    settings = TuneSettings(trials, storage=storage)
    return SharedStudy(settings, Path("runs/run-tune/study.journal"), "run-tune", space.ranges)


@pytest.mark.slow
def test_trials_of_killed_processes_continue(capsys: pytest.CaptureFixture[str]) -> None:
    tune(trials=1)
    study = open_study(4)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, elsewhere, silent = (study.ask() for _ in range(3))
    dead.set_user_attr("process", [socket.gethostname(), ended.pid])
    elsewhere.set_user_attr("process", ["another", 1])
    silent.set_user_attr("process", ["another", 2])
    silent.set_user_attr("alive", 0.0)
    found = tune(trials=4, resume=True, progress=None)
    lines = told(capsys)
    assert "trial 2: its process was killed; the trial continues" in lines
    assert "trial 4: its process was killed; the trial continues" in lines
    assert {own.folder.name: own.lr for own in Formula.started[1:]} == {
        "trial-2": dead.params[LR],
        "trial-4": silent.params[LR],
    }
    states = ["complete", "complete", "running", "complete"]
    assert [trial.state for trial in found.trials] == states


def test_a_trial_survives_a_kill_while_it_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    tune(trials=1)
    study = open_study(3)
    trial = study.ask()

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            study.requeue(trial.number)
    assert open_study(3).requeue_dead() == []  # this process lives
    monkeypatch.setattr("mtl.tuning.study._DEAD_AFTER", -1.0)
    assert open_study(3).requeue_dead() == [2]
    assert open_study(3).requeue_dead() == []
    again = open_study(3).ask()
    assert (again.user_attrs["name"], again.params) == (2, trial.params)


def test_half_a_line_of_the_journal_is_dropped() -> None:
    tune(trials=2)
    journal = Path("runs/run-tune/study.journal")
    with open(journal, "a") as file:
        file.write('{"op_code": 8, "wor')
    assert len(tune(trials=3, resume=True).trials) == 3
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    journal.write_text("{]\n" + journal.read_text())
    with pytest.raises(MtlError, match=r"study.journal: damaged"):
        tune(trials=4, resume=True)


@pytest.mark.slow
def test_machines_share_a_database() -> None:
    database = f"sqlite:///{Path('study.db').absolute()}"
    tune(trials=2, storage=database, output="one/names")
    with pytest.raises(MtlError, match="the study 'names' exists already; continue or join it"):
        tune(trials=4, storage=database, output="two/names")
    found = tune(trials=4, storage=database, output="two/names", resume=True)
    assert [trial.state for trial in found.trials] == ["complete"] * 4
    assert [str(own.folder) for own in Formula.started[2:]] == [
        "two/names/trial-3",
        "two/names/trial-4",
    ]


@pytest.mark.slow
def test_several_objectives_give_a_front() -> None:
    found = tune(BOTH, trials=12, objectives=["score", "speed", "size"], sampler="random")

    def beats(one: Any, other: Any) -> bool:
        a, b = ((t.values["score"], t.values["speed"], -t.values["size"]) for t in (one, other))
        return a != b and all(x >= y for x, y in zip(a, b, strict=True))

    expected = [t for t in found.trials if not any(beats(other, t) for other in found.trials)]
    assert sorted(t.name for t in found.front) == [t.name for t in expected]
    assert {trial.state for trial in found.trials} == {"complete"}
    assert len(expected) < 12


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_each_sampler_stays_in_the_ranges(sampler: str) -> None:
    ranges = {
        LR: {"search": [0.01, 0.05], "step": 0.02},
        "trunk.hidden_size": {"search": [4, 32], "log": True},
        "trunk.type": {"search": {"choices": ["lstm", "gru"]}},
        "tasks.ner.weight": {"search": [0, 2]},
    }
    found = tune(ranges, trials=12, sampler=sampler, pruning="none")
    for trial in found.trials:
        assert round(trial.params[LR], 9) in (0.01, 0.03, 0.05)
        assert trial.params["trunk.hidden_size"] in range(4, 33)
        assert trial.params["trunk.type"] in ("lstm", "gru")
        assert 0 <= trial.params["tasks.ner.weight"] <= 2


def test_of_equal_epochs_the_last_is_the_best_as_its_model_is_saved() -> None:
    trial = RunningTrial.__new__(RunningTrial)  # without its process
    trial.scores = {1: 0.2, 2: 0.7, 3: 0.7, 4: 0.5}
    assert trial.best == (3, 0.7)
    trial.scores = {}
    assert trial.best is None


def test_several_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtl.tuning.search.cores", lambda: 8)
    found = tune(trials=3, jobs=3)
    assert {own.run.training.threads for own in Formula.started} == {2}
    assert load_config(found.best_file).training.threads == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials, jobs: expected at least 1"),
        ({"minutes": 0}, "minutes: expected a number above 0, got 0"),
        ({"sampler": "grid"}, "sampler: expected one of tpe, gp, random, got 'grid'"),
        ({"objectives": ["size"]}, "objectives: expected score, and also speed or size"),
        ({"objectives": ["score", "size"], "pruning": "median"}, "pruning: 'median' compares one"),
        ({"storage": "nosql://x:secret@y"}, "storage: cannot be opened; expected the URL of a SQL"),
    ],
)
def test_wrong_settings_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MtlError, match=message) as error:
        tune(**options)
    assert "secret" not in str(error.value)
    assert not Path("runs").exists()


def test_a_run_without_ranges_or_with_several_seeds_is_refused() -> None:
    with pytest.raises(MtlError, match=r"^run.yaml: no range to search; write one in place"):
        tune({})
    with pytest.raises(MtlError, match=r"^run.yaml: seeds: expected 1, got 2, since a trial has"):
        tune({**RANGES, "seeds": 2})
    with pytest.raises(MtlError, match=r"^run.yaml: seeds: expected 1, got a range, since"):
        tune({**RANGES, "seeds": {"search": [1, 3]}})


def test_there_must_be_a_dev_score() -> None:
    files = {f"corpora.{name}.files.dev": None for name in ("news", "mood")}
    with pytest.raises(MtlError, match="no task has a dev score to compare trials"):
        tune({**RANGES, **files})
