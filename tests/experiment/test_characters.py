"""Classifiers that read characters, from the corpus file to predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mtl as library
from mtl.errors import MtlError
from tests.cli.command import mtl

CORPUS = """\
reader: {{type: {type}, tokenize: characters{more}}}
files: {{train: ../train.txt, dev: ../train.txt}}
tasks:
  spelling: {{labels: label, head: {{type: deep_cnn}}, metric: accuracy}}
"""
RUN = """\
embedding: {words: {dim: 8, dropout: 0.0}}
trunk: {type: none}
tasks:
  spelling:
    use: c/spelling
    head: {type: deep_cnn, layers: [1, 1], maps: 16, k: 2, dropout: 0.0}
training: {epochs: 8, batch: {sentences: 4}, optimizer: {type: adam, lr: 0.01}}
"""
TEXTS = ["cad", "a dab", "bad cab", "cab", "dad a", "dcb"] * 3
"""The label is "b" if a word ends in b, although no two texts have the same words."""


def rows() -> list[tuple[str, str]]:
    return [("b" if "b " in text + " " else "other", text) for text in TEXTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that no test changes."""
    folder = tmp_path_factory.mktemp("characters")
    (folder / "tasks").mkdir()
    (folder / "tasks/c.yaml").write_text(CORPUS.format(type="lines", more=""))
    (folder / "run.yaml").write_text(RUN)
    (folder / "train.txt").write_text("".join(f"{label} {text}\n" for label, text in rows()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl("train", "run.yaml")
    assert result.code == 0, result.err
    return folder


def test_characters_are_learnt_and_raw_text_is_cut_as_in_training(folder: Path) -> None:
    model = library.load(folder / "runs/run")
    gold = [label for label, _ in rows()]
    assert model.evaluate("dev").scores()["spelling"]["accuracy"] == 1
    assert model.predict(TEXTS)["spelling"] == gold
    assert model.predict([text.split() for text in TEXTS])["spelling"] == gold


def test_predictions_have_the_text_as_it_was_given(folder: Path) -> None:
    result = mtl(
        "predict", str(folder / "runs/run"), "--format", "jsonl", "--confidence", stdin="bad cab\n"
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["text"], found["tokens"], found["spelling"]) == ("bad cab", ["bad", "cab"], "b")


def test_explanations_sentences_and_bundles_are_refused(folder: Path, tmp_path: Path) -> None:
    model = library.load(folder / "runs/run")
    with pytest.raises(MtlError, match=r"for words alone; use .* or mtl predict --task"):
        model.explain(["cab"])
    with pytest.raises(MtlError, match="read the characters of whole texts; leave out unit"):
        model.predict(["cab"], unit="sentence")
    with pytest.raises(MtlError, match="reads characters"):
        model.save_bundle(tmp_path / "model.mtl")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("jsonl", '{"tokens": ["an", "ox"], "label": "b"}\n{"text": "an ox", "label": "b"}\n'),
        ("csv", "text,label\nan ox,b\nan  ox,b\n"),
        ("tsv", "text\tlabel\nan ox\tb\nan ox\tb\n"),
    ],
)
def test_every_reader_of_texts_reads_characters(kind: str, text: str, tmp_path: Path) -> None:
    from mtl.data.readers import READERS

    (tmp_path / "data").write_text(text)
    records = READERS.find(kind)(tokenize="characters").read(tmp_path / "data")
    assert [record.tokens for record in records] == [["a", "￭n", "o", "￭x"]] * 2
