"""A run with several seeds: `mtl train`, and `mtl evaluate` on what it leaves."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import mtl
from tests.cli.records import records

COMMAND = ("train", "run.yaml", "training.epochs=2", "seed=4", "seeds=2")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project whose run was trained with two seeds."""
    folder = tmp_path_factory.mktemp("seeded")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl(*COMMAND)
        Path("told").write_text(result.out)
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def copy(seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that folder, in which the test runs."""
    shutil.copytree(seeded, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    for path in Path("runs").rglob("run.yaml"):  # which names the data
        path.write_text(path.read_text().replace(f"{seeded}/", f"{tmp_path}/copy/"))
        path.with_name("checksums.txt").unlink()  # as the error asks for
    return Path("runs/run")


def test_each_seed_is_the_run_that_it_would_be_alone(copy: Path) -> None:
    assert mtl("train", "run.yaml", "training.epochs=2", "seed=5", "--output", "alone").code == 0
    models = [path / "model.safetensors" for path in (copy / "seed-5", Path("alone"))]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert records(copy / "seed-5") == records(Path("alone"))
    assert records(copy / "seed-4") != records(Path("alone"))


def test_the_summary_is_mean_and_standard_deviation_of_the_best_epochs(copy: Path) -> None:
    summary = json.loads((copy / "summary.json").read_text())
    assert set(summary["best_epochs"]) == {"4", "5"}
    last = [
        [r for r in records(copy / f"seed-{seed}") if r["type"] == "epoch" and r["improved"]][-1]
        for seed in (4, 5)
    ]
    found = summary["dev"]["pos"]["accuracy"]
    assert found["values"] == [record["dev"]["pos"]["accuracy"] for record in last]
    assert found["mean"] == pytest.approx(statistics.mean(found["values"]))
    assert found["sd"] == pytest.approx(statistics.stdev(found["values"]))


def test_training_tells_the_summary_and_what_to_type_next(copy: Path) -> None:
    lines = Path("told").read_text().splitlines()
    assert lines[0] == "dev, best epochs of 2 seeds"
    accuracy = json.loads((copy / "summary.json").read_text())["dev"]["mood"]["accuracy"]
    (row,) = [line for line in lines if line.startswith("│ mood")]
    assert f" {100 * accuracy['mean']:.2f} ± {100 * accuracy['sd']:.2f} " in row
    assert lines[-2:] == [
        "models: runs/run/seed-4, runs/run/seed-5",
        "next:  mtl evaluate runs/run",
    ]


def test_evaluation_is_over_the_seeds(copy: Path) -> None:
    both = json.loads(mtl("evaluate", str(copy), "--json").out)
    alone = [json.loads(mtl("evaluate", str(copy / f"seed-{s}"), "--json").out) for s in (4, 5)]
    assert both["ner"]["span_f1"]["values"] == [found["ner"]["span_f1"] for found in alone]
    shown = mtl("evaluate", str(copy), "--task", "pos").out
    assert shown.startswith("test, 2 seeds\n")
    pos = both["pos"]["accuracy"]
    assert f"│ pos  │ {100 * pos['mean']:.2f} ± {100 * pos['sd']:.2f} │" in shown


def test_resuming_trains_what_is_missing_and_nothing_else(copy: Path) -> None:
    whole = {seed: (copy / f"seed-{seed}/model.safetensors").read_bytes() for seed in (4, 5)}
    shutil.rmtree(copy / "seed-5/checkpoint")  # killed in its first epoch
    before = (copy / "seed-4/model.safetensors").stat().st_mtime_ns
    result = mtl(*COMMAND, "--resume")
    assert result.code == 0, result.err
    assert (copy / "seed-4/model.safetensors").stat().st_mtime_ns == before
    assert (copy / "seed-5/model.safetensors").read_bytes() == whole[5]
    assert [r["epoch"] for r in records(copy / "seed-5") if r["type"] == "epoch"] == [0, 1]


def test_resuming_with_more_seeds_adds_them(copy: Path) -> None:
    assert mtl(*COMMAND[:-1], "seeds=3", "--resume").code == 0
    assert set(json.loads((copy / "summary.json").read_text())["best_epochs"]) == {"4", "5", "6"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (COMMAND, "runs/run: exists already; continue its training with --resume, "),
        ((*COMMAND, "trunk.hidden_size=8", "--resume"),
         "runs/run/seed-4: was trained with trunk.hidden_size = 16, now it is 8"),
        (("predict", "runs/run"),
         "runs/run: contains several seeds; name one of them, such as runs/run/seed-4"),
        (("train", "run.yaml", "seed=9223372036854775807", "seeds=2"),
         "command line: seeds=2: seeds: expected seeds below 2^63, the last one is "),
    ],
)  # fmt: skip
def test_mistakes_are_told(copy: Path, arguments: tuple[str, ...], message: str) -> None:
    result = mtl(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {message}")
