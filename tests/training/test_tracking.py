"""Experiment trackers: the calls that their clients get, and the real clients if installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import mtl
from mtl.errors import MtlError
from mtl.training.log import RunLog
from mtl.training.tracking import MlflowTracker, Tracking, WandbTracker, check_trackers, flat
from tests.training.test_log import epoch, step

CONFIG = {"seed": 1, "training": {"epochs": 3, "track": ["mlflow"]}}
TASK = {"labels": "t", "head": "pool", "metric": "accuracy"}
ROWS = [(f"a {word} text", label) for word, label in [("good", "x"), ("bad", "y")] * 8]


class Recorder(ModuleType):
    """A module in place of a client, which records its calls."""

    def __init__(self, name: str, fails: str = "") -> None:
        super().__init__(name)
        self.calls: list[tuple[str, Any, Any]] = []
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*given: Any, **named: Any) -> Any:
            self.calls.append((name, given, named))
            if name == self.fails:
                raise ConnectionError("no server")
            own = named.get("run_id") or named.get("id") or "new"
            run = SimpleNamespace(info=SimpleNamespace(run_id=own), id=own)
            for method in ("log", "finish", "define_metric"):
                setattr(run, method, getattr(self, method))
            return run

        return call

    def of(self, name: str) -> list[tuple[Any, Any]]:
        return [(given, named) for own, given, named in self.calls if own == name]


def logged(folder: Path, module: Recorder, kind: Any) -> Recorder:
    """Log one epoch in a run, with a tracker."""
    tracking = Tracking([kind(module)], folder, CONFIG)
    with RunLog(folder, tracking=tracking) as log:
        for event in (*map(step, range(30)), epoch(0)):
            log.write(event)
    return module


def test_mlflow_gets_parameters_steps_scores_and_the_end(tmp_path: Path) -> None:
    module = logged(tmp_path, Recorder("mlflow"), MlflowTracker)
    assert module.calls[0] == ("start_run", (), {"run_id": None, "run_name": tmp_path.name,
                                                 "nested": True})  # fmt: skip
    ((parameters,), _), *more = module.of("log_params")
    assert not more
    assert parameters == {"seed": "1", "training.epochs": "3", "training.track": '["mlflow"]'}
    metrics = module.of("log_metrics")
    assert [named["step"] for _, named in metrics] == [0, 20, 30]
    first, last = metrics[0][0][0], metrics[-1][0][0]
    assert first["train/pos.loss"] == 0.5
    assert first["train/ner.weight"] == 0.5
    assert first["train/lr"] == 0.01
    assert last == {"dev/pos.accuracy": 0.5, "epoch/pos.loss": 0.4, "epoch": 1, "score": 0.5}
    assert module.calls[-1] == ("end_run", ("FINISHED",), {})


def test_wandb_gets_the_configuration_and_the_step_as_a_value(tmp_path: Path) -> None:
    module = logged(tmp_path, Recorder("wandb"), WandbTracker)
    (_, begun), *_ = module.of("init")
    assert begun["config"] == flat(CONFIG)
    assert (begun["id"], begun["resume"], begun["name"]) == (None, None, tmp_path.name)
    assert module.of("define_metric") == [(("*",), {"step_metric": "step"})]
    assert [given[0]["step"] for given, _ in module.of("log")] == [0, 20, 30]
    assert module.calls[-1] == ("finish", (), {"exit_code": 0})


@pytest.mark.parametrize(("kind", "name"), [(MlflowTracker, "mlflow"), (WandbTracker, "wandb")])
def test_a_resumed_run_continues_its_id(tmp_path: Path, kind: Any, name: str) -> None:
    logged(tmp_path, Recorder(name), kind)
    assert json.loads((tmp_path / "tracking.json").read_text()) == {name: "new"}
    (tmp_path / "tracking.json").write_text(json.dumps({name: "of before"}))
    module = logged(tmp_path, Recorder(name), kind)
    begun = module.calls[0][2]
    assert begun["run_id" if name == "mlflow" else "id"] == "of before"
    assert not module.of("log_params")  # parameters cannot change
    assert json.loads((tmp_path / "tracking.json").read_text()) == {name: "of before"}


def test_a_stop_and_a_failure_are_shown(tmp_path: Path) -> None:
    module = Recorder("mlflow")
    with RunLog(tmp_path, tracking=Tracking([MlflowTracker(module)], tmp_path, {})) as log:
        log.stopped = True
    assert module.calls[-1][1] == ("KILLED",)
    tracking = Tracking([MlflowTracker(module)], tmp_path, {})
    with pytest.raises(ZeroDivisionError), RunLog(tmp_path, tracking=tracking):
        raise ZeroDivisionError
    assert module.calls[-1][1] == ("FAILED",)


def test_a_tracker_that_fails_does_not_end_training(tmp_path: Path) -> None:
    module, said = Recorder("mlflow", fails="log_metrics"), []
    tracking = Tracking([MlflowTracker(module)], tmp_path, {})
    with RunLog(tmp_path, tracking=tracking, show=said.append) as log:
        for event in map(step, range(60)):
            log.write(event)
    assert said == ["note: mlflow failed and gets no more values: ConnectionError: no server"]
    assert said[0] in (tmp_path / "log.txt").read_text()
    assert len(module.of("log_metrics")) == 1


def test_a_tracker_that_cannot_begin_is_an_error_before_training(tmp_path: Path) -> None:
    good, bad = Recorder("mlflow"), Recorder("wandb", fails="init")
    with pytest.raises(MtlError, match=r"training.track: wandb cannot begin: .*no server"):
        Tracking([MlflowTracker(good), WandbTracker(bad)], tmp_path, {})
    assert good.calls[-1] == ("end_run", ("FAILED",), {})


@pytest.mark.parametrize("content", ["[]", '{"mlflow": 1}', "{", "null"])
def test_damaged_ids_are_an_error_before_training(tmp_path: Path, content: str) -> None:
    (tmp_path / "tracking.json").write_text(content)
    module = Recorder("mlflow")
    with pytest.raises(MtlError, match=r"tracking\.json"):
        Tracking([MlflowTracker(module)], tmp_path, {})
    assert not module.calls


def test_a_missing_extra_is_an_error_before_the_data_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    message = r"training.track: mlflow needs mlflow.*pip install 'mtl\[mlflow\]'"
    with pytest.raises(MtlError, match=message):
        check_trackers(["mlflow"])
    with pytest.raises(MtlError, match=message):
        small_run(tmp_path / "run", "mlflow", 1)
    assert not (tmp_path / "run").exists()


def small_run(folder: Path, tracker: str, epochs: int, *, resume: bool = False) -> None:
    config = {
        "corpora": {"data": {"tasks": {"t": TASK}}},
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 4},
        "tasks": {"t": {"use": "data/t"}},
        "training": {"track": [tracker], "epochs": epochs},
    }
    data = {"data": {"train": ROWS, "dev": ROWS[:4]}}
    mtl.train(config, data=data, output=folder, progress=False, resume=resume)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_training_tells_its_tracker(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = Recorder(name)
    monkeypatch.setitem(sys.modules, name, module)
    small_run(tmp_path / "run", name, 2)
    called = [own for own, _, _ in module.calls]
    assert called[-1] == ("end_run" if name == "mlflow" else "finish")
    assert called.count("log_metrics" if name == "mlflow" else "log") >= 3
    assert json.loads((tmp_path / "run/tracking.json").read_text()) == {name: "new"}


def test_the_real_mlflow_has_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mtl[mlflow]")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    logged(tmp_path, mlflow, MlflowTracker)
    logged(tmp_path, mlflow, MlflowTracker)  # resumed
    own = json.loads((tmp_path / "tracking.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    found = client.get_run(own)
    assert found.info.status == "FINISHED"
    assert found.data.params["training.epochs"] == "3"
    history = client.get_metric_history(own, "train/pos.loss")
    assert {metric.step for metric in history} == {0, 20}
    assert client.get_metric_history(own, "dev/pos.accuracy")[0].value == 0.5


def test_the_real_wandb_keeps_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="needs mtl[wandb]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged(tmp_path, wandb, WandbTracker)
    logged(tmp_path, wandb, WandbTracker)  # resumed
    own = json.loads((tmp_path / "tracking.json").read_text())["wandb"]
    folders = list((tmp_path / "wandb").glob(f"offline-run-*-{own}"))
    assert folders
    assert all(list(folder.glob("*.wandb")) for folder in folders)
