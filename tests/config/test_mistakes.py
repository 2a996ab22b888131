"""The exact text of error messages about run and corpus files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.config import Run, load_run
from mtl.errors import ConfigError
from mtl.registry import Registry

Load = Callable[..., Run]
Write = Callable[..., Path]

MISTAKES = {
    "head: {dropuot: 0.3}": "12: unknown key 'tasks.x.head.dropuot'; did you mean 'dropout'?",
    "head: {dropout: 1.0}": "21: tasks.x.head.dropout: expected a number in [0, 1), got 1.0",
    "head: {dropout: abc}": "21: tasks.x.head.dropout: expected a number in [0, 1), got 'abc'",
    "head: {dropout: true}": "21: tasks.x.head.dropout: expected a number in [0, 1), got true",
    "head: {dropout: null}": "21: tasks.x.head.dropout: expected a number in [0, 1), got null",
    "head: {scheme: iobs}": "20: tasks.x.head.scheme: expected 'bio', 'iobes' or null, got 'iobs'; "
    "did you mean 'iobes'?",
    "head: {scheme: [a]}": "20: tasks.x.head.scheme: expected 'bio', 'iobes' or null, got a list",
    "head: {type: crff}": "18: tasks.x.head: unknown head 'crff'; did you mean 'crf'? "
    "(or your own, as module:Class)",
    "head: crff": "11: tasks.x.head: unknown head 'crff'; did you mean 'crf'? "
    "(or your own, as module:Class)",
    "head: {type: 3}": "18: tasks.x.head.type: expected a string, got 3",
    "head: [crf]": "11: tasks.x.head: expected a mapping, got a list",
    "head: {type: softmax, scheme: bio}": "27: unknown key 'tasks.x.head.scheme'; "
    "expected one of: dropout, smoothing",
    "head: 'a.b:C'": "11: tasks.x.head: cannot import head 'a.b:C': No module named 'a'",
    "metric: {weights: {PER: x}}": "29: tasks.x.metric.weights.PER: expected a number, got 'x'",
    "metric: {pairs: [[a, b], [c]]}": "30: tasks.x.metric.pairs.1: expected a list of 2 "
    "(each: a string), got a list",
    "metric: {pairs: [[a, 1]]}": "26: tasks.x.metric.pairs.0.1: expected a string, got 1",
    "batch: {sentences:8}": "13: unknown key 'tasks.x.batch.sentences:8'; write a blank after the "
    "colon",
    "layr: 1": "5: unknown key 'tasks.x.layr'; did you mean 'layer'?",
    "layer: top": "12: tasks.x.layer: expected a whole number, 'mix' or 'mix_all', got 'top'",
    "layer: 1.5": "12: tasks.x.layer: expected a whole number, 'mix' or 'mix_all', got 1.5",
    "weight: -1": "13: tasks.x.weight: expected a number of at least 0, got -1",
    "lr: 0": "9: tasks.x.lr: expected a number above 0 or null, got 0",
    "batch: {}": "12: tasks.x.batch.max_tokens: expected exactly one of max_tokens, sentences, "
    "streams",
    "batch: {max_tokens: 9, sentences: 1}": "39: tasks.x.batch.sentences: expected exactly one of "
    "max_tokens, sentences, streams",
    "batch: {streams: 0}": "22: tasks.x.batch.streams: expected a whole number of at least 1 or "
    "null, got 0",
    "batch: {streams: 2, bptt: 0}": "31: tasks.x.batch.bptt: expected a whole number of at least "
    "1, got 0",
    "batch: {max_tokens: 9, bptt: 35}": "34: tasks.x.batch.bptt: has no effect without `streams`; "
    "leave it out",
    "corpus: news": "5: unknown key 'tasks.x.corpus'; expected one of: batch, class_balance, head, "
    "layer, lr, metric, patience, sampling, target, use, weight, where",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items(), ids=MISTAKES)
def test_errors_in_a_task(load: Load, write: Write, text: str, message: str) -> None:
    write("run.yaml", f"extends: base.yaml\ntasks:\n  x:\n    use: news/ner\n    {text}")
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value) == f"run.yaml:5:{message}"


IN_RUN = {
    "tasks: {x: {layer: 1}}": "2:12: missing key 'tasks.x.use'",
    "tasks: {x: news/ner}": "2:12: tasks.x: expected a mapping, got 'news/ner'",
    "tasks: {a.b: {use: news/ner}}": "2:9: task name 'a.b': expected a letter, then letters, "
    "digits, - and _",
    "tasks: {x: {use: news}}": "2:18: tasks.x.use: expected CORPUS/TASK, got 'news'",
    "tasks: {x: {use: news/nerr}}": "2:18: corpus 'news' has no task 'nerr'; did you mean 'ner'?",
    "tasks: {x: {use: run/ner}}": "2:18: 'run' is a run file (run.yaml); expected a corpus file",
    "tasks: {x: {use: base/ner}}": "2:18: 'base' is a run file (base.yaml); expected a corpus file",
    "training: {metric: nre.f1}": "2:20: training.metric: expected mean, TASK.SCORE or TASK.loss, "
    "got 'nre.f1'; did you mean 'ner'?",
    "training: {metric: ner}": "2:20: training.metric: expected mean, TASK.SCORE or TASK.loss, "
    "got 'ner'",
    "training: {overlap: 512}": "2:21: training.overlap: expected less than max_length (512), "
    "got 512",
    "training: {average: 1}": "2:21: training.average.decay: expected a number in [0, 1), got 1",
    "training: {average: true}": "2:21: training.average: expected a mapping, got true",
    "training: {average: {type: asgd, decay: 0.9}}": "2:34: unknown key 'training.average.decay'; "
    "expected one of: trigger",
    "training: {fine_tuning: {lr_ratio: 0.5}}": "2:36: training.fine_tuning.lr_ratio: expected "
    "a number of at least 1, got 0.5",
    "training: {fine_tuning: {frozen: [head]}}": "2:35: training.fine_tuning.frozen.0: expected "
    "'embedding' or 'trunk', got 'head'",
    "training: {device: gpu}": "2:20: training.device: expected auto, cpu, cuda, "
    "cuda:0 (or higher) or mps, got 'gpu'",
    "training: {optimizer: sgd}": "2:23: missing key 'training.optimizer.lr'",
    "training: {optimizer: {lr: .inf}}": "2:28: training.optimizer.lr: expected finite numbers, "
    "got inf",
    "training: 3": "2:11: training: expected a mapping, got 3",
    "trunk: {}\ntraining: {epochs: 0}": "3:20: training.epochs: expected a whole number "
    "of at least 1, got 0",
    "embedding: {word: {}}": "2:13: unknown key 'embedding.word'; did you mean 'words'?",
    "embedding: {words: {type: cnn}}": "2:20: embedding.words: 'cnn' reads characters, not words",
    "embedding: {words: {min_count: 0}}": "2:32: embedding.words.min_count: expected a whole "
    "number of at least 1, got 0",
    "embedding: {characters: {widths: [3, x]}}": "2:38: embedding.characters.widths.1: expected "
    "a whole number, got 'x'",
    "embedding: {words: {vectors: 3}}": "2:30: embedding.words.vectors: expected a path or null, "
    "got 3",
    "tranings: 1": "2:1: unknown key 'tranings'; did you mean 'training'?",
    "corpora: {news: {titel: x}}": "2:18: unknown key 'corpora.news.titel'; did you mean 'title'?",
    "corpora: {news: 3}": "2:17: corpora.news: expected a mapping, got 3",
    "corpora: {own: {reader: conll}}": "2:16: missing key 'corpora.own.files'\n"
    "run.yaml:2:16: missing key 'corpora.own.tasks'",
    "seed: 1.5": "2:7: seed: expected a whole number in [0, 9223372036854775808), got 1.5",
}


@pytest.mark.parametrize(("text", "message"), IN_RUN.items(), ids=IN_RUN)
def test_errors_in_a_run(load: Load, write: Write, text: str, message: str) -> None:
    write("ner.yaml", "extends: base.yaml\ntasks: {ner: {use: news/ner}}")
    extends = "base.yaml" if text.startswith("tasks") else "ner.yaml"
    write("run.yaml", f"extends: {extends}\n{text}")
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value) == f"run.yaml:{message}"


IN_CORPUS = {
    "title: 3": "2:8: title: expected a string or null, got 3",
    "reader: {columns: a}": "2:19: reader.columns: expected a list (each: a string), got 'a'",
    "files: {train: 3}": "2:16: files.train: expected a path or a list of paths",
    "files: {train: []}": "2:16: files.train: expected a path or a list of paths",
    "files: {train: null}": "2:8: files: missing key 'train'",
    "files: {dev: a.txt}\nsplits: {test: 9}": "3:9: splits: 'dev' cannot be cut from train; "
    "`files` has it already",
    "splits: null\nfolds: {}": "3:8: folds: 'test' cannot be cut from train; "
    "`files` has it already",
    "splits: {dve: 10%}": "2:10: unknown key 'splits.dve'; did you mean 'dev'?",
    "splits: {dev: 10 %}": "2:15: splits.dev: expected a percentage such as 10% or a number of "
    "sentences, got '10 %'",
    "splits: {dev: 100%}": "2:15: splits.dev: expected a percentage such as 10% or a number of "
    "sentences, got '100%'",
    "folds: {count: 5, fold: 5}": "2:25: folds.fold: expected less than count (5), got 5",
    "folds: {count: 5}": "2:8: folds: expected either splits or folds, not both",
    "expect: {tran: 3}": "2:9: expect: 'tran' is not a split of this corpus",
    "tasks: {ner: {labels: {pattern: '('}}}": "2:33: tasks.ner.labels.pattern: expected "
    "a regular expression with one group in round brackets or null, got '('",
    "tasks: {ner: {labels: {pattern: 'a'}}}": "2:33: tasks.ner.labels.pattern: expected "
    "a regular expression with one group in round brackets or null, got 'a'",
    "tasks: {ner: {labels: {feature: A, misc: B}}}": "2:42: tasks.ner.labels.misc: expected "
    "exactly one of column, metadata, feature, misc, text, word, hint",
    "tasks: {ner: {labels: {text: both}}}": "2:30: tasks.ner.labels.text: expected 'next', "
    "'previous', 'same' or null, got 'both'",
    "tasks: {ner: {labels: {word: frequency}, scheme: bio}}": "2:50: tasks.ner.scheme: labels "
    "of `word` are not spans; remove it",
    "tasks: {ner: {labels: {text: next, pattern: '(a)'}}}": "2:45: tasks.ner.labels.pattern: "
    "cannot be combined with `text`; remove it",
    "tasks: {ner: {labels: {hint: {pattern: '('}}}}": "2:40: tasks.ner.labels.hint.pattern: "
    "expected a regular expression or null, got '('",
    "tasks: {ner: {labels: {hint: {level: token}}}}": "2:30: tasks.ner.labels.hint.pattern: "
    "expected exactly one of pattern, lexicon",
    "tasks: {ner: {labels: {hint: 3}}}": "2:30: tasks.ner.labels.hint: expected a mapping, got 3",
    "tasks: {ner: {scheme: iob2}}": "2:23: tasks.ner.scheme: expected 'bio', 'iob1', 'iobes', "
    "'bilou', 'bmes' or "
    "null, got 'iob2'; did you mean 'iob1'?",
    "tasks: {y: {labels: y, head: crf}}": "2:12: missing key 'tasks.y.metric'",
    "tasks: {ner: {use: a/b}}": "2:15: unknown key 'tasks.ner.use'; expected one of: head, labels, "
    "metric, scheme",
    "name: x": "2:1: unknown key 'name'; expected one of: expect, files, folds, licence, limit, "
    "reader, splits, tasks, title, unit, where",
    "limit: {devel: 5}": "2:8: limit: 'devel' is not a split of this corpus",
}


@pytest.mark.parametrize(("text", "message"), IN_CORPUS.items(), ids=IN_CORPUS)
def test_errors_in_a_corpus(load: Load, write: Write, text: str, message: str) -> None:
    write("tasks/mine.yaml", f"extends: news.yaml\n{text}")
    write("run.yaml", "extends: base.yaml\ntasks: {x: {use: mine/ner}}")
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value) == f"tasks/mine.yaml:{message}"


def test_all_errors_are_reported_sorted_by_file_and_line(load: Load, write: Write) -> None:
    write("base.yaml", "embedding: {words: {dims: 3}}\ntrunk: {num_layers: 2}")
    write("tasks/news.yaml", "reader: conl\nfiles: {train: none.txt}\ntasks: {}")
    write("run.yaml", "extends: base.yaml\ntasks: {x: {use: news/ner}}\nsede: 1")
    with pytest.raises(ConfigError) as error:
        load("training.epochs=many")
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [
        "base.yaml:1:21",
        "base.yaml:2:8",
        "command line",
        "run.yaml:2:18",
        "run.yaml:3:1",
        "tasks/news.yaml:1:9",
    ]


def test_an_error_shared_by_two_tasks_is_reported_once(load: Load, write: Write) -> None:
    text = Path("tasks/news.yaml").read_text(encoding="utf-8")
    write("tasks/news.yaml", text.replace("dropout: 0.4", "dropout: 4"))
    with pytest.raises(ConfigError) as error:
        load("tasks.y={use: news/ner, head: {scheme: bio}}")
    message = "tasks/news.yaml:9:32: tasks.ner.head.dropout: expected a number in [0, 1), got 4"
    assert str(error.value) == message


def test_an_unknown_option_is_an_error_even_if_the_type_changes(load: Load, write: Write) -> None:
    write("base.yaml", "embedding: {words: {}}\ntrunk: {type: lstm, dropuot: 0.3, num_layers: 1}")
    with pytest.raises(ConfigError) as error:
        load("trunk.type=qrnn")
    message = "unknown key 'trunk.dropuot'; expected one of: num_layers, window"
    assert str(error.value) == f"base.yaml:2:21: {message}"


def test_a_missing_file_is_reported_with_the_paths_tried(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("tasks/train.txt")
    path.unlink()
    start = f"tasks/news.yaml:3:16: files.train: no such file: {tmp_path / path}"
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value) == f"{start}; set MTL_DATA to the folder of your corpora"
    monkeypatch.setenv("MTL_DATA", "/data")
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value) == f"{start} or /data/train.txt"


def test_a_misspelt_file_is_reported_with_the_similar_name(load: Load) -> None:
    Path("tasks/train.txt").rename("tasks/trian.txt")
    with pytest.raises(ConfigError, match="no such file: ") as error:
        load()
    assert str(error.value).endswith("tasks/train.txt; did you mean 'trian.txt'?")


def test_an_unknown_corpus_is_reported_with_a_suggestion(load: Load) -> None:
    with pytest.raises(ConfigError) as error:
        load("tasks.x.use=newss/ner")
    message = str(error.value)
    assert message.startswith("command line: tasks.x.use=newss/ner: no corpus 'newss' in ., tasks,")
    assert message.endswith("; did you mean 'news'?")


def test_a_broken_corpus_file_is_reported_with_other_errors(load: Load, write: Write) -> None:
    write("tasks/news.yaml", "a: [")
    with pytest.raises(ConfigError, match=r"(?s)^command line: seed=x: .*\ntasks/news.yaml:1:5: "):
        load("seed=x")


def test_two_tasks_of_a_corpus_need_the_same_batch_size(load: Load) -> None:
    with pytest.raises(ConfigError) as error:
        load(
            "tasks.ner.batch.sentences=8",
            "tasks.genre={use: news/genre, batch: {sentences: 9}}",
        )
    assert str(error.value).endswith(
        "tasks 'ner' and 'genre' share the batches of 'news'; set the same batch size for both"
    )


def test_a_shared_head_must_belong_to_its_task(load: Load) -> None:
    same = "{use: news/ner, head: %s}"
    with pytest.raises(ConfigError) as error:
        load(f"tasks.a={same % 'ner'}", f"tasks.b={same % 'a'}")
    assert str(error.value).endswith(
        "tasks.b.head: 'a' has no head of its own; use 'ner', whose head it shares"
    )


def test_an_empty_run_lacks_all_required_keys(
    write: Write, kinds: Mapping[str, Registry[Any]]
) -> None:
    write("none.yaml", "tasks: {}")
    with pytest.raises(ConfigError) as error:
        load_run("none.yaml", kinds=kinds)
    assert str(error.value).splitlines() == [
        f"none.yaml:1:1: missing key '{key}'" for key in ("embedding", "tasks")
    ]


KEYS = ["trunk", "trunk.type", "tasks", "tasks.ner", "tasks.ner.use", "tasks.ner.head",
        "tasks.ner.where", "tasks.ner.where.train", "corpora",
        "corpora.news", "corpora.news.files", "corpora.news.reader", "corpora.news.tasks",
        "corpora.news.tasks.ner", "corpora.news.tasks.ner.labels", "embedding", "training",
        "training.batch", "training.metric", "embedding.words.vectors"]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "use", "train", "ner", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_any_value_loads_or_raises_a_config_error(
    write: Write, kinds: Mapping[str, Registry[Any]], overrides: dict[str, Any]
) -> None:
    with suppress(ConfigError):
        assert load_run("run.yaml", overrides, kinds=kinds).tasks
