"""A development set of partial labels needs one sentence that can be scored, at any place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mtl.errors import ConfigError
from mtl.experiment import load_config, load_corpora, prepare


@pytest.mark.parametrize("complete", [0, 1])
def test_all_sentences_are_looked_at(
    complete: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text("a X\n\nb Y\n")
    Path("dev.txt").write_text("a X|Y\n\n" * 1500 + "b Y\n\n" * complete)
    task = {
        "labels": {"column": "tag", "form": "partial", "separator": "|"},
        "head": "crf",
        "metric": "accuracy",
    }
    reader = {"type": "conll", "columns": ["tokens", "tag"]}
    files = {"train": "train.txt", "dev": "dev.txt"}
    run = {
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "hidden_size": 4, "num_layers": 1},
        "tasks": {"t": {"use": "c/t"}},
        "corpora": {"c": {"reader": reader, "files": files, "tasks": {"t": task}}},
    }
    Path("run.yaml").write_text(yaml.safe_dump(run))
    config = load_config("run.yaml")
    corpora = load_corpora(config)
    if complete:
        prepare(config, corpora)
    else:
        with pytest.raises(ConfigError, match="no sentence of dev can be scored"):
            prepare(config, corpora)
