"""Labels of some domains alone, and an adversary on all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.config.load import run_to_yaml
from mtl.errors import ConfigError
from mtl.experiment import load_config
from tests.training.runs import corpus, epochs_of, prepared, sentence, trainer

KINDS = ["news", "blog", "mail"]
NEWS = {"train": {"kind": ["news", "blog"]}, "dev": {"kind": ["mail"]}}
KIND = {"use": "c/kind", "head": {"type": "domain"}}


def genres(folder: Path, kinds: list[str] = KINDS) -> dict[str, Any]:
    """A corpus with a genre of each sentence in turn, 12 for training and 6 for development."""
    made = corpus(folder, "c", 12)
    for split, number in {"train": 12, "dev": 6}.items():
        rows = [{**sentence(i), "kind": kinds[i % len(kinds)]} for i in range(number)]
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"c-{split}.jsonl").write_text(f"{text}\n", encoding="utf-8")
    kind = {"labels": "kind", "head": "pool", "metric": "accuracy"}
    return {**made, "tasks": {**made["tasks"], "kind": kind}}


def task(where: Mapping[str, Any], use: str = "c/pos") -> dict[str, Any]:
    return {"use": use, "where": dict(where)}


def test_labels_count_where_another_task_has_one_of_some(tmp_path: Path) -> None:
    tasks = {"pos": task(NEWS), "kind": KIND, "verb": {"use": "c/verb"}}
    _, corpora = prepared(tmp_path, tasks, {"c": genres(tmp_path)})
    for split, kinds in {"train": ["news", "blog"], "dev": ["mail"]}.items():
        for example in corpora["c"].splits[split]:
            assert ("pos" in example.labels) == (example.labels["kind"] in kinds)
            assert "verb" in example.labels


def test_what_they_are_chosen_by_need_not_be_learnt(tmp_path: Path) -> None:
    _, corpora = prepared(tmp_path, {"pos": task(NEWS)}, {"c": genres(tmp_path)})
    train = corpora["c"].splits["train"]
    assert [set(example.labels) for example in train[:3]] == [{"pos"}, {"pos"}, set()]
    assert [labels is None for labels in train.labels("pos")] == [False, False, True] * 4
    assert "train: 8 of 12 sentences labelled for pos" in corpora["c"].notes


def test_several_conditions_must_all_hold(tmp_path: Path) -> None:
    where = {"train": {"kind": ["news", "blog"], "verb": ["no"]}}
    _, corpora = prepared(tmp_path, {"pos": task(where)}, {"c": genres(tmp_path)})
    expected = [i % 3 < 2 and sentence(i)["verb"] == "no" for i in range(12)]
    assert ["pos" in e.labels for e in corpora["c"].splits["train"]] == expected


def test_the_limit_of_a_corpus_comes_first(tmp_path: Path) -> None:
    limited = {**genres(tmp_path), "limit": {"train": 9}}
    _, corpora = prepared(tmp_path, {"pos": task(NEWS), "kind": KIND}, {"c": limited})
    train = corpora["c"].splits["train"]
    assert len(train) == 9
    assert all(("pos" in e.labels) == (e.labels["kind"] != "mail") for e in train)


@pytest.mark.parametrize("head", ["domain", "domain_distance"])
def test_unlabelled_sentences_take_part_through_their_domain(head: str, tmp_path: Path) -> None:
    tasks = {"pos": task(NEWS), "kind": {**KIND, "head": {"type": head}}}
    made = trainer(tmp_path, tasks, {"c": genres(tmp_path)}, epochs=1)
    (epoch,) = epochs_of(made.run())
    assert set(epoch.losses) == {"pos", "kind"}
    assert epoch.score == epoch.dev.scores()["pos"]["accuracy"]


def test_a_run_folder_keeps_the_choice_of_labels(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"pos": task(NEWS)}, {"c": genres(tmp_path)})
    (tmp_path / "again.yaml").write_text(run_to_yaml(experiment.run), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == experiment.run


def test_a_file_of_ones_own_is_scored_whole(tmp_path: Path) -> None:
    prepared(tmp_path, {"pos": task(NEWS)}, {"c": genres(tmp_path)}, epochs=1)
    model = mtl.train(tmp_path / "run.yaml", output=tmp_path / "run")
    rows = [sentence(i) for i in range(4)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def tokens(data: dict[str, Path]) -> int:
        return model.evaluate("dev", data=data).metrics["pos"].counts.gold.total()

    assert tokens({"c": tmp_path / "own.jsonl"}) == sum(len(row["tokens"]) for row in rows)
    assert tokens({}) == sum(len(sentence(i)["tokens"]) for i in (2, 5))  # mail


MISTAKES = {
    "unknown key 'tasks.pos.where.tarin'; did you mean 'train'?": {"tarin": {"kind": ["news"]}},
    "unknown key 'tasks.pos.where.train.knid'; did you mean 'kind'?": {"train": {"knid": ["news"]}},
    "tasks.pos.where.train.kind: no sentence has the label 'nwes'; did you mean 'news'?": {
        "train": {"kind": ["nwes"]}
    },
    "tasks.pos.where.dev.ner: expected a task with one label per sentence": {"dev": {"ner": ["O"]}},
}


@pytest.mark.parametrize(("message", "where"), MISTAKES.items())
def test_a_choice_that_cannot_be_made_is_told(
    message: str, where: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, {"pos": task(where)}, {"c": genres(tmp_path)})
    assert message in str(error.value)


def test_a_language_model_has_no_text_to_leave_out(tmp_path: Path) -> None:
    made = genres(tmp_path)
    made["tasks"]["next"] = {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}
    with pytest.raises(ConfigError, match=r"tasks\.next\.where: a language model learns from the"):
        prepared(tmp_path, {"next": task(NEWS, "c/next")}, {"c": made})


@pytest.mark.parametrize("head", ["domain", "domain_distance"])
def test_a_single_domain_is_told_before_training(head: str, tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "kind": {**KIND, "head": {"type": head}}}
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, tasks, {"c": genres(tmp_path, ["news"])})
    assert f"tasks.kind: '{head}' needs two domains or more" in str(error.value)
    assert "have the label 'news'" in str(error.value)
