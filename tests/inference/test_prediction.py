"""Predictions as users see them, from Python and from the command line."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

import mtl as library
from mtl.config.run import FIELDS
from mtl.errors import MtlError
from mtl.inference.explanation import FIELD
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction
from mtl.inference.task_prediction import TaskPrediction
from mtl.targets import LabelSetTarget, NumberTarget, SentenceLabelTarget
from mtl.text.example import Example
from tests.cli import project as small
from tests.cli.command import mtl

TEXTS = [
    "Ann Smith left New Rome.",
    "  Tom's café \U0001f600 in Oslo. Bob saw Lima!",
    "",
    "Eva likes Bonn " * 20,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the run folder of a model that no test changes."""
    project = tmp_path_factory.mktemp("project")
    small.write(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        library.train(
            "run.yaml",
            {"training.epochs": 12, "training.max_length": 20, "training.overlap": 4},
            progress=False,
        )
    return str(project / "runs/run")


@pytest.fixture(scope="module")
def model(folder: str) -> library.TrainedModel:
    return library.load(folder, device="cpu")


def records(*arguments: str, stdin: str) -> list[dict[str, object]]:
    result = mtl("predict", *arguments, "--format", "jsonl", stdin=stdin)
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def as_json(predictions: list[Prediction]) -> list[dict[str, object]]:
    return json.loads(json.dumps([prediction.to_dict() for prediction in predictions]))


@pytest.mark.parametrize("confidence", [False, True])
def test_python_and_the_command_line_agree(
    model: library.TrainedModel, folder: str, confidence: bool
) -> None:
    options = ["--confidence"] if confidence else []
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    for unit in (None, "record", "sentence"):
        own = ["--unit", unit] if unit else []
        found = records(folder, "--input", "jsonl", *own, *options, stdin=lines)
        stream = model.annotate(TEXTS, confidence=confidence, unit=unit)
        assert as_json(list(stream)) == found
    text = "".join(f"{line}\n" for line in TEXTS[:1])
    found = records(folder, "--unit", "sentence", *options, stdin=text)
    stream = model.annotate(TEXTS[:1], confidence=confidence, split_sentences=True)
    assert as_json(list(stream)) == found
    words = [text.split() for text in TEXTS]
    lines = "".join(json.dumps({"tokens": tokens}) + "\n" for tokens in words)
    found = records(folder, "--input", "jsonl", *options, stdin=lines)
    assert as_json(list(model.annotate(words, confidence=confidence))) == found


def test_a_line_of_text_may_be_one_sentence(model: library.TrainedModel, folder: str) -> None:
    text = "".join(f"{line}\n" for line in TEXTS)
    found = records(folder, "--whole", stdin=text)
    expected = as_json(list(model.annotate([line for line in TEXTS if line], unit="record")))
    assert [own["ner"] for own in found] == [own["ner"] for own in expected]
    for own in found:
        assert [text[start:end] for start, end in own["offsets"]] == own["tokens"]


def test_labels_are_those_of_predict(model: library.TrainedModel) -> None:
    labels = model.predict(TEXTS)
    predictions = list(model.annotate(TEXTS))
    assert {task: [p.labels[task] for p in predictions] for task in model.tasks} == labels


def test_offsets_and_spans_point_into_the_text(model: library.TrainedModel) -> None:
    for text, prediction in zip(TEXTS, model.annotate(TEXTS, confidence=True), strict=True):
        assert prediction.text == text
        words = tuple(text[start:end] for start, end in prediction.offsets)
        assert words == prediction.tokens
        for span in prediction.spans["ner"]:
            assert text[span.start : span.end] == span.text
            assert 0 < span.confidence <= 1
    (first, *_) = model.annotate(TEXTS, ["ner"])
    assert [(s.type, s.text, s.start, s.end) for s in first.spans["ner"]] == [
        ("PER", "Ann Smith", 0, 9),
        ("LOC", "New Rome", 15, 23),
    ]


def test_words_have_no_offsets(model: library.TrainedModel) -> None:
    (found,) = model.annotate([["Ann", "left"]], ["ner"])
    assert (found.text, found.offsets, found.tokens) == (None, (), ("Ann", "left"))
    (span,) = found.spans["ner"]
    assert (span.text, span.start, span.end) == ("Ann", None, None)


def test_a_prediction_prints_as_a_table(model: library.TrainedModel) -> None:
    (found,) = model.annotate(["Ann left Rome."])
    mood = found.labels["mood"]
    assert str(found).splitlines() == [
        f"mood: {mood}",
        "token  ner    pos",
        "Ann    B-PER  NNP",
        "left   O      VBD",
        "Rome   B-LOC  NNP",
        ".      O      .",
    ]
    assert repr(found) == (
        f"<Prediction 'Ann left Rome.': ner=B-PER O B-LOC O, pos=NNP VBD NNP ., mood={mood}>"
    )
    (certain,) = model.annotate(["Ann left Rome."], confidence=True)
    assert str(certain).splitlines()[0] == f"mood: {mood} ({certain.confidence['mood']:.4f})"
    assert str(certain).splitlines()[1] == "token  ner    ner.confidence  pos  pos.confidence"


def test_a_pair_prints_both_sentences() -> None:
    pair = Sentence.pair(Sentence.from_text("It rains."), Sentence.from_words(["It", "snows"]))
    targets = {"same": SentenceLabelTarget(["no", "yes"])}
    found = Prediction(pair, {"same": TaskPrediction("no", 0.75)}, targets, {})
    assert str(found) == "It rains. | It snows\nsame: no (0.7500)"
    assert repr(found) == "<Prediction 'It rains. | It snows': same=no (0.7500)>"


def test_sets_and_numbers_print_on_a_line() -> None:
    answers = {"topics": TaskPrediction(frozenset(["b", "a"])), "stars": TaskPrediction(2.5)}
    targets = {"topics": LabelSetTarget("ab"), "stars": NumberTarget(0.0, 1.0)}
    found = Prediction(Sentence(Example(("Good", "soup"))), answers, targets, {})
    assert str(found) == "Good soup\ntopics: a, b\nstars: 2.5"
    assert found.labels == {"topics": ["a", "b"], "stars": 2.5}


def test_a_generator_is_read_lazily(model: library.TrainedModel) -> None:
    read = []
    texts = (read.append(text) or text for text in TEXTS)
    stream = model.annotate(texts, chunk_size=1)
    assert read == []
    assert next(stream).text == TEXTS[0]
    assert read == TEXTS[:1]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["Ann", None], r"sentences\[1\]: expected text or a list of words, got None"),
        ([float("nan")], r"sentences\[0\]: expected text or a list of words, got nan"),
        ([["Ann", 3]], r"sentences\[0\]: expected a list of words, found 3 among them"),
        ("Ann", "expected a list of sentences, got one string"),
        (["a", b"x"], r"sentences\[1\]: expected text or a list of words, got b'x'"),
        ([1], r"sentences\[0\]: expected text or a list of words, got 1"),
        ([["a", b"x"]], r"sentences\[0\]: expected a list of words, found b'x' among them"),
        (["\ud800"], r"sentences\[0\]: expected text, found an incomplete character, '\\ud800'"),
        ([["a", "é\udfff"]], r"sentences\[0\]: expected text, found an incomplete character"),
        ([{"text": "Ann"}], r"sentences\[0\]: expected text or a list of words, got {'text'"),
        ({"text": ["Ann"]}, "expected a list of sentences, got dict; pass a list or one column"),
        (b"Ann", "expected a list of sentences, got bytes"),
        (None, "expected a list of sentences, got None"),
    ],
)
def test_an_item_that_is_not_a_sentence_is_named(
    model: library.TrainedModel, sentences: list[object], message: str
) -> None:
    with pytest.raises(MtlError, match=message):
        model.predict(sentences)


def test_a_table_is_not_labelled_as_text(folder: str, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("text,label\nAnn left.,x\n")
    found = mtl("predict", folder, str(path), "--task", "mood")
    assert found.out.splitlines()[0] == "text,label,mood"
    assert found.out.splitlines()[1].startswith("Ann left.,x,")
    lines = mtl("predict", folder, str(path), "--input", "text", "--format", "jsonl").out
    assert [json.loads(line)["text"] for line in lines.splitlines()] == [
        "text,label",
        "Ann left.,x",
    ]


def test_models_and_scores_print_readably(model: library.TrainedModel) -> None:
    assert repr(model).endswith("runs/run': ner, pos, mood>")
    assert str(model).splitlines()[2:] == [
        "task pos: news/pos, head softmax, 3 labels",
        "task mood: mood/mood, head pool, 2 labels",
    ]
    assert model.models == [model]
    evaluation = model.evaluate("dev")
    scores = str(evaluation).splitlines()
    score = evaluation.scores()["pos"]["accuracy"]
    assert scores[scores.index(f"pos: accuracy {score:.4f}") :][:3] == [
        f"pos: accuracy {score:.4f}",
        "  label  precision  recall  f1      support",
        "  .      1.0000     1.0000  1.0000  10",
    ]
    assert repr(evaluation).startswith("<Evaluation ner: span_f1 ")


def test_no_task_can_have_the_name_of_a_field() -> None:
    source = inspect.getsource(Prediction.own_fields)
    assert {*re.findall(r'"(\w+)"(?=\]|: \{)', source), FIELD} == FIELDS
