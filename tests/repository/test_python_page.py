"""The examples of docs/python.md, run one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import mtl
from tests.repository.pages import ROOT, blocks

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the names after all examples."""
    folder = tmp_path_factory.mktemp("python")
    names: dict[str, Any] = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks(PAGE, "python"):
            exec(block, names)
    return names


@pytest.fixture(autouse=True)
def _place(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(names["folder"])


def test_the_estimators_have_learned(names: dict[str, Any]) -> None:
    assert names["classifier"].predict(["A great film."]).tolist() == ["glad"]
    assert names["classifier"].predict_proba(["A great film."]).shape == (1, 2)
    assert names["tagger"].predict([["Ann", "left", "Rome"]]) == [["B-PER", "O", "B-LOC"]]


def test_predictions_are_as_in_the_comments(names: dict[str, Any]) -> None:
    model, prediction = names["model"], names["prediction"]
    assert model.predict(["Ann likes Oslo"], ["ner"]) == {"ner": [["B-PER", "O", "B-LOC"]]}
    assert prediction.tokens == ("Ann", "likes", "Oslo")
    assert prediction.offsets == ((0, 3), (4, 9), (10, 14))
    record = json.loads(mtl("predict", "runs/both", "--format", "jsonl", "--confidence",
                            stdin="Ann likes Oslo").out)  # fmt: skip
    assert prediction.to_dict() == record
    assert [row.shape for row in names["rows"]] == [(3, len(names["labels"]))]


def test_the_commands_show_the_same(names: dict[str, Any]) -> None:
    found = json.loads(mtl("evaluate", "runs/both", "--split", "dev", "--json").out)
    expected = names["evaluation"].to_dict()
    for own in expected.values():
        del own["gold"], own["predicted"]
    assert found == expected
    (matrix,) = [block for block in PAGE.split("```\n") if block.startswith("mood: predicted")]
    assert matrix in mtl("evaluate", "runs/both", "--split", "dev", "--confusion").out


def test_a_saved_tagger_is_a_run_folder(names: dict[str, Any]) -> None:
    assert Path("tagger/run.yaml").is_file()
    assert mtl("predict", "tagger", stdin="Ann left Rome\n").code == 0
