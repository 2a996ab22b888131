"""Loading of corpora: sources of labels, splits, limits and the cache."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from mtl.data.corpus import Split
from mtl.data.readers import Conll, Conllu, Jsonl, Lines
from mtl.data.store import default_cache
from mtl.text.example import Example

DATA = Path(__file__).parents[1] / "fixtures" / "data"


def entries(tmp_path):
    """Return the metadata of the stored sentences: one file per entry, beside its Arrow file."""
    found = sorted((tmp_path / "cache" / "corpora").iterdir())
    known = [path for path in found if path.suffix == ".json"]
    assert found == sorted([*known, *(path.with_suffix(".arrow") for path in known)])
    return known


def test_every_kind_of_source_gives_labels(load):
    labels = {
        "pos": {"column": "upos"},
        "number": {"feature": "Number"},
        "language": {"misc": "Lang"},
        "genre": {"metadata": "sent_id", "pattern": "^([a-z]+)-"},
    }
    corpus = load(Conllu(), {"train": DATA / "tiny.conllu"}, labels)
    first, second = corpus.splits["train"]
    assert first.labels["genre"] == "letters"
    assert first.labels["number"] == ("Plur", "_", "_", "_", "_", "Plur", "_")
    assert first.labels["language"][5] == "en"
    assert second == Example(
        ("Rain", "again"),
        {"pos": ("NOUN", "ADV"), "number": ("Sing", "_"), "language": ("_", "_"), "genre": "notes"},
        16,
    )


def test_a_pattern_finds_labels_in_a_column(load):
    source = {"column": "labels", "pattern": "-([A-Z]+)$"}
    corpus = load(Conll(), {"train": DATA / "tiny.conll"}, {"type": source})
    assert list(corpus.splits["train"].labels("type")) == [("PER", "_"), ("_", "_"), ("PER",)]


def test_sentences_without_the_column_have_no_labels(load):
    corpus = load(Jsonl(), {"train": DATA / "tiny.jsonl"}, {"ner": {"column": "ner"}})
    assert [set(example.labels) for example in corpus.splits["train"]] == [{"ner"}, set()]
    assert list(corpus.splits["train"].labels("ner")) == [("B-PER", "O", "B-LOC"), None]


@pytest.fixture
def numbers(tmp_path):
    """Return a file of 2,500 sentences, their number as label, sorted."""
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{n} {'word ' * (n % 7)}number{n}\n" for n in range(2500)))
    return path


@pytest.fixture
def split(numbers, load):
    labels = {"number": {"column": "label"}}
    return load(Lines(), {"train": numbers}, labels).splits["train"]


def test_a_split_is_a_sequence(split):
    assert len(split) == 2500
    assert split[7] == Example(("number7",), {"number": "7"}, 8)
    assert split[-1] == split[2499] == split.examples([2499])[0]
    assert split[3:6] == [split[3], split[4], split[5]]
    assert [example.labels["number"] for example in split] == [str(n) for n in range(2500)]
    with pytest.raises(IndexError):
        split[2500]


def test_labels_that_are_left_out_stay_so_in_a_part(split):
    part = split.labelled_where("number", "number", ["3", "1999"]).limited(2500)
    assert {label for label in part.labels("number") if label is not None} == {"3", "1999"}
    assert [bool(example.labels) for example in part[2:5]] == [False, True, False]


def test_examples_come_in_the_order_asked_for(split):
    indices = np.random.default_rng(0).integers(0, 2500, 64)
    assert [e.labels["number"] for e in split.examples(indices)] == [str(i) for i in indices]


def test_words_are_counted_in_the_rows_of_the_split_alone(split):
    part = Split(split.table, split.targets, np.arange(5, 900, 3))
    assert part.word_counts() == Counter(word for example in part for word in example.tokens)


def test_lengths_count_tokens(split):
    assert split.lengths.dtype == np.int32
    assert split.lengths.tolist() == [n % 7 + 1 for n in range(2500)]


def cut_numbers(load, numbers, **others):
    corpus = load(Lines(), {"train": numbers}, {"n": {"column": "label"}}, **others)
    return corpus, {split: {int(n) for n in s.labels("n")} for split, s in corpus.splits.items()}


def test_a_larger_limit_extends_a_smaller_one(load, numbers):
    few = cut_numbers(load, numbers, limit={"train": 100})[1]["train"]
    corpus, parts = cut_numbers(load, numbers, limit={"train": 300})
    assert (len(few), len(parts["train"])) == (100, 300)
    assert few < parts["train"]
    assert 1000 < np.mean(list(few)) < 1500
    assert corpus.notes == ["train: 300 of 2500 sentences taken"]


def test_splits_are_cut_from_train_and_mixed(load, numbers):
    corpus, parts = cut_numbers(load, numbers, splits={"dev": "10%", "test": 300})
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 1950,
        "dev": 250,
        "test": 300,
    }
    assert set.union(*parts.values()) == set(range(2500))
    assert 1000 < np.mean(list(parts["dev"])) < 1500
    assert corpus.splits["dev"].lengths.tolist() == [len(e) for e in corpus.splits["dev"]]
    assert "dev: 250 of 2,500 sentences cut from train" in corpus.notes


def test_every_sentence_is_in_one_test_fold(load, numbers):
    folds = [
        cut_numbers(load, numbers, folds={"count": 4, "fold": k, "dev": "20%"})[1] for k in range(4)
    ]
    assert Counter(n for fold in folds for n in fold["test"]) == Counter(range(2500))
    for fold in folds:
        assert len(fold["dev"]) == 375
        assert set.union(*fold.values()) == set(range(2500))
        assert sum(map(len, fold.values())) == 2500


def test_the_second_time_nothing_is_read(load):
    files = {"train": DATA / "tiny.lines", "dev": DATA / "tiny.lines"}
    labels = {"mood": {"column": "label"}}

    class Once(Lines):
        reads = 0

        def read(self, path):
            Once.reads += 1
            return super().read(path)

    first = load(Once(), files, labels)
    second = load(Once(), files, labels)
    assert Once.reads == 1
    assert list(first.splits["dev"]) == list(second.splits["train"])


def test_the_cache_knows_files_options_and_sources_apart(tmp_path, load):
    path = tmp_path / "file.txt"
    path.write_text("1 a-2\n")
    files = {"train": path}
    load(Lines(), files, {"a": {"column": "label"}})
    load(Lines(tokenize=True), files, {"a": {"column": "label"}})
    load(Lines(), files, {"a": {"column": "label", "pattern": "(.)"}})
    path.write_text("1 a-3\n")
    load(Lines(), files, {"a": {"column": "label"}})
    assert len(entries(tmp_path)) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.with_suffix(".arrow").write_bytes(b"x"),
        lambda entry: os.truncate(entry.with_suffix(".arrow"), 100),
        lambda entry: entry.with_suffix(".arrow").unlink(),
        lambda entry: entry.write_text('{"sentences"'),
        lambda entry: entry.write_text("[]"),
    ],
)
def test_a_damaged_entry_is_built_again(tmp_path, damage, load):
    arguments = Lines(), {"train": DATA / "tiny.lines"}, {"mood": {"column": "label"}}
    before = list(load(*arguments).splits["train"])
    (entry,) = entries(tmp_path)
    damage(entry)
    assert list(load(*arguments).splits["train"]) == before
    assert entries(tmp_path) == [entry]


class Slow(Lines):
    """Lets others have their turn while it reads."""

    def read(self, path):
        for record in super().read(path):
            time.sleep(random.random() / 100)
            yield record


@pytest.mark.parametrize("damaged", [False, True])
def test_several_may_build_the_same_entry_at_once(tmp_path, load, damaged):
    arguments = Slow(), {"train": DATA / "tiny.lines"}, {"mood": {"column": "label"}}
    if damaged:
        load(*arguments)
        os.truncate(entries(tmp_path)[0].with_suffix(".arrow"), 100)
    with ThreadPool(8) as pool:
        corpora = pool.map(lambda _: load(*arguments), range(24), chunksize=1)
    assert [list(c.splits["train"].labels("mood")) for c in corpora] == [["sad", "glad"]] * 24
    assert len(entries(tmp_path)) == 1


def test_the_same_sentences_are_always_the_same_bytes(tmp_path, load):
    found = set()
    for _ in range(3):
        load(Lines(), {"train": DATA / "tiny.lines"}, {"mood": {"column": "label"}})
        (entry,) = entries(tmp_path)
        found.add(entry.with_suffix(".arrow").read_bytes())
        entry.unlink()
    assert len(found) == 1


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MTL_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("MTL_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "mtl"


def test_rows_without_words_are_left_out_and_counted(tmp_path, load):
    path = tmp_path / "file.txt"
    path.write_text("1 \n0 a b\n1   \n")
    corpus = load(Lines(), {"train": path}, {"mood": {"column": "label"}})
    assert [example.line for example in corpus.splits["train"]] == [2]
    assert corpus.notes == ["train: 2 rows without words left out"]
