"""Start, stop and repetition of training: signals, locks, links and damaged checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtl.config.load import run_to_yaml
from mtl.experiment import load_config
from mtl.training.events import Epoch, Step
from mtl.training.log import RunLog
from tests.cli import project as small
from tests.cli.command import assert_told, mtl, start
from tests.cli.records import records

COMMAND = ("train", "run.yaml", "training.epochs=4", "trunk.dropout=0.3", "training.average=0.9")
AVERAGED = ("training.epochs=2", "training.average=0.9")
CONTINUED = "training continues after epoch"
STARTED = "training starts from the beginning, since the folder has no checkpoint"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of the command, trained without a stop."""
    folder = tmp_path_factory.mktemp("whole")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert mtl(*COMMAND).code == 0
    return folder / "runs" / "run"


@pytest.fixture
def half(project: Path) -> Path:
    """Return the folder of the same run after two of its four epochs."""
    assert mtl(*COMMAND, "training.epochs=2").code == 0
    return Path("runs/run")


def same(folder: Path, whole: Path) -> bool:
    names = ("model.safetensors", "checkpoint/epoch-4.safetensors", "checkpoint/state.json")
    return records(folder) == records(whole) and all(
        (folder / name).read_bytes() == (whole / name).read_bytes() for name in names
    )


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- one command that can be repeated


def test_the_command_starts_where_nothing_is(project: Path, whole: Path) -> None:
    Path("runs/run").mkdir(parents=True)  # with nothing but the leftovers of a kill
    Path("runs/run/.lock").write_text("process 1 on elsewhere\n")
    Path("runs/run/.run.yaml.0123abcd.tmp").write_text("half")
    result = mtl(*COMMAND, "--resume")
    assert result.err.startswith(f"runs/run: {STARTED}\n")
    assert same(Path("runs/run"), whole)
    assert not {".lock", ".run.yaml.0123abcd.tmp"} & {p.name for p in Path("runs/run").iterdir()}


@pytest.mark.parametrize("missing", ["vocabulary", "metrics.jsonl", "model.safetensors", "nothing"])
def test_a_run_killed_before_its_first_checkpoint_starts_again(
    half: Path, whole: Path, missing: str
) -> None:
    # Killed in the first epoch, or while its checkpoint was written.
    for name in ("state.json", "previous.json"):
        (half / "checkpoint" / name).unlink(missing_ok=True)
    lines = (half / "metrics.jsonl").read_text().splitlines(keepends=True)
    (half / "metrics.jsonl").write_text("".join(x for x in lines if '"epoch": 0' in x) + '{"ty')
    if missing != "nothing":
        path = half / missing
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = mtl(*COMMAND, "--resume")
    assert result.err.startswith(f"runs/run: {STARTED}\n")
    assert same(half, whole)
    assert len(list(half.glob("events.*"))) == 1
    assert (half / "log.txt").read_text().startswith(f"runs/run: {STARTED}\n")


def test_the_command_goes_on_and_says_so_in_the_log(half: Path, whole: Path) -> None:
    result = mtl(*COMMAND, "--resume")
    assert result.err.startswith(f"runs/run: {CONTINUED} 2\n")
    assert f"\nruns/run: {CONTINUED} 2\n" in (half / "log.txt").read_text()
    assert same(half, whole)


def test_tensorboard_shows_each_epoch_once(half: Path, whole: Path) -> None:
    shutil.copytree(half, "kept")
    assert mtl(*COMMAND, "--resume").code == 0
    for path in Path("kept/checkpoint").iterdir():  # the last two epochs are repeated
        shutil.copy(path, half / "checkpoint")
    time.sleep(1.1)  # TensorBoard sorts its files by second
    assert mtl(*COMMAND, "--resume").code == 0
    shown, expected = (EventAccumulator(str(folder)).Reload() for folder in (half, whole))
    for tag in expected.Tags()["scalars"]:
        if tag.startswith("dev/"):
            values = [[(s.step, s.value) for s in own.Scalars(tag)] for own in (shown, expected)]
            assert values[0] == values[1]


def test_several_seeds_are_one_command_too(project: Path) -> None:
    command = ("train", "run.yaml", "training.epochs=1", "seeds=3", "--resume")
    Path("runs/run/seed-2").mkdir(parents=True)  # killed before its first file
    first = mtl(*command)
    assert first.code == 0
    assert first.err.count(STARTED) == 3
    before = content(Path("runs"))
    shutil.rmtree("runs/run/seed-3")
    os.unlink("runs/run/summary.json")
    again = mtl(*command)
    assert (again.code, again.err.count("training is finished"), again.err.count(STARTED)) == (
        0,
        2,
        1,
    )
    assert content(Path("runs")).keys() >= {path for path in before if "events" not in path.name}
    assert (Path("runs/run/seed-3/model.safetensors").read_bytes()
            == before[Path("runs/run/seed-3/model.safetensors")])  # fmt: skip


# ---- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["train", "predict", "check"])
def test_a_signal_at_the_start_ends_in_one_line(
    trained: Path, monkeypatch: pytest.MonkeyPatch, command: str, number: int, code: int
) -> None:
    monkeypatch.chdir(trained.parent.parent)
    arguments = {"train": ["run.yaml", "--output", "new"], "predict": [str(trained)]}
    running = start(command, *arguments.get(command, ["run.yaml"]))
    wait_for_handlers(running)
    running.send_signal(number)
    out, err = running.communicate(timeout=120)
    name = "Ctrl-C" if code == 130 else "SIGTERM"
    rest = "; continue with: mtl train run.yaml --output new --resume" * (command == "train")
    assert (running.returncode, out, err) == (code, "", f"stopped by {name}{rest}\n")
    assert not Path("new").exists()


def wait_for_handlers(running: subprocess.Popen[str]) -> None:
    """Wait until a process catches SIGTERM, in the first tenth of a second of the command."""
    while True:
        status = Path(f"/proc/{running.pid}/status")
        if not status.exists():
            pytest.skip("there is no /proc here")
        (line,) = [x for x in status.read_text().splitlines() if x.startswith("SigCgt:")]
        if int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGINT)),
    ],
)
def test_runs_stopped_at_random_moments_end_alike(
    project: Path, whole: Path, number: signal.Signals
) -> None:
    stop_and_resume(number, random.Random(number), whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_many_runs_stopped_at_random_moments_end_alike(
    project: Path, whole: Path, number: signal.Signals, seed: int
) -> None:
    stop_and_resume(number, random.Random(100 * number + seed), whole)


def stop_and_resume(number: signal.Signals, rng: random.Random, whole: Path) -> None:
    """Stop a run before and after its first files, and let the same command end it."""
    command = (*COMMAND, "--output", "cut", "--resume")
    for place in ("cut", "cut/metrics.jsonl"):
        running = start(*command)
        wait_for_handlers(running)
        while not Path(place).exists() and running.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        running.send_signal(number)
        _, err = running.communicate(timeout=120)
        assert "Traceback" not in err
        assert "Exception" not in err
        if number == signal.SIGKILL:
            continue
        assert not [path for path in Path("cut").rglob("*") if path.suffix == ".tmp"]
        if running.returncode:
            assert running.returncode == 128 + number
            name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            told = f"stopped by {name}; continue with: mtl {' '.join(command)}"
            assert err.splitlines()[-1] == told
    assert mtl(*command).code == 0
    assert same(Path("cut"), whole)
    assert not [p for p in Path("cut").rglob("*") if p.suffix == ".tmp" or p.name == ".lock"]


class Killed(BaseException):
    """The process would be gone."""


@pytest.mark.parametrize(("stop", "steps"), [("signal", 3), ("kill", 17)])
def test_a_run_stopped_within_an_epoch_goes_on_after_the_step(
    project: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, stop: str, steps: int
) -> None:
    write = RunLog.write

    def stopping(log: RunLog, event: Step | Epoch) -> None:
        write(log, event)
        if isinstance(event, Step) and event.step == steps:
            if stop == "kill":
                raise Killed
            signal.raise_signal(signal.SIGTERM)

    command = (*COMMAND, f"training.checkpoint.minutes={'10' if stop == 'signal' else '1e-9'}")
    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "write", stopping)
        if stop == "kill":
            with pytest.raises(Killed):
                mtl(*command)
        else:
            assert mtl(*command).code == 143
    done = steps if stop == "kill" else steps + 2  # a signal waits for the end of the next step
    result = mtl(*COMMAND, "--resume")
    place = f"in epoch {done // 10 + 1}, after step {done}"
    assert result.err.startswith(f"runs/run: training continues {place}\n")
    assert same(Path("runs/run"), whole)


# ---- locks and temporary files


@pytest.fixture
def training(project: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that trains into runs/run and has finished an epoch."""
    running = start("train", "run.yaml", "training.epochs=4000")
    while not Path("runs/run/checkpoint/state.json").exists():
        assert running.poll() is None
        time.sleep(0.01)
    yield running
    running.kill()
    running.communicate()


@pytest.mark.slow
def test_a_second_process_is_kept_out(training: subprocess.Popen[str]) -> None:
    before = (Path("runs/run/run.yaml").read_bytes(), Path("runs/run/.lock").read_bytes())
    live = Path("runs/run/.model.safetensors.89abcdef.tmp")
    live.write_text("live")
    result = mtl("train", "run.yaml", "training.epochs=4000", "--resume")
    owner = f"process {training.pid} on "
    assert result.code == 2
    assert result.err.startswith(
        f"error: runs/run: another process trains into this folder ({owner}"
    )
    assert live.exists()
    assert (Path("runs/run/run.yaml").read_bytes(), Path("runs/run/.lock").read_bytes()) == before
    assert mtl("predict", "runs/run", stdin="Ann left.").code == 0  # needs no lock


@pytest.mark.slow
def test_a_folder_that_is_removed_while_training(training: subprocess.Popen[str]) -> None:
    Path("runs/run").rename("gone")
    out, err = training.communicate(timeout=120)
    errors = [line for line in err.splitlines() if line.startswith("error")]
    assert (training.returncode, out) == (2, "")
    assert len(errors) == 1
    assert "runs/run" in errors[0]
    assert "b'" not in errors[0]
    assert "Traceback" not in err
    assert not Path("runs/run").exists()


def test_files_of_killed_writes_are_removed(half: Path, whole: Path) -> None:
    killed = [".model.safetensors.01234567.tmp", "checkpoint/.epoch-3.safetensors.89abcdef.tmp"]
    for name in [*killed, "vocabulary/.words.json.00000000.tmp", "mine.tmp"]:
        (half / name).write_text("half")
    assert mtl(*COMMAND, "--resume").code == 0
    assert [path.name for path in half.rglob("*.tmp")] == ["mine.tmp"]
    assert same(half, whole)


# ---- links


@pytest.mark.parametrize("name", ["log.txt", "metrics.jsonl", "checkpoint", "vocabulary"])
def test_links_in_a_run_folder_are_not_written_through(half: Path, name: str) -> None:
    (half / name).rename("target")
    (half / name).symlink_to(Path("target").absolute())
    before = content(Path("target")) if Path("target").is_dir() else Path("target").read_bytes()
    assert_told(
        mtl(*COMMAND, "--resume"),
        f"runs/run/{name}: is a symbolic link, and training would write to the file behind it; "
        "remove the link",
    )
    after = content(Path("target")) if Path("target").is_dir() else Path("target").read_bytes()
    assert after == before


def test_links_to_the_lock_and_the_model(half: Path, whole: Path) -> None:
    Path("target").write_text("target")
    (half / ".lock").symlink_to(Path("target").absolute())
    result = mtl(*COMMAND, "--resume")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "runs/run/.lock" in result.err
    (half / ".lock").unlink()
    shutil.copy(half / "model.safetensors", "copy")
    (half / "model.safetensors").unlink()
    (half / "model.safetensors").symlink_to(Path("copy").absolute())
    before = Path("copy").read_bytes()
    assert mtl(*COMMAND, "--resume").code == 0
    assert (Path("copy").read_bytes(), Path("target").read_text()) == (before, "target")
    assert same(half, whole)


# ---- damaged checkpoints and logs

CHECKPOINT = Path("runs/run/checkpoint")
UNFIT = "the training state does not fit this model; if the data or the code has changed, train "
TENSORS = f"{CHECKPOINT}/state.json: tensors: expected a file name such as epoch-1.safetensors"
OTHERS = f"{CHECKPOINT}/epoch-2.safetensors: has changed since it was saved"
VALUES: list[tuple[str, Any, str]] = [
    ("step", math.inf, UNFIT), ("step", ["a", "a"], UNFIT), ("step", {"a": 1}, UNFIT),
    ("step", 10**30, UNFIT), ("step", -1, UNFIT),
    ("epoch", "", UNFIT), ("epoch", {"a": 1}, UNFIT), ("epoch", 1.5, UNFIT),
    ("epoch", None, UNFIT), ("epoch", True, UNFIT),
    ("numbers", {"average.updates": [None]}, UNFIT),
    ("numbers", {"average.updates": math.nan}, UNFIT),
    ("numbers", {"average.updates": "x"}, UNFIT), ("numbers", {}, UNFIT), ("numbers", 1, UNFIT),
    ("selection", [], UNFIT), ("selection", {"scores": ["x"], "task_scores": {}}, UNFIT),
    ("selection", {"scores": []}, UNFIT),
    ("tensors", [[1]], TENSORS), ("tensors", 10**30, TENSORS), ("tensors", math.inf, TENSORS),
    ("tensors", "/etc/passwd", TENSORS), ("tensors", "../model.safetensors", TENSORS),
    ("sha256", 1, OTHERS), ("sha256", "0" * 64, OTHERS),
]  # fmt: skip
"""A key of the state, its other value, and the start of the error."""


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("key", "value", "message"), VALUES, ids=str)
def test_a_state_with_other_values_and_their_checksum_is_refused(
    model: Path, key: str, value: Any, message: str
) -> None:
    path = CHECKPOINT / "state.json"
    state = {**json.loads(path.read_text()), key: value}
    del state["checksum"]
    text = json.dumps(state, sort_keys=True)
    state["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (CHECKPOINT / "previous.json").unlink()
    path.write_text(json.dumps(state))
    refused_as_it_is(model, message)


@pytest.mark.parametrize(("key", "value"), [("step", 19), ("numbers", {}), ("tensors", [[1]])])
def test_a_state_that_does_not_fit_its_checksum_is_refused(
    model: Path, key: str, value: Any
) -> None:
    path = CHECKPOINT / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    (CHECKPOINT / "previous.json").unlink()
    refused_as_it_is(model, f"{path}: not the training state that was saved (another version, or")


def refused_as_it_is(model: Path, message: str) -> None:
    """Check that training does not resume, for one reason, and that no file changes."""
    before = content(model)
    result = mtl("train", "run.yaml", *AVERAGED, "--resume")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith(f"error: {message}")
    assert content(model) == before


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project with a run of two epochs."""
    folder = tmp_path_factory.mktemp("averaged")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert mtl("train", "run.yaml", *AVERAGED).code == 0
    return folder


@pytest.fixture
def model(averaged: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a run folder to be damaged; it is repaired afterwards."""
    monkeypatch.chdir(averaged)
    shutil.copytree("runs", "kept")
    yield Path("runs/run")
    shutil.rmtree("runs")
    Path("kept").rename("runs")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("line", ['{"type": "step" "epoch": 0}', "{}", "[1]", '{"type": 1}', "\0"])
def test_a_damaged_line_of_the_records_is_named(model: Path, place: int, line: str) -> None:
    path = model / "metrics.jsonl"
    lines = path.read_text().splitlines()
    number = len(lines[:place]) + 1
    lines[place] = line
    path.write_text("".join(f"{x}\n" for x in lines))
    result = mtl("train", "run.yaml", *AVERAGED, "--resume")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith(f"error: {path}:{number}: not a record of training")


@pytest.mark.parametrize("damaged", ["{}", "{", "\0", '{"epoch": 2}'])
def test_a_damaged_state_is_replaced_by_the_one_before_it(
    half: Path, whole: Path, damaged: str
) -> None:
    path = half / "checkpoint/state.json"
    path.write_text(damaged)
    result = mtl(*COMMAND, "--resume")
    notes = result.err.splitlines()[:2]
    assert notes[0].startswith(f"note: {path}: not the training state that was saved")
    assert notes[0].endswith("; training goes back to the checkpoint before it")
    assert notes[1] == f"runs/run: {CONTINUED} 1"
    assert same(half, whole)


def test_changed_tensors_are_replaced_by_the_checkpoint_before_them(
    half: Path, whole: Path
) -> None:
    path = half / "checkpoint/epoch-2.safetensors"
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    result = mtl(*COMMAND, "--resume")
    told = "has changed since it was saved; training goes back to the checkpoint before it"
    assert result.err.splitlines()[:2] == [
        f"note: {path}: {told}", f"runs/run: {CONTINUED} 1",
    ]  # fmt: skip
    assert same(half, whole)


def test_without_another_checkpoint_changed_tensors_are_an_error(model: Path) -> None:
    for path in (model / "checkpoint").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    result = mtl("train", "run.yaml", *AVERAGED, "--resume")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "has changed since it was saved" in result.err


def test_a_run_file_is_written_as_it_is_read(model: Path) -> None:
    # Otherwise a run without a checkpoint would not be known as one of ours.
    path = model / "run.yaml"
    assert run_to_yaml(load_config(path)) == path.read_text()
    assert yaml.safe_load(path.read_text())["training"]["epochs"] == 2
