"""The command as a process: the way through, signals, pipes, full disks, and the time to start."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtl.version import __version__
from tests.cli.command import Result, mtl, process, start
from tests.cli.records import records

WEIGHTS = "model.safetensors"
SAME = ["run.yaml", "training.epochs=4", "trunk.dropout=0.3", "training.average=0.9"]


def test_train_evaluate_predict(project: Path) -> None:
    trained = process("train", "run.yaml", "training.epochs=12")
    assert (trained.code, trained.out.splitlines()[0]) == (0, "model: runs/run")
    evaluated = process("evaluate", "runs/run", "--json")
    assert json.loads(evaluated.out)["ner"]["span_f1"] > 0.9
    predicted = process("predict", "runs/run", stdin="Eva left Oslo.\n")
    assert "Eva\tB-PER\tNNP\n" in predicted.out


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_and_resuming_ends_as_if_never_stopped(project: Path) -> None:
    running = start("train", *SAME, "training.epochs=4000", "--output", "cut")
    wait_for("cut/checkpoint/state.json", running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert (running.returncode, out) == (130, "")
    assert re.search(r"; --resume continues (after epoch|in epoch \d+, after step) \d+\n", err)
    command = f"mtl train {' '.join(SAME)} training.epochs=4000 --output cut --resume"
    assert err.endswith(f"\nstopped by Ctrl-C; continue with: {command}\n")
    assert mtl("predict", "cut", stdin="Ann left.").code == 0
    more = json.loads(Path("cut/checkpoint/state.json").read_text())["epoch"] + 2
    assert mtl("train", *SAME, f"training.epochs={more}", "--output", "cut", "--resume").code == 0
    assert mtl("train", *SAME, f"training.epochs={more}", "--output", "whole").code == 0
    assert records(Path("cut")) == records(Path("whole"))
    assert Path("cut", WEIGHTS).read_bytes() == Path("whole", WEIGHTS).read_bytes()


@pytest.mark.slow
def test_ctrl_c_stops_all_seeds_and_resuming_trains_the_rest(project: Path) -> None:
    running = start("train", "run.yaml", "seeds=3", "training.epochs=4000", "--output", "cut")
    wait_for("cut/seed-1/checkpoint/state.json", running)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=300)
    assert running.returncode == 130
    command = "mtl train run.yaml seeds=3 training.epochs=4000 --output cut --resume"
    assert err.endswith(f"\nstopped by Ctrl-C; continue with: {command}\n")
    assert [path.name for path in Path("cut").iterdir()] == ["seed-1"]
    command = ("train", "run.yaml", "seeds=3", "training.epochs=2", "--output", "cut", "--resume")
    assert mtl(*command).code == 0
    assert len(json.loads(Path("cut/summary.json").read_text())["best_epochs"]) == 3


def wait_for(path: str, running: subprocess.Popen[str]) -> None:
    """Wait until a run has written a file."""
    while not (Path(path).exists() and Path(path).stat().st_size):
        assert running.poll() is None
        time.sleep(0.01)


def test_lines_beyond_the_checkpoint_are_written_anew(project: Path) -> None:
    assert mtl("train", *SAME, "--output", "whole").code == 0
    assert mtl("train", *SAME, "training.epochs=2", "--output", "cut").code == 0
    with open("cut/metrics.jsonl", "a") as file:
        file.write('{"type": "step", "epoch": 2, "step": 20}\n{"type": "st')
    assert mtl("train", *SAME, "--output", "cut", "--resume").code == 0
    assert records(Path("cut")) == records(Path("whole"))


def test_a_finished_run_resumes_to_nothing_more(project: Path) -> None:
    assert mtl("train", *SAME, "--output", "cut").code == 0

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in Path("cut").rglob("*") if path.is_file()}

    before = content()
    for _ in range(2):
        result = mtl("train", *SAME, "--output", "cut", "--resume")
        told = "cut: training is finished after epoch 4; there is nothing to resume\n"
        assert (result.code, result.err) == (0, told)
        assert content() == before
        shutil.rmtree("cut/checkpoint", ignore_errors=True)  # not needed any more
        before = content()


@pytest.mark.slow
def test_stopped_in_the_first_epoch_the_same_command_goes_on(project: Path) -> None:
    long = ("train", "run.yaml", "tasks.ner.sampling=1000")
    running = start(*long)
    wait_for("runs/run/metrics.jsonl", running)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=300)
    assert running.returncode == 143
    place = re.search(r"^stopped after (\d+) steps?; --resume continues (.*)$", err, re.MULTILINE)
    assert place
    assert place[2] == f"in epoch 1, after step {place[1]}"
    command = "mtl train run.yaml tasks.ner.sampling=1000 --resume"
    assert err.endswith(f"\nstopped by SIGTERM; continue with: {command}\n")
    message = (
        "exists already; continue its training with --resume, choose another folder with "
        "--output, or remove it"
    )
    assert mtl("train", "run.yaml").err == f"error: runs/run: {message}\n"
    Path("runs/run/log.txt").unlink()
    again = start(*long, "--resume")
    wait_for("runs/run/log.txt", again)
    again.send_signal(signal.SIGTERM)
    _, err = again.communicate(timeout=300)
    assert err.startswith(f"runs/run: training continues {place[2]}\n")


@pytest.mark.slow
def test_a_full_disk_while_training(project: Path) -> None:
    assert mtl("check", "run.yaml").code == 0  # fills the cache, which has room
    result = process("train", "run.yaml", shell="ulimit -f 8")
    message = f"error: cannot write runs/run/{WEIGHTS}: File too large"
    assert (result.code, result.err.splitlines()[-1]) == (2, message)
    assert "Traceback" not in result.err
    assert not [path for path in Path("runs").rglob("*") if ".tmp" in path.name]


@pytest.mark.slow
def test_a_full_disk_while_reading_data(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_CACHE", "cache")
    result = process("train", "run.yaml", shell="ulimit -f 1")
    assert result.code == 2
    assert result.err.startswith("error: cannot write cache/corpora/")
    assert result.err.endswith("; set MTL_CACHE to a folder with room for the cache\n")
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_the_output(trained: Path) -> None:
    result = process("predict", str(trained), stdin="Ann left.\n", shell="exec >/dev/full")
    assert result == Result(2, "", "error: No space left on device\n")
    # Short output is written when the command ends.
    result = process("--help", shell="exec >/dev/full")
    assert result.code == 2
    assert result.err.splitlines()[-1].endswith("No space left on device")
    assert result.err.count("No space left on device") == 1


@pytest.mark.slow
def test_output_may_go_to_head(trained: Path) -> None:
    with start("predict", str(trained)) as running:
        assert running.stdin
        assert running.stdout
        assert running.stderr
        running.stdin.write("Ann left Rome.\n" * 5000)
        running.stdin.close()
        assert running.stdout.readline() == "# text = Ann left Rome.\n"
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait() == 141  # as of a process that SIGPIPE ends


HEAVY = {"datasets", "sklearn", "pandas", "tensorboard", "seqeval", "pyarrow", "scipy"}


def imported(*arguments: str) -> set[str]:
    """Return the modules that the command has imported when it ends."""
    code = "import sys\nfrom mtl.cli.main import main\ntry: main()\n"
    code += "except SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, *arguments]
    return set(subprocess.run(command, input="", capture_output=True, text=True).stderr.split())


def test_help_imports_next_to_nothing() -> None:
    for arguments in (["--help"], ["--version"], ["train", "--help"], ["predict", "--help"]):
        assert not imported(*arguments) & {*HEAVY, "torch", "numpy", "rich"}


FOR_TRAINING = {
    "mtl.analysis",
    "mtl.api",
    "mtl.display.tables",
    "mtl.display.training",
    "mtl.estimators",
    "mtl.experiment.plan",
    "mtl.experiment.training",
    "mtl.experiment.transfer",
    "mtl.export",
    "mtl.inspection",
    "mtl.training.evaluation",
    "mtl.training.trainer",
}
"""Modules that are needed to train or to evaluate, but not to predict."""
PARTS_OF_TORCH = {"torch._dynamo", "torch._inductor", "torch.export._trace", "torch.onnx.utils"}
"""Modules of torch that take longer to import than a model to load."""
TOOLS = {"rich", "hypothesis", "jsonschema", "multiprocessing.pool", "concurrent.futures.process"}


def test_predicting_does_not_import_what_training_needs(trained: Path) -> None:
    modules = imported("predict", str(trained))
    assert "torch" in modules
    unwanted = {*HEAVY, *FOR_TRAINING, *PARTS_OF_TORCH, *TOOLS, "mtl.config.schema"}
    assert modules & unwanted == set()


def test_help_version_and_unknown_options() -> None:
    assert process("--version") == Result(0, f"mtl {__version__}\n", "")
    assert mtl().code == 2
    usage = mtl("--help")
    assert usage.code == 0
    assert "Example: mtl new phones.csv; mtl train phones" in usage.out
    for verb in ("train", "check", "evaluate", "predict", "report", "relate", "list", "schema"):
        assert f"\n  {verb} " in usage.out
        assert mtl(verb, "--help").out.startswith(f"Usage: mtl {verb} ")
        assert f"mtl {verb} " in mtl(verb, "--help").out.partition("Example: ")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tarin"], "No such command 'tarin'."),
        (["train"], "Missing argument 'RUN'."),
        (["train", "run.yaml", "--ouput", "x"], "No such option: --ouput"),
        (
            ["predict", "x", "--format", "xml"],
            "'xml' is not one of 'auto', 'conll', 'jsonl', 'csv', 'tsv', 'text', 'html'.",
        ),
    ],
)
def test_mistakes_on_the_command_line(arguments: list[str], message: str) -> None:
    result = mtl(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_model_moves_with_its_folder(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "elsewhere")
    text = "Ann Smith left New Rome."
    moved = mtl("predict", str(tmp_path / "elsewhere"), stdin=text)
    assert moved == mtl("predict", str(trained), stdin=text)
