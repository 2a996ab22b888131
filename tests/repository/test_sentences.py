"""The files of docs/sentences.md, written out and trained on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mtl
from tests.repository.pages import Page

GUIDE = Path(__file__).parents[2] / "docs" / "sentences.md"


def write(folder: Path) -> None:
    """Write the files that the page shows."""
    blocks = re.findall(r"```\w+\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for name, content in blocks:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def test_the_files_of_the_page_train_and_predict(tmp_path: Path) -> None:
    write(tmp_path)
    run = {"training.metric": "topics.macro_f1"}
    model = mtl.train(tmp_path / "configs/reviews.yaml", run, output=tmp_path / "run")
    found = model.predict(["Cold bread."])
    assert found["kind"][0] in ("complaint", "praise", "other")
    assert set(found["topics"][0]) <= {"food", "place", "service"}
    assert isinstance(found["stars"][0], float)
    (prediction,) = model.annotate(["Cold bread."], ["stars"], attention=True)
    assert prediction.attention["stars"].shape == (3,)


def test_the_commands_and_programs_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    (tmp_path / "new.txt").write_text("Cold bread.\nA friendly waiter.\n")
    page = Page("sentences.md")
    results = page.run()
    assert {line: result.err for line, result in results.items() if result.code} == {}
    default = results["mtl predict runs/reviews new.txt"].out
    assert re.search(r"# start = 0\n# kind = \w+\n# topics = .*\n# stars = [\d.]+\n", default)
    variables: dict[str, object] = {}
    for program in re.findall(r"```python\n(.*?)```", page.text, re.DOTALL):
        exec(program, variables)
    assert set(variables["labels"]) == {"kind", "topics", "stars"}


def test_the_corpus_of_pairs_trains_and_predicts(tmp_path: Path) -> None:
    write(tmp_path)
    rows = "".join(f"A dog barks.\tIt is {i} o'clock.\t{i / 2}\n" for i in range(8))
    (tmp_path / "alike.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}")
    run = {"tasks": {"kind": None, "topics": None, "stars": None, "alike": {"use": "alike/alike"}}}
    model = mtl.train(tmp_path / "configs/reviews.yaml", run, output=tmp_path / "run")
    found = model.predict([("A dog barks.", "An animal makes a noise.")])
    assert isinstance(found["alike"][0], float)
