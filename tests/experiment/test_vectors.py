"""Runs with pretrained vectors: known words, case, training, prediction and starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import mtl
from mtl.data.vectors import write_vectors
from mtl.embeddings.words import VectorTable
from mtl.experiment import Experiment, load_config, load_corpora, prepare
from mtl.runs.checkpoint import load_tensors, load_training
from mtl.text.vocabulary import UNKNOWN, WordVocabulary
from tests.training.texts import LM, text_corpus

TEXT = "The\tD\ncat\tN\nsat\tV\n\nParis\tN\nsat\tV\nrare\tN\n\n" * 3 + "once\tN\nBonn\tN\n\n"
WORDS = ["the", "cat", "paris", "Rome", "rome", "Oslo", "once", "bonn", "US", "us"]
MATRIX = np.random.default_rng(0).standard_normal((len(WORDS), 6)).astype(np.float32)
UNCASED = {"embedding.words.lowercase": True}
CASED = {"embedding.words.lowercase": False}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_vectors("v.safetensors", WORDS, MATRIX)
    write("tagger")


def write(name: str, **changes: Any) -> None:
    Path("text.txt").write_text(TEXT)
    task = {"labels": "pos", "head": "softmax", "metric": "accuracy"}
    reader = {"type": "conll", "columns": ["tokens", "pos"]}
    run = {
        "embedding": {"words": {"dim": 6, "min_count": 2, "vectors": "v.safetensors"}},
        "trunk": {"type": "lstm", "hidden_size": 4},
        "tasks": {"pos": {"use": "c/pos"}},
        "corpora": {
            "c": {
                "reader": reader,
                "files": {"train": "text.txt", "dev": "text.txt"},
                "tasks": {"pos": task},
            }
        },
        "training": {"epochs": 2, "batch": {"sentences": 2}, "device": "cpu"},
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump({**run, **changes}))


def prepared(changes: dict[str, Any]) -> Experiment:
    run = load_config("tagger.yaml", changes)
    return prepare(run, load_corpora(run))


def words_of(experiment: Experiment) -> WordVocabulary:
    vocabulary = experiment.vocabularies["words"]
    assert isinstance(vocabulary, WordVocabulary)
    return vocabulary


def table_of(experiment: Experiment) -> VectorTable:
    table = experiment.model.embedding.get_submodule("parts.words.table")
    assert isinstance(table, VectorTable)
    return table


def vector(experiment: Experiment, word: str) -> str | None:
    """Return the word of the file whose vector a word has, or None."""
    number = torch.tensor(words_of(experiment).encode(word))
    assert number != UNKNOWN
    found = table_of(experiment)(number)[0, :6].detach()
    near = torch.cosine_similarity(found, torch.from_numpy(MATRIX))
    return WORDS[int(near.argmax())] if near.max() > 0.9999 else None


@pytest.mark.parametrize("case", [UNCASED, CASED])
def test_words_outside_of_the_training_text_are_known_and_not_trained(case: Any) -> None:
    experiment = prepared(case)
    vocabulary, table = words_of(experiment), table_of(experiment)
    own = {"the", "cat", "paris", "once", "bonn"}  # in the text, if only once
    others = {vocabulary.normalise(word) for word in WORDS} - own
    # An uncased file has vectors of "paris" too, which is not a word of a cased text.
    others |= {"the", "paris", "bonn"} if case is CASED else set()
    assert set(vocabulary.words[vocabulary.trained :]) == others
    assert table.weight.shape == (vocabulary.trained, 6)
    assert table.extra is not None
    assert table.extra.shape == (len(others), 6)
    assert "extra" not in dict(table.named_parameters())
    assert vocabulary.encode("rare")[0] >= 2  # seen three times, has no vector
    assert vector(experiment, "rare") is None


def test_uncased_text_prefers_the_word_as_it_is() -> None:
    experiment = prepared(UNCASED)
    found = {word: vector(experiment, word) for word in ("The", "ROME", "oslo", "us", "US")}
    assert found == {"The": "the", "ROME": "rome", "oslo": "Oslo", "us": "us", "US": "us"}


def test_cased_text_keeps_the_case_of_the_file_and_falls_back_to_lower_case() -> None:
    experiment = prepared(CASED)
    words = ("The", "Paris", "Rome", "rome", "US", "us", "PARIS", "Oslo", "Once")
    found = {word: vector(experiment, word) for word in words}
    assert found == {
        "The": "the",
        "Paris": "paris",
        "Rome": "Rome",
        "rome": "rome",
        "US": "US",
        "us": "us",
        "PARIS": "paris",
        "Oslo": "Oslo",
        "Once": "once",
    }
    assert words_of(experiment).encode("oslo") == (UNKNOWN,)  # no fallback to capitals
    # A word of the text has a vector of its own, which is trained.
    assert words_of(experiment).encode("Paris")[0] < words_of(experiment).trained


@pytest.mark.parametrize("case", [UNCASED, CASED])
def test_keep_text_knows_the_words_of_the_text_alone(case: dict[str, Any]) -> None:
    experiment = prepared({**case, "embedding.words.keep": "text"})
    vocabulary = words_of(experiment)
    assert vocabulary.extra == 0
    assert [vector(experiment, word) for word in ("The", "once", "Bonn")] == ["the", "once", "bonn"]
    assert vocabulary.encode("Rome") == vocabulary.encode("us") == (UNKNOWN,)


def test_keep_has_no_effect_without_vectors() -> None:
    with pytest.raises(mtl.errors.ConfigError, match="has no effect unless vectors is set"):
        prepared({"embedding.words.vectors": None, "embedding.words.keep": "text"})


def test_a_note_tells_how_many_words_have_vectors() -> None:
    (note,) = prepared(UNCASED).notes
    assert note == (
        "embedding.words: 5 of 7 different words of the training text have pretrained vectors, "
        "57.1 % of all its words; further words that stay known: 3"
    ).replace("57.1", f"{100 * (3 + 3 + 3 + 2) / 20:.1f}")


@pytest.mark.parametrize(
    "changes", [{}, {"multichannel": True}, {"frozen": True}, {"dropout": 0.5}], ids=str
)
def test_a_trained_run_knows_the_words_with_the_same_vectors(changes: dict[str, Any]) -> None:
    options = {f"embedding.words.{name}": value for name, value in changes.items()}
    before = table_of(prepared(options))
    model = mtl.train("tagger.yaml", options, output="out", progress=False)
    after = table_of(mtl.load("out").experiment)
    assert torch.equal(before.extra, after.extra)
    assert torch.equal(before.weight, after.weight) == ("frozen" in changes)
    # Words with vectors of their own are told apart, and unknown words are not.
    hidden = model.predictor.model.embedding
    batch = model.experiment.batcher.batch
    example = mtl.text.example.Example
    rome, oslo, xyz, zyx = (
        hidden(b.features, b.mask).vectors
        for b in (batch([example((word,))]) for word in ("Rome", "oslo", "xyz", "zyx"))
    )
    assert torch.equal(xyz, zyx)
    assert not torch.equal(rome, oslo)
    assert not torch.equal(rome, xyz)


def test_words_that_are_never_trained_are_never_dropped() -> None:
    experiment = prepared({"embedding.words.dropout": 0.9})
    embedding = experiment.model.embedding.part("words").train()
    vocabulary = words_of(experiment)
    words = torch.arange(vocabulary.trained, len(vocabulary.words)).unsqueeze(0)
    assert torch.equal(embedding({"words": words}, words > 0)[0], table_of(experiment).extra)


def test_checkpoints_leave_out_vectors_that_never_change() -> None:
    changes = {"embedding.words.multichannel": True, "training.schedule.type": "plateau"}
    whole = mtl.train("tagger.yaml", {**changes, "training.epochs": 4}, output="a", progress=False)
    tensors, _ = load_training(Path("a"))
    assert not [name for name in tensors if name.endswith((".extra", ".fixed"))]
    assert any(name.endswith("table.extra") for name in load_tensors(Path("a/model.safetensors")))
    first = mtl.train("tagger.yaml", {**changes, "training.epochs": 2}, output="b", progress=False)
    resumed = mtl.train(
        "tagger.yaml", {**changes, "training.epochs": 4}, output="b", resume=True, progress=False
    )
    del first
    for (name, one), other in zip(
        whole.experiment.model.state_dict().items(),
        resumed.experiment.model.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("case", [UNCASED, pytest.param(CASED, marks=pytest.mark.slow)])
@pytest.mark.parametrize("two", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_bundle_knows_the_words_without_torch(case: dict[str, Any], two: bool) -> None:
    runtime = pytest.importorskip("mtl_runtime")
    from tests.runtime.built import kernels

    kernels()
    changes = {**case, "embedding.words.multichannel": two}
    model = mtl.train("tagger.yaml", changes, output="out", progress=False)
    model.save_bundle("model.mtl")
    texts = [["The", "cat"], ["Rome", "sat"], ["oslo", "US", "us", "xyz", "PARIS"]]
    found = [p.to_dict() for p in runtime.load("model.mtl").annotate(texts, confidence=True)]
    for one, other in zip(found, model.annotate(texts, confidence=True), strict=True):
        expected = other.to_dict()
        assert one["pos"] == expected["pos"]
        np.testing.assert_allclose(
            one["confidence"]["pos"], expected["confidence"]["pos"], atol=1e-5
        )


def test_a_language_model_predicts_the_words_of_its_text_alone() -> None:
    corpus = text_corpus(Path(), "t")
    training = {"epochs": 1, "batch": {"streams": 2, "bptt": 6}, "metric": "next.perplexity"}
    for name, output in {"tied": {"type": "lm", "output": "tied"}, "full": LM}.items():
        tasks = {"next": {"use": "t/next", "head": output}}
        write(name, tasks=tasks, corpora={"t": corpus}, training=training)
        run = load_config(f"{name}.yaml")
        experiment = prepare(run, load_corpora(run))
        labels = experiment.targets["next"].labels
        assert list(labels) == words_of(experiment).words[: words_of(experiment).trained]
        assert "rome" not in labels
        assert words_of(experiment).encode("rome") != (UNKNOWN,)
    model = mtl.train("tied.yaml", output="lm", progress=False)
    assert model.experiment.targets["next"].encode(("rome",)) == [UNKNOWN]


def test_a_run_that_starts_from_another_one_keeps_its_vectors_and_adds_others() -> None:
    mtl.train("tagger.yaml", output="first", progress=False)
    before = mtl.load("first").experiment
    write_vectors("w.safetensors", ["Lima", "rome", "sat"], MATRIX[:3] * 7)
    Path("text.txt").write_text(TEXT + "Rome\tN\n\n" * 2)
    for file in ("w.safetensors", None):
        run = load_config("tagger.yaml", {"trunk.init": "first", "embedding.words.vectors": file})
        after = prepare(run, load_corpora(run))
        vocabulary = words_of(after)
        for word in ("the", "cat", "rome", "oslo", "us", "sat"):
            one, other = (
                table_of(e)(torch.tensor(words_of(e).encode(word))) for e in (before, after)
            )
            assert torch.equal(one, other), word
        # Now a word of the training text, so that it is trained.
        assert vocabulary.encode("Rome")[0] < vocabulary.trained
        assert (vocabulary.encode("lima") != (UNKNOWN,)) == bool(file)
        assert vocabulary.fallback


def test_folders_of_earlier_versions_are_read() -> None:
    words = {"words": ["a"], "lowercase": True, "digits": False}
    vocabulary = WordVocabulary.from_json(words)
    assert (vocabulary.extra, vocabulary.fallback, vocabulary.trained) == (0, False, 3)
    with pytest.raises(ValueError, match="at most the number of words"):
        WordVocabulary.from_json({**words, "extra": 2})


def test_the_vocabulary_of_a_run_is_read_as_it_was_written() -> None:
    vocabulary = words_of(prepared(CASED))
    again = WordVocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    for word in ("Paris", "PARIS", "rome", "Oslo", "oslo", "x"):
        assert again.encode(word) == vocabulary.encode(word)
    assert (again.trained, again.words) == (vocabulary.trained, vocabulary.words)
