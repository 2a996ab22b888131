"""A corpus that is some of the sentences of its files, chosen by their labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.config.load import run_to_yaml
from mtl.errors import ConfigError
from mtl.experiment import load_config
from tests.training.runs import corpus, prepared, sentence, trainer

KINDS = ["news", "blog", "mail"]


def genres(folder: Path, where: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A corpus with a genre of each sentence in turn, 12 for training and 6 for development."""
    made = corpus(folder, "c", 12)
    for split, number in {"train": 12, "dev": 6}.items():
        rows = [{**sentence(i), "kind": KINDS[i % 3]} for i in range(number)]
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"c-{split}.jsonl").write_text(f"{text}\n", encoding="utf-8")
    kind = {"labels": "kind", "head": "pool", "metric": "accuracy"}
    return {**made, "tasks": {**made["tasks"], "kind": kind}, "where": where, **changes}


POS = {"pos": {"use": "c/pos"}}
NEWS = {"train": {"kind": ["news", "blog"]}, "dev": {"kind": ["mail"]}}


def first_words(folder: Path, made: dict[str, Any], tasks: Any = None) -> dict[str, list[str]]:
    _, corpora = prepared(folder, tasks or POS, {"c": made})
    splits = corpora["c"].splits
    return {name: [example.tokens[0] for example in own] for name, own in splits.items()}


def test_the_sentences_are_those_with_one_of_the_labels(tmp_path: Path) -> None:
    found = first_words(tmp_path, genres(tmp_path, NEWS))
    assert found["train"] == [f"w{i}" for i in range(12) if i % 3 != 2]
    assert found["dev"] == ["w2", "w5"]


def test_several_conditions_must_all_hold(tmp_path: Path) -> None:
    where = {"train": {"kind": ["news", "blog"], "verb": ["no"]}}
    expected = [f"w{i}" for i in range(12) if i % 3 != 2 and sentence(i)["verb"] == "no"]
    assert first_words(tmp_path, genres(tmp_path, where))["train"] == expected


def test_a_limit_counts_sentences_that_were_chosen(tmp_path: Path) -> None:
    found = first_words(tmp_path, genres(tmp_path, NEWS, limit={"train": 5}))["train"]
    assert len(found) == 5
    assert set(found) <= {f"w{i}" for i in range(12) if i % 3 != 2}


def test_a_task_may_have_the_name_of_another_that_sentences_are_chosen_by(tmp_path: Path) -> None:
    made = genres(tmp_path, NEWS)
    _, corpora = prepared(tmp_path, {"kind": {"use": "c/verb"}}, {"c": made})
    assert set(corpora["c"].splits["train"].labels("kind")) == {"yes", "no"}
    assert set(corpora["c"].splits["train"].targets) == {"kind"}


def test_two_corpora_may_be_parts_of_the_same_files(tmp_path: Path) -> None:
    corpora = {"c": genres(tmp_path, NEWS), "d": genres(tmp_path, {"train": {"kind": ["mail"]}})}
    made = trainer(tmp_path, {**POS, "other": {"use": "d/verb"}}, corpora)
    assert {name: loader.size for name, loader in made.loaders.items()} == {"c": 2, "d": 1}


def test_labels_may_be_chosen_among_sentences_that_were_chosen(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos", "where": {"train": {"kind": ["news"]}}}}
    _, corpora = prepared(tmp_path, tasks, {"c": genres(tmp_path, NEWS)})
    assert corpora["c"].notes == [
        "dev: 2 of 6 sentences taken",
        "train: 8 of 12 sentences taken",
        "train: 4 of 8 sentences labelled for pos",
    ]


def test_a_run_folder_keeps_the_choice(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, POS, {"c": genres(tmp_path, NEWS)})
    (tmp_path / "again.yaml").write_text(run_to_yaml(experiment.run), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == experiment.run


MISTAKES = {
    "corpora.c.where: 'test' is not a split of this corpus": {"test": {"kind": ["news"]}},
    "corpora.c.where: 'genre' is not a task of this corpus": {"train": {"genre": ["news"]}},
    "corpora.c.where.train: no sentence has the label 'new'; did you mean 'news'?": {
        "train": {"kind": ["new"]}
    },
    "corpora.c.where.train: no sentence is left": {"train": {"kind": []}},
    "corpora.c.where.dev: expected a task with one label per sentence": {"dev": {"pos": ["D"]}},
}


@pytest.mark.parametrize(("message", "where"), MISTAKES.items())
def test_a_choice_that_cannot_be_made_is_told(
    message: str, where: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, POS, {"c": genres(tmp_path, where)})
    assert message in str(error.value)
