"""The files of docs/sentences.md, written out and trained on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mtl

GUIDE = Path(__file__).parents[2] / "docs" / "sentences.md"


def test_the_files_of_the_page_train_and_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "cache"))
    blocks = re.findall(r"```\w+\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for name, content in blocks:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    run = {"training.metric": "topics.macro_f1"}
    model = mtl.train(tmp_path / "configs/reviews.yaml", run, output=tmp_path / "run")
    found = model.predict(["Cold bread."])
    assert found["kind"][0] in ("complaint", "praise", "other")
    assert set(found["topics"][0]) <= {"food", "place", "service"}
    assert isinstance(found["stars"][0], float)
