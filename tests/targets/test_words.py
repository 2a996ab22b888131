"""Labels that are words."""

from __future__ import annotations

import json

from mtl.data.sources import neighbours
from mtl.targets import NextWordTarget, TokenLabelTarget, target_from_json, target_to_json
from mtl.text.running import END
from mtl.text.vocabulary import PAD, UNKNOWN, WordVocabulary

WORDS = WordVocabulary.build({"The": 3, "cat": 2, "dog": 1}, min_count=2)


def test_a_word_has_the_number_that_it_is_read_with() -> None:
    labels = NextWordTarget(WORDS)
    assert labels.encode(("the", "cat")) == [WORDS.encode(word)[0] for word in ("The", "cat")]
    assert labels.decode([2, 3]) == ("the", "cat")


def test_an_unknown_word_is_the_unknown_word_and_no_unseen_label() -> None:
    labels = NextWordTarget(WORDS)
    assert labels.encode(("dog", "<unk>", "<pad>")) == [UNKNOWN] * 3
    assert (labels.decode([PAD]), labels.decode([UNKNOWN])) == (("<pad>",), ("<unk>",))
    assert not labels.unseen([("dog", "cat")])


def test_an_unknown_word_of_the_text_is_a_word_where_it_is_written() -> None:
    labels = NextWordTarget(WordVocabulary.build({"<unk>": 5, "a": 1}))
    assert labels.encode(("<unk>", "a", "other")) == [2, 3, UNKNOWN]


def test_they_are_kept_as_json() -> None:
    labels = NextWordTarget(WORDS)
    again = target_from_json(json.loads(json.dumps(target_to_json(labels))))
    assert isinstance(again, NextWordTarget)
    assert again == labels
    assert again != TokenLabelTarget(labels.labels)
    assert again.encode(("THE", "dog")) == labels.encode(("THE", "dog"))


def test_neighbours_of_a_sentence_end_at_its_ends() -> None:
    assert neighbours(["a", "b", "c"], "next") == ["b", "c", END]
    assert neighbours(["a", "b", "c"], "previous") == [END, "a", "b"]
