"""`mtl predict` and Python label the unit of text that each task was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mtl as library
from mtl.errors import MtlError
from tests.cli.command import Result, mtl

THREE = "Ann left Rome. This is great food. Bob saw Lima!"
SENTENCES = ["Ann left Rome.", "This is great food.", "Bob saw Lima!"]


def objects(result: Result) -> list[dict[str, Any]]:
    assert (result.code, result.err) == (0, "")
    return [json.loads(line) for line in result.out.splitlines()]


def predict(model: str, *options: str, stdin: str) -> list[dict[str, Any]]:
    return objects(mtl("predict", model, "--format", "jsonl", *options, stdin=stdin))


def test_a_record_has_tags_for_all_words_and_one_label(model: str) -> None:
    (found,) = predict(model, "--input", "jsonl", stdin=json.dumps({"id": 1, "text": THREE}))
    assert len(found["pos"]) == len(found["ner"]) == len(found["tokens"]) == 13
    assert found["mood"] in ("glad", "sad")
    assert [THREE[start:end] for start, end in found["offsets"]] == found["tokens"]


def test_taggers_read_the_sentences_and_classifiers_the_whole(model: str) -> None:
    loaded = library.load(model)
    options = ["--input", "jsonl", "--confidence"]
    (found,) = predict(model, *options, stdin=json.dumps({"text": THREE}))
    apart = list(loaded.annotate(SENTENCES, ["ner", "pos"], confidence=True))
    for task in ("ner", "pos"):
        assert found[task] == [tag for own in apart for tag in own.labels[task]]
        flat = [p for own in apart for p in own.confidence[task]]
        assert found["confidence"][task] == pytest.approx(flat, abs=1e-5)
    # Words are not split, so a list of them is read as a whole.
    (whole,) = loaded.annotate([found["tokens"]], confidence=True)
    assert found["confidence"]["mood"] == pytest.approx(whole.confidence["mood"], abs=1e-5)
    assert found["mood"] == whole.labels["mood"]


def test_the_unit_changes_what_a_task_reads(model: str) -> None:
    """Confidences differ by context, so equal ones show that the same text was read."""
    loaded = library.load(model)
    (sentence,) = loaded.annotate([THREE], confidence=True, unit="sentence")
    (record,) = loaded.annotate([THREE], confidence=True, unit="record")
    (default,) = loaded.annotate([THREE], confidence=True)
    assert default.confidence["pos"] == pytest.approx(sentence.confidence["pos"], abs=1e-5)
    assert default.confidence["mood"] == pytest.approx(record.confidence["mood"], abs=1e-5)
    assert default.confidence["pos"] != pytest.approx(record.confidence["pos"], abs=1e-5)
    assert default.confidence["mood"] != pytest.approx(sentence.confidence["mood"], abs=1e-5)


def test_a_label_of_sentences_is_the_mean_over_them(model: str) -> None:
    loaded = library.load(model)
    run = loaded.predictor.run
    from mtl.inference.inputs import Sentence

    (text,) = run([Sentence.from_text(THREE)], ["mood"], logits=True, by_sentence=["mood"])
    apart = run(map(Sentence.from_text, SENTENCES), ["mood"], logits=True)
    expected = sum(own["mood"].logits for own in apart) / 3
    assert text["mood"].logits.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_line_of_text_is_one_text_for_classifiers(model: str) -> None:
    lines = f"{THREE}\nThis is bad news. Awful.\n"
    for options in ([], ["--task", "mood"], ["--unit", "record"], ["--whole"]):
        assert len(predict(model, *options, stdin=lines)) == 2
    found = predict(model, "--task", "pos", stdin=lines)
    assert [own["text"] for own in found] == [*SENTENCES, "This is bad news.", "Awful."]
    found = predict(model, "--unit", "sentence", stdin=lines)
    assert [own["text"] for own in found] == [*SENTENCES, "This is bad news.", "Awful."]
    assert all(
        lines[o[0] : o[1]] == t
        for own in found
        for o, t in zip(own["offsets"], own["tokens"], strict=True)
    )


def test_a_wrapped_text_is_read_as_a_paragraph(model: str) -> None:
    mail = "Ann left\nRome. Bob saw\nLima!\n\nThis is great\nfood.\n"
    options = ["--input", "paragraphs"]
    tagged = predict(model, *options, "--task", "pos", stdin=mail)
    assert [own["text"] for own in tagged] == [
        "Ann left\nRome.",
        "Bob saw\nLima!",
        "This is great\nfood.",
    ]
    for found in (tagged, predict(model, *options, "--task", "mood", stdin=mail)):
        for own in found:
            assert [mail[start:end] for start, end in own["offsets"]] == own["tokens"]
    assert len(found) == 2


@pytest.mark.parametrize("reader", ["csv", "tsv", "lines", "jsonl"])
@pytest.mark.parametrize("unit", [None, "sentence"])
def test_the_unit_follows_the_training_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, unit: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    text = {
        "csv": "text,y\nGood food. Nice.,a\nBad food. Cold.,b\n",
        "tsv": "text\ty\nGood food. Nice.\ta\nBad food. Cold.\tb\n",
        "lines": "a Good food. Nice.\nb Bad food. Cold.\n",
        "jsonl": '{"text": "Good food. Nice.", "y": "a"}\n{"text": "Bad food. Cold.", "y": "b"}\n',
    }[reader]
    Path("data").write_text(text)
    labels = "label" if reader == "lines" else "y"
    kept = f"unit: {unit}, " if unit else ""
    Path("run.yaml").write_text(
        "embedding: {words: {dim: 8}}\ntrunk: {type: lstm, num_layers: 1, hidden_size: 8}\n"
        f"corpora: {{c: {{reader: {{type: {reader}}}, {kept}files: {{train: data, dev: data}}, "
        f"tasks: {{y: {{labels: {labels}, head: pool, metric: accuracy}}}}}}}}\n"
        "tasks: {y: {use: c/y}}\ntraining: {epochs: 1}\n"
    )
    assert mtl("train", "run.yaml").code == 0
    # A line with three sentences; a record is never split.
    assert len(predict("runs/run", stdin=THREE)) == (3 if unit else 1)
    record = json.dumps({"text": THREE})
    assert len(predict("runs/run", "--input", "jsonl", stdin=record)) == 1


def test_classifiers_of_conll_sentences_read_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "# genre = a\ngood\tx\n\n# genre = b\nbad\tx\n\n" * 3
    Path("data").write_text(rows)
    Path("run.yaml").write_text(
        "embedding: {words: {dim: 8}}\ntrunk: {type: lstm, num_layers: 1, hidden_size: 8}\n"
        "corpora: {c: {reader: {type: conll, columns: [tokens, x]}, "
        "files: {train: data, dev: data}, "
        "tasks: {y: {labels: {metadata: genre}, head: pool, metric: accuracy}}}}\n"
        "tasks: {y: {use: c/y}}\ntraining: {epochs: 1}\n"
    )
    assert mtl("train", "run.yaml").code == 0
    assert len(predict("runs/run", stdin=THREE)) == 3


def test_units_that_do_not_fit_are_refused(model: str) -> None:
    loaded = library.load(model)
    with pytest.raises(MtlError, match="unit: expected 'sentence', 'record' or None, got 'line'"):
        loaded.predict([THREE], unit="line")
    with pytest.raises(MtlError, match="exclude each other"):
        loaded.annotate([THREE], unit="record", split_sentences=True)
