"""Every run and every corpus that comes with the project can be used."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from mtl.config.document import load
from mtl.data.corpus import load_corpus
from mtl.errors import ConfigError
from mtl.experiment import load_config
from mtl.experiment.kinds import build

ROOT = Path(__file__).parents[2]
RUNS = sorted(p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "base")
ELSEWHERE = {"quickstart", "ewt_pos_ner_minilm", "english"}
"""Runs that need more than a folder of corpora: data of a package, or a model of the hub."""
CORPORA = {
    path.stem: list(load(path).plain()["tasks"]) for path in sorted((ROOT / "tasks").glob("*.yaml"))
}
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")


@pytest.fixture
def shown_run(tmp_path: Path) -> Path:
    """Return the run that docs/contracts.md shows, as a file beside configs/base."""
    shutil.copytree(ROOT / "configs" / "base", tmp_path / "base")
    path = tmp_path / "my_run.yaml"
    block = re.search(r"```yaml\n(# configs/my_run.yaml\n.*?)```", CONTRACTS, re.DOTALL)
    assert block
    path.write_text(block[1], encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_run_can_be_read(path: Path) -> None:
    assert load_config(path, must_exist=False).tasks


@pytest.mark.parametrize(
    ("corpus", "task"), [(name, task) for name, tasks in CORPORA.items() for task in tasks]
)
def test_every_task_of_a_corpus_can_be_used(corpus: str, task: str, tmp_path: Path) -> None:
    base = str(ROOT / "configs/base/lstm.yaml")
    run = {"extends": base, "tasks": {task: {"use": f"{corpus}/{task}"}}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")
    assert list(load_config(tmp_path / "run.yaml", must_exist=False).tasks) == [task]


def test_the_run_in_the_page_has_three_tasks(shown_run: Path) -> None:
    assert list(load_config(shown_run, must_exist=False).tasks) == ["pos", "ner", "question"]


def test_the_mistake_in_the_page_is_reported_as_it_says(shown_run: Path) -> None:
    text = shown_run.read_text(encoding="utf-8")
    shown_run.write_text(text.replace("{type: crf,", "{type: crf, dropuot: 0.5,"))
    with pytest.raises(ConfigError) as error:
        load_config(shown_run, must_exist=False)
    told = re.search(r"^configs/(my_run\.yaml:.*)$", CONTRACTS, re.MULTILINE)
    assert told
    assert str(error.value) == str(shown_run.with_name(told[1]))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in RUNS if path.stem not in ELSEWHERE], ids=lambda path: path.stem
)
def test_corpora_are_as_their_files_say(path: Path, tmp_path: Path) -> None:
    if "MTL_DATA" not in os.environ:
        pytest.skip("MTL_DATA names no folder of corpora")
    found: set[str] = set()
    for corpus in load_config(path).corpora.values():
        reader = build("reader", corpus.reader)
        splits = load_corpus(corpus, reader, cache=tmp_path).splits
        assert set(splits) == corpus.split_names
        found |= set(splits)
    assert found == {"train", "dev", "test"}
