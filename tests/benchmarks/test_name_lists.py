"""Lists of names contain nothing from the sentences that a study trains on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.name_lists import phrases
from mtl.experiment import load_config, load_corpora


def test_training_sentences_of_a_limit_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("".join(f"Name{n}\tB-PER\nleft\tO\n\n" for n in range(20)))
    task = {"labels": "ner", "scheme": "bio", "head": "crf", "metric": "span_f1"}
    corpus = {
        "reader": {"type": "conll", "columns": ["tokens", "ner"]},
        "files": {"train": str(file)},
        "splits": {"dev": 4},
        "tasks": {"ner": task},
    }
    run = {
        "corpora": {"names": corpus},
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 4},
        "tasks": {"ner": {"use": "names/ner"}},
        "training": {"epochs": 1, "optimizer": {"type": "adam"}, "batch": {"sentences": 4}},
    }
    every = load_corpora(load_config(run))["names"].splits["train"]
    few = load_corpora(load_config(run, {"corpora.names.limit.train": 6}))["names"].splits["train"]
    names = {(example.tokens[0], "PER") for example in every}
    assert phrases(every, "ner", 6) == names - {(example.tokens[0], "PER") for example in few}
    assert len(names) == 16
