"""Features from lists of phrases: their files, the longest match, vectors and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mtl.data.encoding import Batcher
from mtl.embeddings import GazetteerEmbedding
from mtl.errors import DataError
from mtl.runs.checkpoint import from_json
from mtl.text.example import Example
from mtl.text.phrases import Phrases, read_phrases
from mtl.text.vocabulary import GazetteerVocabulary

words = st.lists(st.sampled_from("abc"), min_size=1, max_size=8)


@given(st.lists(words.map(lambda own: tuple(own[:3])), min_size=1, max_size=6), words)
def test_the_longest_phrase_from_the_left_is_found(
    phrases: list[tuple[str, ...]], sentence: list[str]
) -> None:
    expected, start = [], 0
    while start < len(sentence):
        places = range(start + 1, len(sentence) + 1)
        ends = [end for end in places if tuple(sentence[start:end]) in phrases]
        if ends:
            expected.append((start, max(ends)))
        start = max(ends, default=start + 1)
    found = Phrases(dict.fromkeys(phrases, 1)).find(sentence)
    assert [(start, end) for start, end, _ in found] == expected


def written(folder: Path, text: str) -> str:
    (folder / "list.txt").write_text(text, encoding="utf-8")
    return str(folder / "list.txt")


def vectors(vocabulary: GazetteerVocabulary, text: str, dim: int = 2) -> torch.Tensor:
    embedding = GazetteerEmbedding({"gazetteers": vocabulary}, dim=dim).eval()
    for table in embedding.tables:
        with torch.no_grad():  # the vector of row n is [n, n, …]
            table.weight.copy_(torch.arange(len(table.weight)).float().unsqueeze(1).expand(-1, dim))
    batch = Batcher({"gazetteers": vocabulary}, {}).batch([Example(tuple(text.split()))])
    return embedding(batch.features, batch.mask)[0]


def test_each_list_has_its_vectors_of_first_inner_and_outer_words(tmp_path: Path) -> None:
    path = written(tmp_path, "New York\tLOC\nNew York Times\tORG\nYork\tLOC\n")
    vocabulary = GazetteerVocabulary.build({}, lists={"names": path})
    assert vocabulary.tables()[0][2:] == [
        "names.LOC O", "names.LOC B", "names.LOC I", "names.ORG O", "names.ORG B", "names.ORG I"
    ]  # fmt: skip
    found = vectors(vocabulary, "New York Times new York", dim=1)
    # Rows 2 to 4 are O, B, I of LOC, rows 5 to 7 those of ORG. Lists are matched separately.
    assert found.tolist() == [[3, 6], [4, 7], [2, 7], [2, 5], [3, 5]]
    folded = GazetteerVocabulary.build({}, lists={"names": path}, lowercase=True)
    assert vectors(folded, "new YORK", dim=1).tolist() == [[3, 5], [4, 5]]


def test_a_lexicon_gives_its_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "good\t1.5\nnot good\t-2\n")
    vocabulary = GazetteerVocabulary.build({}, lists={"polarity": path})
    assert vectors(vocabulary, "a good film not good").flatten().tolist() == [0, 1.5, 0, -2, -2]


def test_lists_and_numbers_are_saved(tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text("Ann Lee\nBo\n")
    lists = {"people": str(tmp_path / "people.txt"), "polarity": written(tmp_path, "not bad\t1\n")}
    vocabulary = GazetteerVocabulary.build({}, lists=lists)
    text = json.loads(json.dumps(vocabulary.to_json()))
    again = from_json(tmp_path, GazetteerVocabulary.json_type, GazetteerVocabulary.from_json, text)
    sentence = "Bo is not bad Ann Lee"
    assert vectors(again, sentence).tolist() == vectors(vocabulary, sentence).tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\tc\n", ":1: expected a phrase, or a phrase, a tab"),
        ("a\n\tPER\n", ":2: expected a phrase"),
        ("\n \n", "has no phrases"),
        ("a\t1\nb\tPER\n", ":2: expected numbers on all lines or on none"),
        ("a\t1\na\t2\n", ":2: 'a' has two numbers"),
        ("a\t1\nb\t1e39\n", r":2: expected a number up to 1e\+30, found '1e39'"),
    ],
)
def test_files_of_another_form_are_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_phrases(written(tmp_path, text), lowercase=False)


@pytest.mark.parametrize("names", [("x", "x.PER"), ("x.PER", "x")])
def test_two_lists_of_one_name_are_errors(names: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "x").write_text("Ann\tPER\n")
    (tmp_path / "x.PER").write_text("Bo\n")
    lists = {name: str(tmp_path / name) for name in names}
    with pytest.raises(DataError, match=r"makes a second list 'x\.PER'; rename a list"):
        GazetteerVocabulary.build({}, lists=lists)


def test_without_lists_it_is_refused() -> None:
    with pytest.raises(ValueError, match="lists: expected at least one list"):
        GazetteerEmbedding({"gazetteers": GazetteerVocabulary.build({})})


def test_lists_and_numbers_are_saved_as_json(tmp_path: Path) -> None:
    for name, text in {"names": "Ann Lee\n", "mood": "good\t1.5\nvery bad\t-2\n"}.items():
        (tmp_path / name).write_text(text)
    lists = {name: str(tmp_path / name) for name in ("names", "mood")}
    vocabulary = GazetteerVocabulary.build({"good": 2, "Ann": 1}, lists=lists)
    saved = json.loads(json.dumps(vocabulary.to_json()))
    checked = TypeAdapter(GazetteerVocabulary.json_type).validate_python(saved, strict=True)
    assert GazetteerVocabulary.from_json(checked).to_json() == vocabulary.to_json()
