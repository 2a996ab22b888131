"""The language model that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import mtl
from mtl.config.paths import PACKAGE
from mtl.experiment import load_config, load_corpora, prepare
from mtl.runs.checkpoint import MODEL, load_tensors

SHIPPED = sorted(path.parent for path in (PACKAGE / "pretrained").glob("*/run.yaml"))
RUN = """
extends: {base}
trunk: {{init: wikitext2}}
tasks:
  pos: {{use: text/pos}}
corpora:
  text:
    reader: {{type: conll, columns: [tokens, pos]}}
    files: {{train: train.txt}}
    tasks:
      pos: {{labels: pos, head: {{type: softmax}}, metric: accuracy}}
"""
BASE = Path(__file__).parent.parent / "configs" / "base" / "lstm.yaml"

shipped = pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)


def test_a_run_starts_from_it_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("The D\nking N\nzzyzx N\n\n" * 2, encoding="utf-8")
    (tmp_path / "run.yaml").write_text(RUN.format(base=BASE), encoding="utf-8")
    run = load_config(tmp_path / "run.yaml")
    found = prepare(run, load_corpora(run))
    assert any("wikitext2: trunk; words: 28,914 of 28,915 vectors" in n for n in found.notes)
    known = load_tensors(PACKAGE / "pretrained" / "wikitext2" / MODEL)
    name = "sharing.trunk.layers.0.ahead.rnn.weight_hh_l0"
    assert torch.equal(found.model.state_dict()[name], known[name].float())


@shipped
def test_it_is_small_and_tells_no_paths(folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) < 15e6
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
