"""`mtl report`: the history of a run, comparison of runs, and significance tests."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mtl import api
from mtl.cli.drawing import curve
from mtl.metrics import SpanF1
from tests.cli import project as small
from tests.cli.command import mtl
from tests.cli.records import records


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a good run, a poor one, one with two seeds, and one of another task."""
    folder = tmp_path_factory.mktemp("runs")
    small.write(folder)
    scaled = "sharing=tests.cli.scaled:Scaled"
    commands = {
        "good": ["training.epochs=5", scaled, "trunk.num_layers=2", "training.average=0.5"],
        "poor": ["training.epochs=1", "training.label_prior=false"],
        "seeds": ["training.epochs=1", "seeds=2", "tasks.ner=null"],
        "mood": ["training.epochs=1", "tasks.ner=null", "tasks.pos=null"],
        "pos": ["training.epochs=1", "tasks.ner=null", "tasks.mood=null"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, overrides in commands.items():
            result = mtl("train", "run.yaml", *overrides, "--output", name)
            assert result.code == 0, result.err
    return folder


@pytest.fixture(autouse=True)
def _there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)


def epochs(folder: str) -> list[dict]:
    return [record for record in records(Path(folder)) if record["type"] == "epoch"]


def test_one_run_shows_best_epoch_scores_and_curves() -> None:
    out = mtl("report", "good").out
    told = epochs("good")
    best = [epoch for epoch in told if epoch["improved"]][-1]
    assert out.startswith(f"good: best epoch {best['epoch'] + 1} of 5, ")
    (row,) = [line for line in out.splitlines() if line.startswith("│ pos")]
    assert f"accuracy {100 * best['dev']['pos']['accuracy']:.2f} " in row
    assert curve([epoch["dev"]["pos"]["accuracy"] for epoch in told]) in row
    assert curve([epoch["losses"]["pos"] for epoch in told]) in row


def test_learned_values_are_drawn_for_first_middle_and_last_epoch() -> None:
    out = mtl("report", "good").out
    assert "sharing.gain, epochs 1, 3, 5:" in out
    gains = [epochs("good")[i]["learnt"]["sharing.gain"] for i in (0, 2, 4)]
    for number, task in enumerate(["ner", "pos", "mood"]):
        drawn = re.findall(rf"^ *{task} .*$", out, re.MULTILINE)
        shown = [float(n) for line in drawn for n in re.findall(r"-?\d\.\d\d", line)]
        assert shown == [round(n, 2) for gain in gains for n in gain[number]]
    mean = [epoch["learnt"]["sharing.mean"] for epoch in epochs("good")]
    assert f"sharing.mean: {mean[0]:.3f} to {mean[-1]:.3f}  {curve(mean)}" in out


def test_learned_values_of_the_best_epoch_match_its_weights() -> None:
    best = [epoch for epoch in epochs("good") if epoch["improved"]][-1]
    gain = load_file("good/model.safetensors")["sharing.gain"]
    assert best["learnt"]["sharing.gain"] == gain.tolist()
    names = [["ner", "pos", "mood"], ["layer 1", "layer 2"]]
    assert best["axes"] == {"sharing.gain": names}


def test_several_runs_stand_side_by_side() -> None:
    out = mtl("report", "good", "poor", "seeds", "--format", "markdown", "--task", "pos").out
    title, _, header, rule, row, best = out.splitlines()[:6]
    assert (title, header) == ("dev, best epochs:", "| task | score | good | poor | seeds |")
    assert rule == "| --- | --- | ---: | ---: | ---: |"
    summary = json.loads(Path("seeds/summary.json").read_text())["dev"]["pos"]["accuracy"]
    poor = epochs("poor")[0]["dev"]["pos"]["accuracy"]
    mean = f"{100 * summary['mean']:.2f} ± {100 * summary['sd']:.2f}"
    assert row.startswith("| pos | accuracy | ")
    assert row.endswith(f" | {100 * poor:.2f} | {mean} |")
    assert best.endswith(" | 1 | 1, 1 |")


def test_columns_have_the_last_names_of_folders_where_these_differ(runs: Path) -> None:
    found = mtl("report", str(runs / "good"), "./poor", "--format", "markdown").out
    assert "| task | score | good | poor |" in found
    found = mtl("report", str(runs / "good"), "good", "--format", "markdown").out
    assert f"| task | score | {runs / 'good'} | good |" in found


def test_a_score_that_a_run_does_not_have_is_a_dash() -> None:
    out = mtl("report", "good", "seeds", "--format", "markdown").out
    assert re.search(r"\| ner \| span_f1 \| [\d.]+ \| – \|", out)


def test_json_has_the_scores_as_they_were_written() -> None:
    told = json.loads(mtl("report", "poor", "good", "--format", "json").out)
    (epoch,) = epochs("poor")
    found = told["runs"]["poor"]
    assert found["dev"]["ner"]["recall"] == {
        "mean": epoch["dev"]["ner"]["recall"], "sd": None, "values": [epoch["dev"]["ner"]["recall"]]
    }  # fmt: skip
    assert (found["epochs"], found["best_epochs"], told["test"]) == ([1], [1], {})
    assert list(told["runs"]["good"]["learnt"][0]) == ["sharing.gain", "sharing.mean"]


def test_two_models_are_compared_on_the_sentences_of_a_split() -> None:
    command = ("report", "--test", "good", "poor", "--task", "ner", "--draws", "200")
    found = json.loads(mtl(*command, "--format", "json").out)["test"]["ner"]
    labels = [api.load(name).label("test", ["ner"])["ner"] for name in ("good", "poor")]
    for key, (gold, guesses) in zip(("first", "second"), labels, strict=True):
        metric = SpanF1()
        metric.update(gold, guesses)
        assert found[key] == metric.compute()["span_f1"]
    assert (found["sentences"], found["score"]) == (10, "span_f1")
    assert found["p"] < 0.05
    assert f"{found['p']:.4f}" in mtl(*command).out


def test_a_run_does_not_differ_from_itself() -> None:
    out = mtl("report", "--test", "good", "good", "--task", "pos", "--format", "markdown").out
    assert out.rstrip().endswith(" | 1.0000 | 10 | 0 |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "error: data: not a run folder (it has no run.yaml)\n"),
        (["nowhere"], "error: nowhere: no such folder\n"),
        (["dtaa"], "error: dtaa: no such folder; did you mean 'data'?\n"),
        (["good", "pos", "--task", "nre"],
         "error: good: the run has no task 'nre'; did you mean 'ner'?\n"),
        (["mood", "pos"], "error: mood: the run has no task in common with the others\n"),
        (["--test", "good", "mood"],
         "error: no split 'test' of these tasks; expected one of: dev, train\n"),
        (["--test", "good", "seeds"],
         "error: seeds: contains several seeds; name one of them, such as seeds/seed-1\n"),
        (["--test", "good", "poor", "--split", "tset"],
         "error: no split 'tset' of these tasks; did you mean 'test'?\n"),
    ],
)  # fmt: skip
def test_mistakes_are_told(arguments: list[str], message: str) -> None:
    assert mtl("report", *arguments) == (2, "", message)


def test_options_of_the_test_do_nothing_without_it() -> None:
    result = mtl("report", "good", "--split", "dev")
    assert result.code == 2
    assert "has no effect without --test" in result.err
    assert "expected at least one run folder" in mtl("report").err


def test_runs_with_other_sentences_are_not_compared(tmp_path: Path) -> None:
    small.write(tmp_path)
    (tmp_path / "data/test.txt").write_text(small.news(10, 77))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    result = mtl("report", "--test", "good", str(tmp_path / "runs/run"), "--task", "ner")
    assert result == (
        2,
        "",
        "error: ner: the sentences or labels of 'test' differ between the runs\n",
    )


def test_a_run_without_a_finished_epoch_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("")
    (tmp_path / "metrics.jsonl").write_text('{"type": "step", "epoch": 0, "step": 0}\n{"ty')
    message = f"{tmp_path}: no epoch is finished yet; try again later"
    assert mtl("report", str(tmp_path)) == (2, "", f"error: {message}\n")


def test_a_curve_has_the_height_of_its_values() -> None:
    assert curve([3, 1, 2]) == "█▁▅"
    assert curve([5, 5]) == "▅▅"
    assert curve([1, math.nan, 2]) == "▁ █"
    long = curve(range(1000))
    assert (len(long), long[0], long[-1]) == (24, "▁", "█")
