"""Real trials in processes of their own: kills, failures, several objectives, the best run file."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the package optuna is not installed")

import mtl
from mtl.errors import MtlError
from tests.cli.command import Result, start
from tests.cli.command import mtl as command
from tests.cli.records import records

pytestmark = pytest.mark.slow

LR = "training.optimizer.lr"
RANGE = f"{LR}={{search: [1.0e-3, 1.0e-1], log: true}}"
SMALL = ("tune", "run.yaml", RANGE, "tasks.pos=null", "tasks.mood=null")
LONG = (*SMALL, "training.epochs=300", "--prune", "none")


def states() -> dict[str, str]:
    """Return the trials of the study by name, each with its state and its learning rate."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend("runs/run-tune/study.journal"))
    study = optuna.load_study(study_name="run-tune", storage=storage)
    replaced = {trial.user_attrs.get("replaces") for trial in study.trials}
    return {
        str(trial.user_attrs["name"]): f"{trial.state.name} "
        f"{(trial.params or trial.system_attrs['fixed_params'])[LR]}"
        for trial in study.trials
        if trial.number not in replaced
    }


def process(*arguments: str) -> Result:
    """Run the command as a process of its own, which may take minutes."""
    running = start(*arguments)
    out, err = running.communicate(timeout=600)
    return Result(running.returncode, out, err)


def wait_for(path: Path, seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_best_file_repeats_the_best_trial(project: Path) -> None:
    result = process(*SMALL, "--trials", "2", "--jobs", "2")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert "importance of the ranges: it needs 10 completed trials, and there are 2" in lines
    (best,) = (Path(line.split()[1]) for line in lines if line.startswith("model: "))
    assert lines[-1] == f"next:  mtl evaluate {best} --split dev"
    assert command("train", "runs/run-tune/best.yaml", "--output", "again").code == 0
    assert records(Path("again")) == records(best)
    model = "model.safetensors"
    assert Path("again", model).read_bytes() == (best / model).read_bytes()
    top = json.loads((best / "metrics.jsonl").read_text().splitlines()[-1])
    assert top["dev"]["ner"]


def test_a_failed_trial_does_not_end_the_search(project: Path) -> None:
    # A rate of 1e38 lets the loss diverge.
    rates = f"{LR}={{search: {{choices: [0.02, 1.0e+38]}}}}"
    result = process("tune", "run.yaml", rates, "--trials", "4", "--sampler", "random")
    assert result.code == 0, result.err
    failed = [line for line in result.out.splitlines() if " failed: " in line]
    assert failed
    assert len(failed) < 4


def test_ctrl_c_leaves_a_study_that_continues(project: Path) -> None:
    running = start(*LONG, "--trials", "1")
    wait_for(Path("runs/run-tune/trial-1/checkpoint/state.json"))
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=200)
    assert (running.returncode, out) == (130, "")
    assert "\nstopped with 1 trial unfinished; --resume continues\nstopped by Ctrl-C; " in err
    assert err.endswith("--trials 1 --resume\n")
    (before,) = states().values()
    assert before.startswith("WAITING ")
    shorter = [*LONG, "--trials", "1", "--resume"]
    again = start(*shorter)
    time.sleep(1)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=200)
    assert again.returncode == 143
    assert states() == {"1": before}


def test_a_killed_search_keeps_its_trials(project: Path) -> None:
    short = ["training.epochs=20" if word == "training.epochs=300" else word for word in LONG]
    assert process(*short, "--trials", "1").code == 0
    first = states()
    running = start(*short, "--trials", "3", "--resume")
    wait_for(Path("runs/run-tune/trial-2/run.yaml"))
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    assert states()["1"] == first["1"]
    begun = states()["2"]
    assert begun.startswith("RUNNING ")
    result = process(*short, "--trials", "3", "--resume")
    assert result.code == 0, result.err
    assert "trial 2: its process was killed; the trial continues" in result.err
    after = states()
    assert after["1"] == first["1"]
    assert after["2"] == begun.replace("RUNNING", "COMPLETE")
    assert [state.split()[0] for state in after.values()] == ["COMPLETE"] * 3


def test_two_processes_share_a_study(project: Path) -> None:
    both = [start(*SMALL, "--trials", "4", "--resume", "--output", "runs/run-tune") for _ in "ab"]
    ended = [(*own.communicate(timeout=400), own.returncode) for own in both]
    assert [code for _, _, code in ended] == [0, 0], ended
    assert [state.split()[0] for state in states().values()] == ["COMPLETE"] * 4
    told = sum(err.count("trial ") for _, err, _ in ended)
    assert told == 4


def test_speed_and_size_are_measured(project: Path) -> None:
    changes: dict[str, Any] = {"trunk.hidden_size": {"search": {"choices": [4, 64]}}}
    found = mtl.tune(
        "run.yaml",
        {**changes, "tasks.mood": None},
        trials=3,
        sampler="random",
        objectives=["score", "speed", "size"],
        output="runs/front",
        progress=False,
    )
    for trial in found.trials:
        size = (trial.folder / "model.safetensors").stat().st_size
        assert trial.values["size"] == size
        assert trial.values["speed"] > 0
    assert found.front
    assert found.model.predict(["Ann left Rome ."])["ner"]


def test_errors_of_the_data_come_before_the_first_trial(project: Path) -> None:
    Path("data/train.txt").write_text("Ann NNP\n")
    with pytest.raises(MtlError, match=r"train\.txt:1"):
        mtl.tune("run.yaml", [RANGE], progress=False)
    assert not Path("runs").exists()
