"""Errors in run files name the place and the remedy, before any data is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Result, mtl


def assert_told(result: Result, *lines: str) -> None:
    """Check that these lines and nothing else are said, and that nothing is left behind."""
    assert result == Result(2, "", "".join(f"{line}\n" for line in lines))
    assert not Path("runs").exists()


IN_THE_RUN = {
    "misspelt key": ("words: {dim", "words: {dmi",
        "run.yaml:2:11: unknown key 'embedding.words.dmi'; did you mean 'dim'?"),
    "misspelt section": ("training:", "trainng:",
        "run.yaml:9:1: unknown key 'trainng'; did you mean 'training'?"),
    "misspelt type": ("type: lstm", "type: lstn", "run.yaml:4:15: trunk: unknown trunk 'lstn'; "
        "did you mean 'lstm'? (or your own, as module:Class)"),
    "wrong type of value": ("hidden_size: 16", "hidden_size: big", "run.yaml:4:49: "
        "trunk.hidden_size: expected a whole number of at least 1, got 'big'"),
    "negative learning rate": ("lr: 0.02", "lr: -0.02", "run.yaml:12:31: "
        "training.optimizer.lr: expected a number above 0, got -0.02"),
    "unknown corpus task": ("news/pos", "news/poss",
        "run.yaml:7:14: corpus 'news' has no task 'poss'; did you mean 'pos'?"),
    "no corpus task": ("news/pos", "news",
        "run.yaml:7:14: tasks.pos.use: expected CORPUS/TASK, got 'news'"),
    "use of a run": ("news/pos", "run/pos",
        "run.yaml:7:14: 'run' is a run file (run.yaml); expected a corpus file"),
    "name of a field": ("  pos:", "  spans:", "run.yaml:7:3: task name 'spans': predictions have a "
        "field of this name; choose another"),
    "duplicate task": ("  pos:", "  ner:",
        "run.yaml:7:3: duplicate key 'ner', first at run.yaml:6:3; remove one of them"),
    "duplicate key": ("epochs: 2", "epochs: 2\n  epochs: 3", "run.yaml:11:3: "
        "duplicate key 'epochs', first at run.yaml:10:3; remove one of them"),
    "layer out of range": ("use: news/pos", "use: news/pos, layer: 4", "run.yaml:7:31: "
        "tasks.pos.layer: the trunk has layers 0 (the embedding) to 1, got 4"),
    "scheme on labels that are no spans": ("use: news/pos", "use: news/pos, head: {scheme: iobes}",
        "run.yaml:7:39: tasks.pos.head.scheme: the head writes iobes tags, but the labels of 'pos' "
        "are not spans; set it to null, or set the `scheme` in the corpus file"),
    "scheme of a shared head": ("use: news/pos", "use: news/pos, head: ner",
        "run.yaml:7:30: tasks.pos.head: the head writes iobes tags, but the labels of 'pos' are "
        "not spans; give the task its own head, or set the `scheme` in the corpus file"),
    "sentence head on span tags": ("use: news/ner", "use: news/ner, head: {type: pool}",
        "run.yaml:6:30: tasks.ner.head: 'pool' predicts one label per sentence, the labels are "
        "span tags"),
    "metric of no task": ("  epochs: 2", "  metric: nre.span_f1",
        "run.yaml:10:11: training.metric: expected mean, TASK.SCORE or TASK.loss, "
        "got 'nre.span_f1'; did you mean 'ner'?"),
    "metric without such a score": ("  epochs: 2", "  metric: ner.f2", "run.yaml:10:11: "
        "training.metric: task 'ner' has no score 'f2'; expected one of: loss, precision, recall, "
        "span_f1"),
    "overlap too large": ("  epochs: 2", "  overlap: 512", "run.yaml:10:12: training.overlap: "
        "expected less than max_length (512), got 512"),
    "no YAML": ("trunk: {", "trunk: {{", "run.yaml:4:9: expected a plain word as key"),
    "a tab": ("  ner:", "\tner:",
        "run.yaml:6:1: not valid YAML: while scanning for the next token, "
        "found character '\\t' that cannot start any token"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), IN_THE_RUN.values(), ids=IN_THE_RUN)
@pytest.mark.parametrize("verb", ["train", "check"])
def test_a_mistake_in_a_run_file(
    project: Path, verb: str, old: str, new: str, message: str
) -> None:
    path = project / "run.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert_told(mtl(verb, "run.yaml"), f"error: {message}")


OVERRIDES = {
    "epochs": "expected key=value, such as training.epochs=3",
    "=3": "expected a key such as training.epochs, got ''",
    "trunk.dropout=[": "not valid YAML: while parsing a flow node, expected the node content, "
    "but found '<stream end>'",
    "training.epochs=0": "training.epochs: expected a whole number of at least 1, got 0",
    "training.optimiser.lr=1": "unknown key 'training.optimiser'; did you mean 'optimizer'?",
    "training.schedule=cosin": "training.schedule: unknown schedule 'cosin'; did you mean "
    "'cosine'? (or your own, as module:Class)",
}


@pytest.mark.parametrize(("override", "message"), OVERRIDES.items(), ids=OVERRIDES)
def test_a_mistake_in_an_override(project: Path, override: str, message: str) -> None:
    assert_told(mtl("train", "run.yaml", override), f"error: command line: {override}: {message}")


def test_all_errors_are_reported_before_data_is_read(project: Path) -> None:
    (project / "data/train.txt").write_text("a line with too few columns\n")
    text = (project / "run.yaml").read_text().replace("dim: 16", "dim: 0").replace("lstm", "rnn")
    (project / "run.yaml").write_text(text.replace("news/ner", "nws/ner"))
    told = mtl("train", "run.yaml", "training.epochs=many").err.splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        "error", "run.yaml:2:16", "run.yaml:4:15", "run.yaml:6:14"
    ]  # fmt: skip


FILES = {
    "missing": (None, "run.yaml: no such file"),
    "empty": (b"", "run.yaml: the file is empty; expected keys and values"),
    "a list": (b"- 1\n", "run.yaml:1:1: expected keys and values (`key: value`)"),
    "binary": (b"\0\1", "run.yaml: a binary file; expected YAML text"),
    "another encoding": (b"caf\xe9: 1", "run.yaml:1: not UTF-8 text; save the file as UTF-8"),
    "a circle": (b"extends: run.yaml", "run.yaml:1:10: extends: a file extends itself: "
                 "run.yaml -> run.yaml"),
    "extends nothing": (b"extends: base.yml", "run.yaml:1:10: extends: no such file: base.yml"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_run_file(project: Path, content: bytes | None, message: str) -> None:
    path = project / "run.yaml"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert_told(mtl("train", "run.yaml"), f"error: {message}")


def test_a_missing_data_file_says_where_it_was_looked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "data/train.txt"
    path.unlink()
    start = f"error: tasks/news.yaml:2:16: files.train: no such file: {path}"
    assert_told(mtl("train", "run.yaml"), start)
    monkeypatch.setenv("MTL_DATA", "/corpora/x")
    assert_told(mtl("train", "run.yaml"), f"{start} or /corpora/data/train.txt")


def test_a_mean_over_scores_of_both_directions_says_nothing(project: Path) -> None:
    (project / "loss.py").write_text(
        "from mtl.metrics import Accuracy\nclass Errors(Accuracy):\n    higher_is_better = False\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project))
        result = mtl("train", "run.yaml", "tasks.pos.metric=loss:Errors")
    assert result.code == 2
    assert (
        "training.metric: the mean is undefined: some metrics are better when higher" in result.err
    )
    assert not Path("runs").exists()


def test_a_missing_device_is_reported_before_data_is_read(project: Path) -> None:
    (project / "data/train.txt").write_text("a line with too few columns\n")
    result = mtl("train", "run.yaml", "training.device=cuda:99")
    assert result.err.startswith("error: no device 'cuda:99' here")
    assert result.code == 2
