"""The files of docs/add-your-own.md, written out and used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from mtl.config.run import Run
from mtl.data.corpus import load_corpus
from mtl.errors import ConfigError, DataError
from mtl.experiment import KINDS, load_config, load_corpora, make_trainer, prepare
from mtl.heads import HeadContext
from mtl.training.events import Step

GUIDE = Path(__file__).parents[2] / "docs" / "add-your-own.md"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the guide shows."""
    blocks = re.findall(r"```\w+\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for name, content in blocks:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def load(project: Path) -> Run:
    return load_config(project / "configs" / "animals.yaml")


def test_the_reader_reads(project: Path) -> None:
    corpus = load(project).corpora["animals"]
    reader = KINDS["reader"].find(corpus.reader.type)(**corpus.reader.options)
    splits = load_corpus(corpus, reader, cache=project / "cache").splits
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "dev": 1, "test": 1}
    sentences = {e.tokens: e.labels["pos"] for split in splits.values() for e in split}
    assert sentences["Dogs", "bark"] == ("NOUN", "VERB")


def test_the_reader_names_the_line_of_a_mistake(project: Path) -> None:
    (project / "animals.txt").write_text("Dogs/NOUN bark/VERB\ncats\n")
    reader = KINDS["reader"].find("my_parts.readers:Slashes")()
    with pytest.raises(DataError, match=r"animals.txt:2: expected word/tag; see `sign:`"):
        list(reader.read(project / "animals.txt"))


def test_the_head_ignores_padding(project: Path) -> None:
    part = load(project).tasks["pos"].head
    context = HeadContext(8, ["NOUN", "VERB"])
    head = KINDS["head"].find(part.type).from_options(part.options, context).eval()
    hidden = torch.randn(1, 5, 8)
    mask = torch.tensor([[True, True, True, False, False]])
    assert head.scale == 20
    assert torch.equal(head.decode(hidden, mask)[:, :3], head.decode(hidden[:, :3], mask[:, :3]))


def test_options_of_the_head_are_checked(project: Path) -> None:
    run = project / "configs" / "animals.yaml"
    run.write_text(run.read_text().replace("scale: 20", "scale: 0"))
    with pytest.raises(ConfigError, match=r"tasks\.pos\.head\.scale: expected a number above 0"):
        load(project)


def test_the_sharing_and_the_weighting_train(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_CACHE", str(project / "cache"))
    run = project / "configs" / "animals.yaml"
    parts = "sharing: my_parts.sharing:Average\nweighting: {type: my_parts.weighting:ByLoss}\n"
    run.write_text(run.read_text().replace("{epochs: 10}", "{epochs: 3}") + parts)
    corpora = load_corpora(load(project))
    trainer = make_trainer(prepare(load(project), corpora), corpora)
    weights = [event.weights["pos"] for event in trainer.run() if isinstance(event, Step)]
    assert weights[0] == pytest.approx(1, abs=0.2)
    assert len(set(weights)) == 3
