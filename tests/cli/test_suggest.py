"""`mtl suggest`: sentences to label next, and the files for annotation tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.command import assert_told, mtl

TEXT = "Ann left Rome.\nZoe  visits Lima!\n\nThis is good food.\nAnn left Rome.\n"


@pytest.fixture
def output(model: str, tmp_path: Path) -> Path:
    """Return the folder of the suggestions for two sentences."""
    Path("pool.txt").write_text(TEXT)
    result = mtl("suggest", model, "pool.txt", "--number", "2", "--output", "out")
    assert result.code == 0, result.err
    assert result.out.startswith("2 of 4 sentences to label next\n")
    return tmp_path / "out"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_suggestions_are_different_sentences_of_the_input(output: Path) -> None:
    found = rows(output / "suggestions.jsonl")
    sentences = [line for line in TEXT.splitlines() if line]
    texts = [own["text"] for own in found]
    assert len(set(texts)) == 2
    assert [sentences[own["index"]] for own in found] == texts
    assert all(0 <= own["uncertainty"] <= 1 for own in found)


def test_doccano_reads_the_predictions_at_their_characters(output: Path) -> None:
    found = rows(output / "suggestions.jsonl")
    for own, spans, moods in zip(
        found, rows(output / "doccano-ner.jsonl"), rows(output / "doccano-mood.jsonl"), strict=True
    ):
        assert own["text"] == spans["text"] == moods["text"]
        assert moods["label"] == [own["mood"]]
        expected = [(span["text"], span["type"]) for span in own["spans"]["ner"]]
        assert [(own["text"][s:e], kind) for s, e, kind in spans["label"]] == expected
    words = rows(output / "doccano-pos.jsonl")[0]
    assert [words["text"][s:e] for s, e, _ in words["label"]] == found[0]["tokens"]
    assert [label for _, _, label in words["label"]] == found[0]["pos"]


def test_label_studio_reads_the_predictions_and_the_interface(output: Path) -> None:
    interface = ElementTree.parse(output / "label-studio.xml").getroot()
    controls = {own.get("name"): own for own in interface}
    assert [own.tag for own in interface] == ["Labels", "Labels", "Choices", "Text"]
    items = json.loads((output / "label-studio.json").read_text(encoding="utf-8"))
    for item in items:
        text = item["data"]["text"]
        (prediction,) = item["predictions"]
        assert 0 <= prediction["score"] <= 1
        assert len({own["id"] for own in prediction["result"]}) == len(prediction["result"])
        for own in prediction["result"]:
            control = controls[own["from_name"]]
            assert own["to_name"] == control.get("toName") == "text"
            value = own["value"]
            given = value["labels"] if own["type"] == "labels" else value["choices"]
            assert {*given} <= {label.get("value") for label in control}
            if own["type"] == "labels":
                assert text[value["start"] : value["end"]] == value["text"]


def test_the_files_can_be_read_again(model: str) -> None:
    Path("pool.txt").write_text(TEXT * 3)
    assert mtl("suggest", model, "pool.txt", "--output", "out").code == 0
    for name in ("doccano-ner.jsonl", "doccano-mood.jsonl"):
        result = mtl("new", str(Path("out") / name), "--name", Path(name).stem.replace("-", "_"))
        assert result.code == 0, result.err


def test_files_of_words_have_their_words_with_blanks_between(model: str) -> None:
    Path("pool.conll").write_text("Ann\nleft\nRome\n.\n\nTom\nsaw\nOslo\n")
    options = ("--no-diversity", "--uncertainty", "confidence", "--task", "ner", "--number", "9")
    result = mtl("suggest", model, "pool.conll", *options, "--output", "out")
    assert result.code == 0, result.err
    found = rows(Path("out/doccano-ner.jsonl"))
    assert {own["text"] for own in found} == {"Ann left Rome .", "Tom saw Oslo"}
    numbers = [own["uncertainty"] for own in rows(Path("out/suggestions.jsonl"))]
    assert numbers == sorted(numbers, reverse=True)
    assert not Path("out/doccano-mood.jsonl").exists()


def test_fields_of_the_input_keep_their_values(model: str) -> None:
    own = {"text": "Ann left Rome.", "index": "a", "uncertainty": "b", "mood": "c"}
    Path("pool.jsonl").write_text(json.dumps(own) + "\n")
    assert mtl("suggest", model, "pool.jsonl", "--output", "out").code == 0
    (found,) = rows(Path("out/suggestions.jsonl"))
    assert own.items() <= found.items()
    assert found["suggestion_index"] == 0
    assert 0 <= found["suggestion_uncertainty"] <= 1
    assert found["predicted_mood"] in ("glad", "sad")


def test_mistakes(model: str) -> None:
    Path("out").mkdir()
    Path("pool.txt").write_text(TEXT)
    result = mtl("suggest", model, "pool.txt", "--output", "out")
    assert_told(result, "out: exists already; choose another folder, or remove it")
    Path("empty.txt").write_text("\n")
    result = mtl("suggest", model, "empty.txt", "--output", "new")
    assert_told(result, "the text has no words; expected at least one sentence")
    assert not Path("new").exists()
