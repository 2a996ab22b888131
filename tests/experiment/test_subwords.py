"""Language models over the subwords of their training text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.errors import CheckpointError, ConfigError, MtlError
from mtl.experiment import Experiment, load_config, load_corpora, prepare
from mtl.text.example import Example
from mtl.text.running import END, whole_words
from mtl.text.subwords import BYTES
from mtl.text.vocabulary import UNKNOWN

TRAIN = "the cat walked home\na naïve cat talked\nthe cat talked and walked\n" * 8
DEV = "the catwalk €uro\nwalked and talked\n" * 2
NUMBER = BYTES + 20


def write(name: str = "run", number: int = NUMBER, **corpus: Any) -> None:
    """Write a run whose text is cut into so many subwords."""
    text = {
        "reader": {"type": "text", "tokenize": "subwords", "subwords": number},
        "files": {"train": "train.txt", "dev": "dev.txt"},
        "tasks": {"next": {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}},
        **corpus,
    }
    run = {
        "embedding": {"words": {"dim": 8, "lowercase": False, "min_count": 2}},
        "trunk": {"type": "gru", "hidden_size": 8, "num_layers": 1},
        "tasks": {"next": {"use": "t/next"}},
        "corpora": {"t": text},
        "training": {"epochs": 1, "batch": {"streams": 2, "bptt": 6}},
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(run, sort_keys=False))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text(TRAIN)
    Path("dev.txt").write_text(DEV)
    write()


def made(name: str = "run", **changes: Any) -> Experiment:
    config = load_config(f"{name}.yaml", changes)
    return prepare(config, load_corpora(config))


def test_subwords_are_learned_from_the_selected_sentences() -> None:
    next_word = {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}
    hint = {"labels": {"hint": {"pattern": "w", "level": "sentence"}}}
    tasks = {"next": next_word, "walk": {**hint, "head": "pool", "metric": "accuracy"}}
    write(tasks=tasks, where={"train": {"walk": ["yes"]}})
    taken = load_corpora(load_config("run.yaml"))["t"]
    Path("train.txt").write_text("".join(line for line in TRAIN.splitlines(True) if "w" in line))
    write()
    alone = load_corpora(load_config("run.yaml"))["t"]
    assert len(taken.splits["train"]) == len(alone.splits["train"]) == 16
    assert taken.subwords.tokens == alone.subwords.tokens


def test_perplexity_is_that_of_the_words_of_the_text() -> None:
    model = mtl.train("run.yaml")
    found = model.evaluate("dev", streams=1).scores()["next"]
    experiment = model.experiment
    assert experiment.subwords is not None
    tokens = [t for line in DEV.splitlines() for t in (*experiment.subwords.cut(line), END)]
    batch = experiment.batcher.batch([Example(tuple(tokens), {})])
    with torch.no_grad():
        hidden = experiment.model.eval().encode(batch, ["next"]).hidden["next"]
        log_probs = experiment.model.head("next").log_probs(hidden, batch.mask)[0]
    numbers = [*batch.features["words"][0, 1:], experiment.vocabularies["words"].encode(END)[0]]
    nats = -sum(row[number].item() for row, number in zip(log_probs, numbers, strict=True))
    words = len(DEV.split()) + DEV.count("\n")  # nothing comes before the first, but an end behind
    assert found["perplexity"] == pytest.approx(math.exp(nats / words), rel=1e-5)


def test_no_text_has_an_unknown_subword() -> None:
    experiment = made()
    dev = load_corpora(experiment.run)["t"].splits["dev"]
    words = experiment.batcher.batch([*dev]).features["words"]
    assert (words != UNKNOWN).all()
    assert len(experiment.targets["next"]) == NUMBER + len(["<pad>", "<unk>", END])


def test_the_run_folder_is_all_that_it_takes_to_score_and_write() -> None:
    mtl.train("run.yaml")
    scores = mtl.load("runs/run").evaluate("dev").scores()
    Path("train.txt").write_text("quite another text\n")
    model = mtl.load("runs/run")
    assert model.evaluate("dev", data={"t": "dev.txt"}).scores() == scores
    assert model.prompt_words("the  catwalk")[:2] == ["the", "cat"]
    assert len([*model.generate("the cat", length=7)]) == 7


def test_a_run_that_starts_from_another_keeps_its_subwords() -> None:
    first = mtl.train("run.yaml").experiment
    Path("train.txt").write_text("owls howl and prowl\n" * 20)
    write("second", BYTES + 40)
    alone, second = made("second"), made("second", **{"trunk.init": "runs/run"})
    assert first.subwords
    assert second.subwords
    assert alone.subwords
    assert second.subwords.tokens == first.subwords.tokens != alone.subwords.tokens
    assert f"head next: {NUMBER + 3} of {NUMBER + 3} words" in second.notes[0]


def test_a_sentence_is_in_the_same_part_whatever_it_is_cut_into() -> None:
    Path("train.txt").write_text("".join(f"line number{n} of naïve text\n" for n in range(40)))
    found = []
    for cut in (False, "characters", "subwords"):
        reader = {"type": "text", "tokenize": cut}
        write(reader=reader, files={"train": "train.txt"}, splits={"dev": "20%"})
        splits = load_corpora(load_config("run.yaml"))["t"].splits
        found.append([[*whole_words(example.tokens)] for example in splits["dev"]])
    assert found[0] == found[1] == found[2]


def test_corpora_need_the_same_number_of_subwords() -> None:
    run = yaml.safe_load(Path("run.yaml").read_text())
    other = {**run["corpora"]["t"], "reader": {**run["corpora"]["t"]["reader"], "subwords": 999}}
    run["corpora"]["u"], run["tasks"]["further"] = other, {"use": "u/next"}
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    with pytest.raises(ConfigError, match=f"`subwords` differs: 't' {NUMBER}, 'u' 999"):
        load_corpora(load_config("run.yaml"))


def test_subword_tasks_do_not_predict_words() -> None:
    model = mtl.train("run.yaml")
    with pytest.raises(
        MtlError,
        match=r"task 'next' reads subwords, and this works for words alone; use .* mtl generate",
    ):
        model.predict(["the cat"])


@pytest.mark.parametrize("change", [{"model": {"type": "Odd"}}, {"model": None}])
def test_damaged_subwords_are_told(change: dict[str, Any]) -> None:
    mtl.train("run.yaml")
    path = Path("runs/run/vocabulary/tokenizer.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    Path("runs/run/checksums.txt").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer.json: not a file of this version"):
        mtl.load("runs/run")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer.json: no such file"):
        mtl.load("runs/run")


def test_a_run_goes_on_with_the_same_subwords_alone() -> None:
    mtl.train("run.yaml")
    again = mtl.train("run.yaml", {"training.epochs": 2}, resume=True)
    straight = mtl.train("run.yaml", {"training.epochs": 2}, output="runs/straight")
    assert again.evaluate("dev").scores() == straight.evaluate("dev").scores()
    path = Path("runs/run/vocabulary/tokenizer.json")
    path.write_text(path.read_text().replace('"ignore_merges": false', '"ignore_merges": true'))
    Path("runs/run/checksums.txt").unlink()
    with pytest.raises(MtlError, match="trained with other subwords; the text has changed since"):
        mtl.train("run.yaml", {"training.epochs": 3}, resume=True)


def test_a_language_model_of_subwords_and_one_of_words_do_not_mix() -> None:
    mtl.train("run.yaml")
    write("words", reader={"type": "text"})
    message = "is a language model of subwords, this run has one of words; cut both corpora"
    with pytest.raises(CheckpointError, match=message):
        made("words", **{"trunk.init": "runs/run"})
