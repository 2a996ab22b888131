"""`mtl relate`: which task of a run helps which."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.cli import project as small
from tests.cli.command import mtl
from tests.cli.records import records, scores

COMMAND = ("relate", "run.yaml", "--epochs", "2", "--limit", "30", "--seeds", "2", "--output")
CONTENT = {"ner", "pos", "mood", "ner+pos", "ner+mood", "pos+mood", "+joint"}


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project after `mtl relate` with the output folder `out`."""
    folder = tmp_path_factory.mktemp("related")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl(*COMMAND, "out", "--json", "--html", "page.html")
        Path("told").write_text(result.err)
    assert result.code == 0, result.err
    (folder / "found.json").write_text(result.out)
    return folder


@pytest.fixture(autouse=True)
def _there(related: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(related)


@pytest.mark.slow
def test_each_task_and_each_pair_is_trained_with_every_seed() -> None:
    assert {path.name for path in Path("out").iterdir()} == CONTENT
    for name in CONTENT:
        assert {own.name for own in Path("out", name).iterdir()} == {
            "seed-1", "seed-2", "summary.json"
        }  # fmt: skip
    lines = Path("told").read_text().splitlines()
    assert lines[0] == "training 1 of 7, 2 seeds: ner"
    assert lines[-1] == "training 7 of 7, 2 seeds: ner + pos + mood"


def test_a_training_is_that_of_mtl_train() -> None:
    limits = ("corpora.news.limit.train=30", "corpora.mood.limit.train=30", "tasks.pos=null")
    command = ("train", "run.yaml", "training.epochs=2", "seed=2", "training.metric=ner.span_f1")
    assert mtl(*command, *limits, "--output", "alone").code == 0
    assert records(Path("alone")) == records(Path("out/ner+mood/seed-2"))


def test_gains_are_differences_of_the_best_dev_scores_seed_by_seed() -> None:
    gain = json.loads(Path("found.json").read_text())["gains"]["ner"]["pos"]
    best = {
        name: [max(scores("ner", "span_f1", Path(f"out/{name}/seed-{s}"))) for s in (1, 2)]
        for name in ("ner", "ner+pos")
    }
    expected = [b - a for a, b in zip(best["ner"], best["ner+pos"], strict=True)]
    assert gain["values"] == expected
    assert gain["margin"] == pytest.approx(12.7062 * abs(expected[0] - expected[1]) / 2, rel=1e-4)


@pytest.mark.parametrize(("kind", "part"), [("weighting", "dwa"), ("sharing", "soft")])
def test_a_task_alone_has_nothing_to_balance_or_share(kind: str, part: str) -> None:
    budget = ("--epochs", "1", "--seeds", "1", "--limit", "10", "--output", part)
    assert mtl("relate", "run.yaml", "tasks.mood=null", f"{kind}={part}", *budget).code == 0
    runs = {n: Path(part, n, "seed-1/run.yaml").read_text() for n in ("ner", "ner+pos")}
    assert {name: f"type: {part}\n" in run for name, run in runs.items()} == {
        "ner": False,
        "ner+pos": True,
    }


def test_a_pair_has_what_the_sharing_says_of_its_tasks() -> None:
    sharing = "sharing={type: soft, penalty: clustered, clusters: [[ner, mood], [pos]]}"
    budget = ("--epochs", "1", "--seeds", "1", "--limit", "10", "--output", "clusters")
    assert mtl("relate", "run.yaml", sharing, *budget).code == 0
    runs = {n: Path("clusters", n, "seed-1/run.yaml") for n in ("ner+pos", "pos+mood", "ner+mood")}
    found = {n: yaml.safe_load(path.read_text())["sharing"]["clusters"] for n, path in runs.items()}
    assert found == {
        "ner+pos": [["ner"], ["pos"]],
        "pos+mood": [["mood"], ["pos"]],
        "ner+mood": [["ner", "mood"]],
    }


def test_two_tasks_on_one_corpus_are_trained_without_an_adversary() -> None:
    sharing = "sharing={type: shared_private, adversary: 0.1, ramp: 9}"
    budget = ("--epochs", "1", "--seeds", "1", "--limit", "10", "--output", "adversary")
    result = mtl("relate", "run.yaml", sharing, *budget)
    runs = {n: Path("adversary", n, "seed-1/run.yaml") for n in ("ner+pos", "ner+mood")}
    found = {n: yaml.safe_load(path.read_text())["sharing"] for n, path in runs.items()}
    assert {n: own["adversary"] for n, own in found.items()} == {"ner+pos": 0, "ner+mood": 0.1}
    told = [line for line in result.err.splitlines() if "without the adversary" in line]
    end = "1 seed: ner + pos, without the adversary, for which they are one group"
    assert told == [f"training 4 of 7, {end}"]


def test_a_task_has_the_head_of_another_without_that_one_too() -> None:
    tasks = ["tasks.pos=null", "tasks.ner.head={dropout: 0.25}", "tasks.ner.lr=0.01"]
    tasks += [f"tasks.{name}={{use: news/ner, head: ner}}" for name in ("one", "two")]
    budget = ("--epochs", "1", "--seeds", "1", "--limit", "10", "--output", "heads")
    assert mtl("relate", "run.yaml", *tasks, "tasks.mood=null", *budget).code == 0
    runs = {n: Path("heads", n, "seed-1/run.yaml").read_text() for n in ("ner+one", "one+two")}
    found = {n: yaml.safe_load(run)["tasks"] for n, run in runs.items()}
    assert (found["ner+one"]["one"]["head"], found["one+two"]["two"]["head"]) == ("ner", "one")
    for own in ("head", "lr"):
        assert found["one+two"]["one"][own] == found["ner+one"]["ner"][own]


def test_tasks_have_the_properties_of_their_text() -> None:
    found = json.loads(Path("found.json").read_text())["tasks"]
    whole = mtl("relate", "run.yaml", "--epochs", "1", "--seeds", "1", "--output", "w", "--json")
    news = json.loads(whole.out)["tasks"]["pos"]
    rows = [row.split() for row in Path("data/train.txt").read_text().splitlines() if row]
    dev = [row.split()[0] for row in Path("data/dev.txt").read_text().splitlines() if row]
    tags = [count / len(rows) for count in Counter(row[1] for row in rows).values()]
    words = {row[0] for row in rows}
    assert found["mood"]["sentences"] == 30
    assert (news["sentences"], news["labels"]) == (40, 3)
    assert news["entropy"] == pytest.approx(-sum(p * math.log2(p) for p in tags))
    assert news["type_token_ratio"] == pytest.approx(len(words) / len(rows))
    assert news["unknown"] == sum(word not in words for word in dev) / len(dev)


def test_slopes_are_those_of_the_loss_that_was_written_down(tmp_path: Path) -> None:
    shutil.copytree("out", tmp_path / "out")
    for seed in (1, 2):  # 1 - 0.5 x, at x of the training, without noise
        path = tmp_path / f"out/pos/seed-{seed}/metrics.jsonl"
        epochs = [json.loads(line) for line in path.read_text().splitlines() if '"epoch", ' in line]
        whole = epochs[-1]["step"]
        for epoch, at in zip(epochs, (0.25, 0.75), strict=True):
            epoch["losses"]["pos"] = 1 - 0.5 * at
        step = {"type": "step", "epoch": 0, "step": 0, "losses": {"pos": 1.0}}
        path.write_text("".join(f"{json.dumps(line)}\n" for line in [step, *epochs]))
        assert whole == 8
    result = mtl(*COMMAND, str(tmp_path / "out"), "--resume", "--json")
    slopes = json.loads(result.out)["tasks"]["pos"]["slopes"]
    assert slopes == pytest.approx({"0.1": -0.5, "0.2": -0.5, "0.3": -0.5})


def test_what_is_finished_is_kept() -> None:
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("model.safetensors")}
    result = mtl(*COMMAND, "out", "--resume", "--json")
    assert result.out == Path("found.json").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_the_gains_are_a_matrix_and_the_properties_a_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    out = mtl(*COMMAND, "out", "--resume").out
    found = json.loads(Path("found.json").read_text())
    gain = found["gains"]["mood"]["ner"]
    (row,) = [line for line in out.splitlines() if line.startswith("│ mood │ accuracy")]
    assert f" {100 * gain['mean']:+.2f} ±" in row
    entropies = [f"{own['entropy']:.2f}" for own in found["tasks"].values()]
    (row,) = [line for line in out.splitlines() if "entropy" in line]
    assert [cell.strip() for cell in row.split("│")[2:-1]] == entropies


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*COMMAND, "out"], "out: exists already; continue its training with --resume, "),
        ([*COMMAND, "data"], "data: exists already; choose another folder with --output"),
        ([*COMMAND, "new", "tasks.ner=null", "tasks.pos=null"],
         "run.yaml: expected two or more tasks, at least one with dev scores"),
        ([*COMMAND, "out", "--resume", "trunk.hidden_size=4"],
         "out/ner/seed-1: was trained with trunk.hidden_size = 16, now it is 4"),
    ],
)  # fmt: skip
def test_mistakes_are_told(arguments: list[str], message: str) -> None:
    result = mtl(*arguments)
    assert (result.code, result.out) == (2, "")
    assert f"error: {message}" in result.err


def test_the_page_has_the_mean_gains() -> None:
    page = Path("page.html").read_text(encoding="utf-8")
    gains = json.loads(Path("found.json").read_text())["gains"]
    for main, by_other in gains.items():
        for other, gain in by_other.items():
            assert f"{100 * gain['mean']:+z.2f} ± {100 * gain['margin']:.2f}" in page, (main, other)


def test_a_page_that_cannot_be_written_is_refused_before_training() -> None:
    result = mtl(*COMMAND, "late", "--html", "no/page.html")
    assert result.code == 2
    assert "does not exist" in " ".join(re.sub("[│╭╮╰╯─]", " ", result.err).split())
    assert not Path("late").exists()


def test_affinities_are_those_of_the_gradients_of_the_joint_training() -> None:
    found = json.loads(Path("found.json").read_text())["affinities"]
    assert {task: set(own) for task, own in found.items()} == {
        task: {"ner", "pos", "mood"} - {task} for task in ("ner", "pos", "mood")
    }
    expected = []
    for seed in (1, 2):
        lines = Path(f"out/+joint/seed-{seed}/metrics.jsonl").read_text().splitlines()
        steps = [own for own in map(json.loads, lines) if own["type"] == "step"]
        assert [own["step"] for own in steps] == list(range(0, len(steps) * 5, 5))
        values = [
            own["lr"] * own["gradients"]["cosines"]["ner"]["pos"] / own["losses"]["pos"]
            * own["gradients"]["norms"]["ner"] * own["gradients"]["norms"]["pos"]
            for own in steps
        ]  # fmt: skip
        expected.append(sum(values) / len(values))
    assert found["pos"]["ner"]["values"] == pytest.approx(expected)


def test_the_page_and_the_tables_have_the_affinities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    found = json.loads(Path("found.json").read_text())
    page = Path("page.html").read_text(encoding="utf-8")
    out = mtl(*COMMAND, "out", "--resume").out
    for by_other in found["affinities"].values():
        for own in by_other.values():
            text = f"{100 * own['mean']:+z.4f} ± {100 * own['margin']:.4f}"
            assert text in page
            assert text in out
    remark = f"Kendall's τ within tasks {found['agreement']:+z.2f}"
    assert remark.replace("'", "&#39;") in page
    assert remark in out


def test_fast_measures_affinities_alone_and_groups_tasks_by_them() -> None:
    budget = ("--epochs", "2", "--limit", "30", "--seeds", "2", "--output", "fast")
    arguments = ("relate", "run.yaml", *budget, "--fast", "--groups", "2")
    found = json.loads(mtl(*arguments, "--json", "--html", "fast.html").out)
    assert {path.name for path in Path("fast").iterdir()} == {"+joint"}
    assert found["affinities"] == json.loads(Path("found.json").read_text())["affinities"]
    assert (found["alone"], found["gains"], found["agreement"]) == (
        {},
        {task: {} for task in ("ner", "pos", "mood")},
        None,
    )
    assert sorted(task for group in found["groups"] for task in group) == ["mood", "ner", "pos"]
    assert len(found["groups"]) <= 2
    page = Path("fast.html").read_text(encoding="utf-8")
    out = mtl(*arguments, "--resume").out
    line = f"groups to train together, by affinity: {'; '.join(map(' + '.join, found['groups']))}"
    assert line in out
    assert line in page
    assert "+ pos" in page
    assert "alone" not in out


def test_tasks_that_share_nothing_have_no_affinities() -> None:
    nothing = ("sharing.type=none", "training.fine_tuning.frozen=[embedding]", "tasks.mood=null")
    budget = ("--epochs", "1", "--limit", "10", "--seeds", "1", "--output", "nothing")
    result = mtl("relate", "run.yaml", *nothing, *budget, "--fast")
    assert result.code == 2
    assert "the tasks share no trained parameters, so they have no affinities" in result.err
    assert not Path("nothing").exists()  # found before the first training
