"""`mtl predict --confidence --explain`: what labels rest on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.cli.formats import write_conll, write_jsonl
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction
from mtl.inference.task_prediction import TaskPrediction
from mtl.targets import LabelSetTarget, NumberTarget
from mtl.text.example import Example
from tests.cli import project as small
from tests.cli.command import Result, mtl

TEXT = "Ann saw New Rome.\nThis is great food.\n"
HEADS = [
    "tasks.mood.head={type: attention, hops: 2}",
    "tasks.pos.head={type: softmax, attention: key_value, window: 2}",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a run folder that no test changes, with heads that have attention."""
    folder = tmp_path_factory.mktemp("looking")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl("train", "run.yaml", "training.epochs=6", *HEADS)
    assert result.code == 0, result.err
    return str(folder / "runs/run")


def predict(model: str, *options: str, stdin: str = TEXT, note: str = "") -> str:
    result = mtl("predict", model, *options, stdin=stdin)
    assert (result.code, result.err) == (0, note)
    return result.out


def objects(model: str, *options: str, stdin: str = TEXT, note: str = "") -> list[dict[str, Any]]:
    lines = predict(model, "--format", "jsonl", *options, stdin=stdin, note=note).splitlines()
    return [json.loads(line) for line in lines]


def test_each_tag_has_its_probability_in_a_column_beside_it(model: str) -> None:
    lines = predict(model, "--confidence").split("\n\n")[0].splitlines()
    assert lines[3].startswith("# mood.confidence = 0.")
    assert lines[4] == "# columns = token ner ner.confidence pos pos.confidence"
    (first, *_) = objects(model, "--confidence")
    for row, ner, pos in zip(lines[5:], *map(first["confidence"].get, ("ner", "pos")), strict=True):
        assert row.split("\t")[2::2] == [f"{ner:.4f}", f"{pos:.4f}"]


def test_json_has_the_probabilities_of_tags_labels_and_spans(model: str) -> None:
    for sentence in objects(model, "--confidence"):
        certain = sentence["confidence"]
        assert list(certain) == ["ner", "pos", "mood"]
        assert len(certain["ner"]) == len(certain["pos"]) == len(sentence["tokens"])
        assert 0.5 <= certain["mood"] <= 1
        for span in sentence["spans"]["ner"]:
            start, end = span["tokens"]
            assert 0 < span["confidence"] <= min(certain["ner"][start:end]) + 1e-6


def test_the_rest_of_the_output_stays_as_it_is(model: str) -> None:
    plain = objects(model)
    for sentence in objects(model, "--confidence", "--explain"):
        del sentence["confidence"], sentence["attention"]
        for span in sentence["spans"]["ner"]:
            del span["confidence"]
        assert sentence == plain.pop(0)
    assert not plain


def test_each_hop_of_a_classifier_is_a_column(model: str) -> None:
    lines = predict(model, "--explain", "--task", "mood").split("\n\n")[0].splitlines()
    assert lines[3] == "# columns = token mood.attention.1 mood.attention.2"
    rows = [line.split("\t") for line in lines[4:]]
    assert [row[0] for row in rows] == ["Ann", "saw", "New", "Rome", "."]
    assert all(sum(float(row[hop]) for row in rows) == pytest.approx(1, abs=1e-3) for hop in (1, 2))


def test_json_has_hops_and_matrices(model: str) -> None:
    first, _ = objects(model, "--explain")
    assert set(first["attention"]) == {"pos", "mood"}
    assert torch.tensor(first["attention"]["mood"]).shape == (2, 5)
    matrix = torch.tensor(first["attention"]["pos"])
    torch.testing.assert_close(matrix.sum(1), torch.tensor([0.0, 1, 1, 1, 1]), atol=1e-4, rtol=0)
    assert "confidence" not in first


def test_text_without_words_has_nothing_to_tell(model: str) -> None:
    options = ["--input", "jsonl", "--confidence", "--explain"]
    line, note = '{"text": ""}', "note: 1 text has no words, and so no label\n"
    (empty,) = objects(model, *options, stdin=line, note=note)
    assert (empty["confidence"]["ner"], empty["attention"]["mood"]) == ([], [])
    assert empty["mood"] is None
    mood = (*options, "--task", "mood")
    assert "mood.attention" in predict(model, *mood, stdin=line, note=note)
    found = predict(model, *mood, "--format", "text", stdin=line, note=note)
    assert found.startswith("mood: _\n")


def test_text_is_shaded_by_weight(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    options = ["--explain", "--task", "mood", "--format", "text"]
    shades = predict(model, *options).splitlines()
    first, _ = objects(model, "--explain", "--task", "mood")
    for line, weights in zip(shades[1:3], first["attention"]["mood"], strict=True):
        strongest = first["tokens"][weights.index(max(weights))]
        assert f"\x1b[37;48;5;21m{strongest}\x1b[0m" in line
    assert predict(model, *options, "--confidence").startswith(f"mood: {first['mood']} (0.")


def test_in_a_pipe_text_has_no_shades(model: str) -> None:
    lines = predict(model, "--explain", "--task", "mood", "--format", "text").splitlines()
    assert lines[1:4] == ["  Ann saw New Rome .", "  Ann saw New Rome .", ""]


OF_A_PAIR = Prediction(
    Sentence(Example.pair(("a", "b"), ("c",))),
    {
        "t": TaskPrediction(
            frozenset(["y"]),
            {"x": 0.25, "y": 0.75},
            attention=torch.tensor([0.1, 0.9]),
            attention_b=torch.tensor([1.0]),
        )
    },
    {"t": LabelSetTarget("xy")},
    {},
)


def test_the_second_sentence_of_a_pair_has_weights_of_its_own() -> None:
    assert write_conll(OF_A_PAIR) == (
        "# text_b = c\n# t = y\n# t.confidence = y 0.7500, x 0.2500\n# t.attention_b = 1.0000\n"
        "# columns = token t.attention\na\t0.1000\nb\t0.9000\n\n"
    )
    record = json.loads(write_jsonl(OF_A_PAIR))
    assert (record["attention"], record["attention_b"]) == ({"t": [0.1, 0.9]}, {"t": [1.0]})
    assert record["confidence"] == {"t": {"x": 0.25, "y": 0.75}}


def test_numbers_have_no_confidence() -> None:
    targets = {"t": NumberTarget(0, 1)}
    number = Prediction(Sentence.from_words(["a"]), {"t": TaskPrediction(2.5)}, targets, {})
    assert write_conll(number) == "# t = 2.5\n# columns = token\na\n\n"
    assert json.loads(write_jsonl(number)) == {"tokens": ["a"], "t": 2.5}


WHO = (
    "heads that have it: attention, hierarchical; softmax, constrained, crf, memm, pool with the "
    "option `attention`"
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "ner"], f"ner: the head has no attention; {WHO}"),
        (["--task", "ner", "--task", "mood"], f"ner: the head has no attention; {WHO}"),
        ([], "pos: the attention weights are matrices; add --format jsonl"),
        (["--task", "pos", "--format", "text"], "pos: the attention weights are matrices; add "
         "--format jsonl"),
        (["--task", "moood"], "the model has no task 'moood'; did you mean 'mood'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said(model: str, options: list[str], message: str) -> None:
    found = mtl("predict", model, "--explain", "--method", "attention", *options, stdin=TEXT)
    assert found == Result(2, "", f"error: {message}\n")


def test_a_model_without_attention_says_so(trained: Path) -> None:
    found = mtl("predict", str(trained), "--explain", "--method", "attention", stdin=TEXT)
    assert found == Result(2, "", f"error: ner, pos, mood: the head has no attention; {WHO}\n")


def test_shades_need_weights(model: str) -> None:
    found = mtl("predict", model, "--format", "text", stdin=TEXT)
    assert found.code == 2
    assert "add --explain" in found.err


def test_a_matrix_of_a_long_text_is_refused(model: str) -> None:
    options = ["--explain", "--format", "jsonl", "--input", "conll"]
    found = mtl("predict", model, *options, stdin="Ann\nleft\n" * 1100)
    assert (found.code, found.out) == (2, "")
    assert "2,200 words" in found.err
