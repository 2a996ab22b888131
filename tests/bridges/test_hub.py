"""Data sets of the library `datasets`: out of a model or corpora, and into training again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.bridges.hub import corpus_datasets, label_dataset
from mtl.errors import MtlError
from tests.cli import project as small

datasets = pytest.importorskip("datasets", reason="needs mtl[hub]")
ROWS = [
    {
        "tokens": ["Ann", word, "Rome"],
        "tags": ["B-PER", "O", "B-LOC"],
        "mood": mood,
        "topics": topics,
        "stars": stars,
        "share": {"x": 0.25, "y": 0.75},
        "traits": [["p"], [], ["p", "q"]],
        "lengths": [3.0, 4.0, 4.5],
    }
    for word, mood, topics, stars in [
        ("loves", "glad", ["a", "b"], 4.5),
        ("hates", "sad", ["b"], 1.0),
        ("likes", "glad", [], 4.0),
    ]
] * 4
LAST = {"tokens": ["Ann"], "tags": ["B-PER"], "mood": None, "topics": None, "stars": None,
        "share": None, "traits": [["q"]], "lengths": [3.0]}  # fmt: skip


def form(column: str, name: str, head: str, metric: str) -> dict[str, Any]:
    return {"labels": {"column": column, "form": name}, "head": head, "metric": metric}


FORMS: dict[str, dict[str, Any]] = {
    "tags": {"labels": "tags", "scheme": "bio", "head": "softmax", "metric": "span_f1"},
    "mood": {"labels": "mood", "head": "pool", "metric": "accuracy"},
    "topics": form("topics", "set", "pool", "set_f1"),
    "stars": form("stars", "number", "pool", "pearson"),
    "share": form("share", "soft", "pool", "divergence"),
    "traits": form("traits", "token_set", "softmax", "set_f1"),
    "lengths": form("lengths", "token_number", "softmax", "pearson"),
}


def config(tasks: list[str]) -> dict[str, Any]:
    return {
        "corpora": {"data": {"tasks": {task: FORMS[task] for task in tasks}}},
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 4},
        "tasks": {task: {"use": f"data/{task}"} for task in tasks},
        "training": {"epochs": 1},
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> mtl.TrainedModel:
    folder = tmp_path_factory.mktemp("hub") / "run"
    data = {"data": {"train": [*ROWS, LAST]}}
    return mtl.train(config([*FORMS]), data=data, output=folder, progress=False)


def named(feature: Any, value: Any) -> Any:
    """Return ids as names, by the features of `datasets` alone."""
    if isinstance(feature, datasets.ClassLabel):
        return None if value in (None, -1) else feature.int2str(value)
    inner = getattr(feature, "feature", None)
    if inner is not None and value is not None:
        return [named(inner, item) for item in value]
    return value


def test_predictions_have_the_class_names_of_the_model(model: mtl.TrainedModel) -> None:
    texts = [["Ann", "loves", "Rome"], ["Rome"]]
    found = label_dataset(model, texts)
    assert found.features["mood"].names == ["glad", "sad"]
    assert found.features["tags"].feature.names == ["O", "B-LOC", "B-PER", "I-LOC", "I-PER"]
    expected = model.predict(texts)
    for task in model.tasks:
        values = [named(found.features[task], value) for value in found[task]]
        wanted = expected[task]
        if task == "share":
            assert [pytest.approx(own) for own in wanted] == values
        else:
            assert values == wanted
    assert found["tokens"][0] == texts[0]


def test_confidences_and_texts_are_columns(model: mtl.TrainedModel) -> None:
    found = label_dataset(model, ["Ann loves Rome.", ""], ["mood", "tags"], confidence=True)
    (own, _) = model.annotate(["Ann loves Rome.", ""], ["mood", "tags"], confidence=True)
    assert found["text"][0] == "Ann loves Rome."
    assert found["mood"][1] is None
    assert found["mood.confidence"][0] == pytest.approx(own["mood"].confidence)
    assert found["tags.confidence"][0] == pytest.approx(own["tags"].confidence)


def test_a_data_set_with_names_trains_as_rows_do(model: mtl.TrainedModel, tmp_path: Path) -> None:
    label = datasets.ClassLabel
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "tags": datasets.Sequence(label(names=["B-LOC", "O", "B-PER"])),
            "mood": label(names=["sad", "glad"]),
            "topics": datasets.Sequence(label(names=["b", "a"])),
            "traits": datasets.Sequence(datasets.Sequence(label(names=["q", "p"]))),
        }
    )
    tasks = ["tags", "mood", "topics", "traits"]

    def ids(row: dict[str, Any]) -> dict[str, Any]:
        def encode(feature: Any, value: Any) -> Any:
            if isinstance(value, list):
                return [encode(feature.feature, item) for item in value]
            return feature.str2int(value)

        return {"tokens": row["tokens"]} | {t: encode(features[t], row[t]) for t in tasks}

    encoded = datasets.Dataset.from_list([ids(row) for row in ROWS], features=features)
    own, plain = (
        mtl.train(
            config(tasks),
            {"training.epochs": 2},
            data={"data": {"train": rows}},
            output=tmp_path / name,
            progress=False,
        )
        for name, rows in (("encoded", encoded), ("plain", ROWS))
    )
    for task in tasks:
        labels = [model.predictor.targets[task].labels for model in (own, plain)]
        assert labels[0] == labels[1]
    texts = [row["tokens"] for row in ROWS[:3]]
    assert own.predict(texts) == plain.predict(texts)


def test_corpora_come_back_with_names_and_train_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = corpus_datasets("run.yaml")
    assert {name: set(own) for name, own in found.items()} == {
        "news": {"train", "validation", "test"},
        "mood": {"train", "validation"},
    }
    news = found["news"]["train"]
    words = [line.split() for line in (tmp_path / "data/train.txt").read_text().split("\n") if line]
    flat = [
        list(row)
        for tokens, pos, ner in zip(
            news["tokens"],
            ([news.features["pos"].feature.int2str(i) for i in row] for row in news["pos"]),
            ([news.features["ner"].feature.int2str(i) for i in row] for row in news["ner"]),
            strict=True,
        )
        for row in zip(tokens, pos, ner, strict=True)
    ]
    assert flat == words
    task = {"labels": "mood", "head": "pool", "metric": "accuracy"}
    run = {**config(["mood"]), "corpora": {"data": {"tasks": {"mood": task}}}}
    again = mtl.train(run, data={"data": found["mood"]}, output=tmp_path / "new", progress=False)
    assert again.evaluate("dev").metrics


def test_missing_labels_are_none_or_minus_one(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"tokens": ["a", "b"], "tags": ["X", "_"], "mood": "glad"}\n'
        '{"tokens": ["a"], "tags": ["X"], "mood": null}\n'
        '{"tokens": ["a"], "tags": ["Y"], "mood": "sad"}\n'
    )
    tags = {"labels": "tags", "head": "softmax", "metric": "accuracy"}
    corpus = {"reader": "jsonl", "files": {"train": str(rows)}}
    corpus["tasks"] = {"tags": tags, "mood": FORMS["mood"]}
    found = corpus_datasets({**config(["tags", "mood"]), "corpora": {"data": corpus}})
    train = found["data"]["train"]
    assert list(train["tags"]) == [[0, -1], [0], [1]]
    assert list(train["mood"]) == [0, None, 1]


def test_a_missing_package_is_named(
    model: mtl.TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MtlError, match=r"pip install 'mtl\[hub\]'"):
        label_dataset(model, [["a"]])
