"""Loading of run files: corpora, defaults, labels and shared heads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mtl.config import BatchConfig, Kinds, Part, Run, SourceConfig, load_run, run_to_yaml
from mtl.config.paths import run_file
from mtl.errors import ConfigError
from mtl.files import PACKAGE

Load = Callable[..., Run]
Write = Callable[..., Path]


def test_a_run_is_complete(load: Load) -> None:
    run = load()
    assert run.trunk == Part(
        type="lstm",
        options={"num_layers": 2, "hidden_size": 200, "dropout": 0.3, "forget_bias": 1.0},
    )
    assert run.sharing == Part(type="hard")
    assert run.training.optimizer == Part(type="adam", options={"lr": 0.001})
    assert run.training.batch is None
    assert run.embedding["words"].options == {"dim": 50, "vectors": None, "min_count": 1}
    assert (run.seed, run.training.epochs, run.training.clip_norm) == (7, 20, 5.0)


def test_a_task_has_what_its_corpus_says(load: Load) -> None:
    task = load().tasks["ner"]
    assert (task.corpus, task.source, task.scheme) == ("news", SourceConfig(column="ner"), "bio")
    crf = {"dropout": 0.4, "scheme": "iobes"}
    assert task.head == Part(type="crf", options=crf)
    assert task.metric == Part(type="span_f1", options={"weights": None, "pairs": []})


def test_a_data_file_is_not_a_run_file(write: Write, kinds: Kinds) -> None:
    table = write("tickets.csv", "text,label")
    with pytest.raises(ConfigError, match=r"name of a data file; .* mtl new .*tickets\.csv"):
        load_run(table, kinds=kinds)


def test_a_run_folder_is_not_a_run_file(write: Write, kinds: Kinds) -> None:
    own = write("runs/one/run.yaml")
    with pytest.raises(ConfigError, match=f"found a folder; use the run file in it: {own}"):
        load_run(own.parent, kinds=kinds)
    with pytest.raises(ConfigError, match=r"found a folder$"):
        load_run("runs", kinds=kinds)


def test_labels_say_their_kind_and_key(load: Load) -> None:
    source = load("tasks.genre.use=news/genre").tasks["genre"].source
    assert (source.kind, source.key, source.pattern) == ("metadata", "id", "^([a-z]+)")


def test_a_hint_and_its_lexicon_are_kept_in_the_complete_run(load: Load, write: Write) -> None:
    write("tasks/names.txt", "Ada")
    labels = "{labels: {hint: {lexicon: names.txt, level: sentence}}, scheme: null}"
    write("tasks/mine.yaml", f"extends: news.yaml\ntasks: {{ner: {labels}}}")
    run = load("tasks.ner.use=mine/ner")
    source = run.tasks["ner"].source
    assert source.hint.lexicon == str(Path("tasks/names.txt").absolute())
    write("again.yaml", run_to_yaml(run))
    again = load(path="again.yaml")
    assert (again, again.tasks["ner"].source) == (run, source)


def test_files_are_absolute(load: Load, tmp_path: Path) -> None:
    files = load().corpora["news"].files
    tasks = tmp_path / "tasks"
    assert files == {
        "train": [str(tasks / "train.txt")],
        "test": [str(tasks / "a.txt"), str(tasks / "b.txt")],
    }


def test_options_of_the_run_lie_over_those_of_the_corpus(load: Load) -> None:
    head = load("tasks.ner.head.dropout=0.1").tasks["ner"].head
    assert head == Part(type="crf", options={"dropout": 0.1, "scheme": "iobes"})


def test_a_changed_type_keeps_the_options_it_knows(load: Load) -> None:
    head = load("tasks.ner.head.type=softmax").tasks["ner"].head
    assert head == Part(type="softmax", options={"dropout": 0.4, "smoothing": 0.0})
    trunk = load("trunk.type=qrnn").trunk
    assert trunk == Part(type="qrnn", options={"num_layers": 2, "window": 1})


def test_a_name_alone_stands_for_the_defaults(load: Load) -> None:
    assert load("tasks.ner.head=softmax").tasks["ner"].head == Part(
        type="softmax", options={"dropout": 0.5, "smoothing": 0.0}
    )


def test_a_number_alone_stands_for_an_exponential_average(load: Load) -> None:
    average = load("training.average=0.9").training.average
    assert average == Part(type="exponential", options={"decay": 0.9})
    assert load("training.average={decay: 0.9}").training.average == average
    triggered = load("training.average=0.9", "training.average=asgd").training.average
    assert triggered == Part(type="asgd", options={"trigger": 5})


def test_without_average_or_fine_tuning_there_is_none(load: Load) -> None:
    training = load().training
    assert (training.average, training.fine_tuning) == (None, None)
    assert load("training.average=0.9", "training.average=null").training.average is None


def test_options_may_be_laid_over_a_name_alone(load: Load, write: Write) -> None:
    write("opt.yaml", "extends: run.yaml\ntraining: {optimizer: sgd}")
    optimizer = load("training.optimizer.lr=0.1", path="opt.yaml").training.optimizer
    assert optimizer == Part(type="sgd", options={"lr": 0.1, "momentum": 0.0})


def test_a_head_may_be_that_of_another_task(load: Load) -> None:
    run = load("tasks.again={use: news/ner, head: ner}")
    assert run.tasks["again"].head == "ner"


def test_the_size_of_batches_written_last_holds(load: Load, write: Write) -> None:
    write("more.yaml", "extends: run.yaml\ntraining: {batch: {sentences: 8}}")
    run = load("training.batch.max_tokens=500", path="more.yaml")
    assert run.training.batch == BatchConfig(max_tokens=500)
    run = load("training.batch.max_tokens=null", path="more.yaml")
    assert run.training.batch == BatchConfig(sentences=8)


def test_other_batches_replace_streams_with_their_chunks(load: Load, write: Write) -> None:
    write("text.yaml", "extends: run.yaml\ntraining: {batch: {streams: 4, bptt: 9, overlap: 2}}")
    run = load("training.batch.sentences=8", path="text.yaml")
    assert run.training.batch == BatchConfig(sentences=8)
    run = load("training.batch.streams=8", path="text.yaml")
    assert run.training.batch == BatchConfig(streams=8, bptt=9, overlap=2)


def test_labels_may_be_taken_from_elsewhere(load: Load) -> None:
    run = load("corpora.news.tasks.ner.labels.misc=Entity")
    assert run.tasks["ner"].source == SourceConfig(misc="Entity")


def test_null_takes_a_task_or_embedding_away(load: Load) -> None:
    run = load("tasks.ner=null", "tasks.x={use: news/genre}", "embedding.characters=null")
    assert (list(run.tasks), list(run.embedding)) == (["x"], ["words"])


def test_null_means_none_where_none_is_possible(load: Load) -> None:
    assert load("training.clip_norm=null").training.clip_norm is None


def test_null_means_the_default_elsewhere(load: Load) -> None:
    assert load("training.epochs=", "sharing=").training.epochs == 20


def test_a_list_becomes_what_the_part_asks_for(load: Load) -> None:
    run = load("embedding.characters.widths=[2, 3]")
    assert run.embedding["characters"].options["widths"] == (2, 3)


def test_changes_to_a_corpus_file_are_written_in_the_run(load: Load) -> None:
    corpus = load("corpora.news.splits.dev=50", "corpora.news.reader.columns=[a]").corpora["news"]
    assert (corpus.splits, corpus.title) == ({"dev": 50}, "News")
    assert corpus.reader.options == {"columns": ["a"]}


def test_cross_validation_needs_no_test_file(load: Load) -> None:
    files = "corpora.news.files.test=null"
    folds = load(files, "corpora.news.splits=null", "corpora.news.folds.fold=3").corpora["news"]
    assert folds.folds
    assert (folds.folds.count, folds.folds.fold, folds.folds.dev) == (10, 3, "10%")


def test_a_whole_corpus_in_the_run_needs_no_file(load: Load) -> None:
    run = load(
        "corpora.mine={reader: {type: hub, name: x}, files: {train: train},"
        " tasks: {a: {labels: y, head: crf, metric: accuracy}}}",
        "tasks.a.use=mine/a",
    )
    assert run.corpora["mine"].files == {"train": ["train"]}


def test_only_corpora_in_use_are_kept(load: Load) -> None:
    run = load("corpora.news2={reader: conll, files: {train: base.yaml}, tasks: {}}")
    assert list(run.corpora) == ["news"]


def test_a_run_of_the_same_name_is_not_taken_for_the_corpus(load: Load, write: Write) -> None:
    write("news.yaml", "extends: run.yaml")
    assert load(path="news.yaml").corpora["news"].title == "News"


@pytest.mark.parametrize("place", ["configs", "configs/tasks", "tasks"])
def test_corpora_are_found_around_the_run(
    place: str, load: Load, write: Write, tmp_path: Path
) -> None:
    write("configs/run.yaml", "extends: ../run.yaml\ntasks: {x: {use: papers/ner}}")
    write(f"{place}/papers.yaml", f"extends: {tmp_path}/tasks/news.yaml")
    assert load(path="configs/run.yaml").tasks["x"].corpus == "papers"


def test_files_are_found_in_the_data_folder(
    load: Load, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("data/news/dev.txt")
    monkeypatch.setenv("MTL_DATA", str(tmp_path / "data"))
    corpus = load("corpora.news.files.dev=news/dev.txt", "corpora.news.splits=null").corpora["news"]
    assert corpus.files["dev"] == [str(tmp_path / "data/news/dev.txt")]


def test_paths_of_options_start_at_the_file_they_stand_in(
    load: Load, write: Write, tmp_path: Path
) -> None:
    write("vectors/glove.txt")
    write("vectors/base.yaml", "embedding: {words: {vectors: glove.txt}}")
    write("run2.yaml", "extends: [vectors/base.yaml, run.yaml]")
    words = load(path="run2.yaml").embedding["words"]
    assert words.options["vectors"] == str(tmp_path / "vectors/glove.txt")


def test_prediction_needs_no_data(load: Load, tmp_path: Path) -> None:
    Path("tasks/train.txt").unlink()
    files = load(must_exist=False).corpora["news"].files
    assert files["train"] == [str(tmp_path / "tasks/train.txt")]


@pytest.fixture
def own_trunk(kinds: Kinds, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a trunk outside the table, with an option that no other has."""

    def __init__(self: object, *, gates: int = 3) -> None: ...

    module = ModuleType("my_parts")
    module.Mine = type("Mine", (kinds["trunk"].base,), {"__init__": __init__})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_parts", module)
    return "my_parts:Mine"


def test_a_part_of_ones_own_is_named_by_module(load: Load, own_trunk: str) -> None:
    trunk = load(f"trunk={{type: '{own_trunk}', gates: 4}}").trunk
    assert trunk == Part(type=own_trunk, options={"gates": 4})


def test_options_of_a_part_of_ones_own_go_with_it(load: Load, own_trunk: str) -> None:
    own = f"trunk={{type: '{own_trunk}', gates: 4}}"
    assert load(own, "trunk.type=lstm") == load()


@pytest.mark.parametrize(
    "name", ["ewt_pos", "ewt_pos.yaml", "configs/ewt_pos", "sharing/cross_stitch"]
)
def test_run_files_of_the_package_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_file(name).is_relative_to(PACKAGE / "configs")
    (tmp_path / Path(name).name).with_suffix(".yaml").write_text("")
    if "/" not in name:
        assert run_file(name).parent == Path()
