"""The vocabulary of a pretrained transformer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtl.text.vocabulary import TransformerVocabulary
from tests.hub import bert, roberta

WORDS = ["the", "Ada", "cats", "sat007", "caé", "up", "www"]
made = pytest.mark.parametrize("make", [bert, roberta])


@made
def test_words_are_cut_as_the_model_was_trained_to(make: type, tmp_path: Path) -> None:
    name = str(make(tmp_path))
    theirs = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(
        name, add_prefix_space=True
    )
    vocabulary = TransformerVocabulary.build({}, name=name)
    own = [*vocabulary.begin, *(n for w in WORDS for n in vocabulary.encode(w)), *vocabulary.end]
    assert [n - 2 for n in own] == theirs(WORDS, is_split_into_words=True).input_ids


@made
@pytest.mark.parametrize("word", ["\u0301", "[CLS]", "</s>", "日本", "x" * 5000, "\u200b"])
def test_every_word_has_subwords_and_none_is_a_mark(make: type, word: str, tmp_path: Path) -> None:
    vocabulary = TransformerVocabulary.build({}, name=str(make(tmp_path)))
    found = vocabulary.encode(word)
    assert found
    assert not {*found} & {0, *vocabulary.begin, *vocabulary.end}


@made
def test_a_vocabulary_read_back_is_the_same(make: type, tmp_path: Path) -> None:
    vocabulary = TransformerVocabulary.build({}, name=str(make(tmp_path)))
    data = json.loads(json.dumps(vocabulary.to_json()))
    again = TransformerVocabulary.from_json(data)
    assert again.to_json() == vocabulary.to_json()
    assert (again.begin, again.end) == (vocabulary.begin, vocabulary.end)
    assert [again.encode(w) for w in WORDS] == [vocabulary.encode(w) for w in WORDS]


def test_numbers_may_be_missing(tmp_path: Path) -> None:
    folder = bert(tmp_path)  # the vocabulary contains a word twice; the later id wins
    vocabulary = TransformerVocabulary.build({}, name=str(folder))
    (strings,) = vocabulary.tables()
    assert "" in strings
    assert [strings[n] for n in vocabulary.encode("w9")] == ["w", "##9"]


def test_a_damaged_vocabulary_is_told() -> None:
    with pytest.raises(ValueError, match="expected a tokenizer"):
        TransformerVocabulary.from_json({"tokenizer": {}, "unknown": "?"})
