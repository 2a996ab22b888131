"""The language model that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import mtl
from mtl.config.document import load
from mtl.config.load import run_to_yaml
from mtl.errors import ConfigError
from mtl.experiment import load_config, load_corpora, prepare
from mtl.files import PACKAGE
from mtl.runs.checkpoint import MODEL, load_tensors
from tests.cli.command import mtl as command

SHIPPED = sorted(path.parent for path in (PACKAGE / "pretrained").glob("*/run.yaml"))
RUN = """
extends: base/lstm.yaml
trunk: {init: wikitext2}
tasks:
  pos: {use: text/pos}
corpora:
  text:
    reader: {type: conll, columns: [tokens, pos]}
    files: {train: train.txt}
    tasks:
      pos: {labels: pos, head: {type: softmax}, metric: accuracy}
"""

shipped = pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)


def test_a_run_starts_from_it_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("The D\nking N\nzzyzx N\n\n" * 2, encoding="utf-8")
    (tmp_path / "run.yaml").write_text(RUN, encoding="utf-8")
    run = load_config(tmp_path / "run.yaml")
    found = prepare(run, load_corpora(run))
    assert any("wikitext2: trunk; words: 28,914 of 28,915 vectors" in n for n in found.notes)
    known = load_tensors(PACKAGE / "pretrained" / "wikitext2" / MODEL)
    name = "sharing.trunk.layers.0.ahead.rnn.weight_hh_l0"
    assert torch.equal(found.model.state_dict()[name], known[name].float())


def test_a_run_file_has_its_name_and_not_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.txt").write_text("The D\nking N\n\n", encoding="utf-8")
    (tmp_path / "run.yaml").write_text(RUN, encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    by_path = {"trunk.init": str(PACKAGE / "pretrained" / "wikitext2")}
    for run in (load_config(tmp_path / "run.yaml"), load_config(tmp_path / "run.yaml", by_path)):
        written = tmp_path / "elsewhere.yaml"
        written.write_text(run_to_yaml(run), encoding="utf-8")
        assert load_config(written).trunk.options["init"] == "wikitext2"
    # A folder of the user with the same name in the current folder is another run.
    Path("wikitext2").mkdir()
    assert any("wikitext2: trunk" in note for note in prepare(run, load_corpora(run)).notes)


@shipped
def test_it_is_small_and_tells_no_paths(folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) < 20e6
    assert all(t.dtype == torch.half for t in load_tensors(folder / MODEL).values())
    assert ": /" not in (folder / "run.yaml").read_text(encoding="utf-8")
    assert "- /" not in (folder / "run.yaml").read_text(encoding="utf-8")


@shipped
def test_its_card_names_text_licence_and_perplexity(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("WikiText-2", "CC BY-SA 3.0", "perplexity", "settings"))


@shipped
def test_it_is_a_run_folder_like_any_other(folder: Path) -> None:
    words = mtl.load(folder).generate("the", length=5, seed=1)
    assert len(list(words)) == 5


def test_base_configurations_are_found_by_name_after_local_files(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("extends: base/lstm.yaml\n", encoding="utf-8")
    assert load(path).plain()["trunk"]["type"] == "lstm"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "lstm.yaml").write_text("trunk: gru\n", encoding="utf-8")
    assert load(path).plain() == {"trunk": "gru"}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the current one. No folder of corpora is known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTL_DATA", raising=False)
    return tmp_path


def test_runs_are_found_in_any_folder_after_local_files(elsewhere: Path) -> None:
    assert list(load_config("configs/trec.yaml", must_exist=False).tasks) == ["coarse"]
    (elsewhere / "configs").mkdir()
    (elsewhere / "configs" / "trec.yaml").write_text("tasks: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^configs/trec.yaml:1:1: "):
        load_config("configs/trec.yaml")


def test_commands_know_it_by_its_name(elsewhere: Path) -> None:
    assert command("generate", "wikitext2", "--prompt", "the", "--length", "3").code == 0
    lacking = command("evaluate", "wikitext2")
    assert lacking.code == 2
    assert lacking.err.count("\n") == 1
    assert "set MTL_DATA to the folder of your corpora" in lacking.err
    (elsewhere / "wikitext2").mkdir()
    assert "not a run folder" in command("generate", "wikitext2").err
