"""Training and scoring from Python, with data that is in no file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import mtl
from mtl.errors import MtlError
from tests.cli import project as small
from tests.cli.command import mtl as command
from tests.cli.objects import moods, news

CONFIG: dict[str, Any] = {
    "corpora": {
        "news": {
            "splits": {"dev": "20%"},
            "tasks": {
                "ner": {"labels": "ner", "scheme": "bio", "head": "crf", "metric": "span_f1"},
                "pos": {"labels": "pos", "head": "softmax", "metric": "accuracy"},
            },
        },
        "mood": {"tasks": {"mood": {"labels": "mood", "head": "pool", "metric": "accuracy"}}},
    },
    "embedding": {"words": {"dim": 16}},
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 16},
    "tasks": {
        "ner": {"use": "news/ner"},
        "pos": {"use": "news/pos"},
        "mood": {"use": "mood/mood"},
    },
    "training": {
        "epochs": 4,
        "batch": {"sentences": 8},
        "optimizer": {"type": "adam", "lr": 0.02},
        "schedule": {"type": "constant", "warmup": 0},
    },
}


DATA = {"news": news(40, 1), "mood": {"train": moods(40, 1), "dev": moods(10, 2)}}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(*changes: Any, data: Any = DATA, output: str = "run", **options: Any) -> Any:
    return mtl.train(CONFIG, *changes, data=data, output=output, progress=False, **options)


def test_a_dictionary_and_objects_train_the_model_of_files(tmp_path: Path) -> None:
    small.write(tmp_path)
    objects = train()
    tables = {
        "news": {
            "reader": {"type": "conll", "columns": ["tokens", "pos", "ner"]},
            "files": {"train": "data/train.txt"},
        },
        "mood": {
            "reader": "tsv",
            "files": {"train": "data/mood.train.tsv", "dev": "data/mood.dev.tsv"},
        },
    }
    corpora = {name: {**CONFIG["corpora"][name], **tables[name]} for name in tables}
    files = mtl.train({**CONFIG, "corpora": corpora}, output="files", progress=False)
    assert (Path("run/model.safetensors").read_bytes()) == Path(
        "files/model.safetensors"
    ).read_bytes()
    assert objects.evaluate("dev").scores() == files.evaluate("dev").scores()
    own = files.evaluate("dev", data={"news": news(10, 3), "mood": moods(10, 2)})
    table = {"news": "data/test.txt", "mood": "data/mood.dev.tsv"}
    assert own.scores() == files.evaluate("dev", data=table).scores()


def test_a_trained_run_goes_on_with_the_same_data() -> None:
    train({"training.epochs": 2})
    train(resume=True)
    whole = train(output="whole")
    assert (
        Path("run/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    )
    assert mtl.load("run").evaluate("dev").scores() == whole.evaluate("dev").scores()
    with pytest.raises(MtlError, match=r"was trained with corpora.news.files.train"):
        train(data={**DATA, "news": news(41, 1)}, resume=True)


def test_a_run_folder_is_scored_from_the_cache_or_with_data_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "cache"))
    train({"training.epochs": 1})
    assert command("evaluate", "run", "--split", "dev").code == 0
    assert command("train", "run/run.yaml", "--output", "again").code == 0
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(MtlError, match="was passed from Python; pass it again, with data="):
        mtl.load("run").evaluate("dev")
    found = mtl.load("run").evaluate(tasks=["mood"], data=moods(10, 2))
    assert set(found.scores()) == {"mood"}
    shown = command("evaluate", "run")
    assert shown.code == 2
    assert "pass it again" in shown.err
    assert len(shown.err.splitlines()) == 1


def test_frames_and_data_sets() -> None:
    frame = pd.DataFrame(moods(20, 1), columns=["text", "mood"])
    splits = datasets.DatasetDict(
        train=datasets.Dataset.from_list(news(20, 1)),
        validation=datasets.Dataset.from_list(news(5, 2)),
        test=datasets.Dataset.from_list(news(5, 3)),
    )
    changes = {"corpora.news.splits": None, "training.epochs": 1}
    model = train(changes, data={"news": splits, "mood": {"train": frame, "dev": frame}})
    assert set(model.evaluate("test").scores()) == {"ner", "pos"}
    assert set(model.evaluate("dev").scores()) == {"ner", "pos", "mood"}


def test_several_seeds() -> None:
    seeds = train({"seeds": 2, "training.epochs": 1})
    assert [model.run.seed for model in seeds.models] == [1, 2]


def test_a_corpus_file_is_trained_on_other_data(tmp_path: Path) -> None:
    small.write(tmp_path)
    config = {**CONFIG, "tasks": {"mood": {"use": "mood/mood"}}, "corpora": {}}
    rows = [{"text": text, "mood": mood} for text, mood in moods(12, 5)]
    model = mtl.train(config, data={"mood": rows}, output="run", progress=False)
    assert model.run.corpora["mood"].files.keys() == {"train"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"mood": [*moods(3, 1), ("a", ["glad"])], "news": news(40, 1)}, r"\['mood'\]\[3\]: task"),
        ({**DATA, "news": [(["a"], ["X"])]}, r"\['news'\]\[0\]: a pair .* needs a corpus with a s"),
        ({**DATA, "nws": moods(3, 1)}, r"data\['nws'\]: no task uses a corpus 'nws'; did you mean"),
        (None, r"config\['corpora'\]\['mood'\]: missing key 'corpora.mood.files'"),
        ([], r"data: expected a dict of corpus to its data"),
    ],
)
def test_mistakes(data: Any, message: str) -> None:
    with pytest.raises(MtlError, match=message):
        train(data=data)
    assert not Path("run").exists()


def test_a_dictionary_needs_a_folder() -> None:
    with pytest.raises(MtlError, match="output: expected a folder"):
        mtl.train(CONFIG, data=DATA)


def test_data_of_several_corpora_is_named() -> None:
    model = train({"training.epochs": 1})
    with pytest.raises(MtlError, match=r"data: the tasks have several corpora \(news, mood\)"):
        model.evaluate(data=moods(3, 1))
    with pytest.raises(MtlError, match=r"data\['mood'\]\[0\]: expected a dict, or a pair"):
        model.evaluate(tasks=["mood"], data=[3])
