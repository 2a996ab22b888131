"""`mtl check`, `mtl list` and `mtl schema`: looking without training."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from mtl.cli.app import app
from mtl.cli.arguments import announce
from mtl.experiment import KINDS
from mtl.heads import HEADS
from tests.cli.command import mtl


def test_a_terminal_is_told_at_once_that_a_run_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    announce(Path("run.yaml"))
    assert terminal.getvalue() == ""
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    announce(Path("run.yaml"))
    assert terminal.getvalue() == "reading run.yaml and its data …\n"


def test_check_shows_the_plan_and_the_first_sentences(project: Path) -> None:
    result = mtl("check", "run.yaml")
    lines = result.out.splitlines()
    assert result.code == 0
    assert "corpus news: train 40, dev 10, test 10 sentences" in lines
    assert "task mood: mood/mood, head pool, last layer, 2 labels" in lines
    rows = Path("data/train.txt").read_text().split("\n\n")[0].splitlines()
    words, tags, names = zip(*(row.split() for row in rows), strict=True)
    start = lines.index("first sentence of news:")
    assert lines[start + 1 : start + 4] == [
        f"  tokens: {' '.join(words)}", f"  ner: {' '.join(names)}", f"  pos: {' '.join(tags)}"
    ]  # fmt: skip
    assert lines[-1] == "run.yaml: no errors; next: mtl train run.yaml"


def test_check_leaves_nothing_behind(project: Path) -> None:
    before = set(project.rglob("*"))
    mtl("check", "run.yaml")
    assert set(project.rglob("*")) == before


def test_options_read_finite_numbers_alone() -> None:
    found = 0
    commands = {(name,): one for name, one in get_command(app).commands.items()}  # type: ignore[attr-defined]
    group = commands.pop(("vectors",))
    commands |= {("vectors", name): one for name, one in group.commands.items()}
    for name, command in commands.items():
        needed = ["x" for own in command.params if own.required]
        for option in command.params:
            if "float" in str(option.bare_type()):
                found += 1
                for value in ("nan", "inf"):
                    result = mtl(*name, *needed, option.opts[0], value)
                    assert result.code == 2
                    assert f"Invalid value for '{option.opts[0]}'" in " ".join(result.err.split())
    assert found == 16


def test_list_names_every_part_of_every_kind() -> None:
    result = mtl("list")
    assert result.code == 0
    assert all(f"│ {name} " in result.out for kind in KINDS.values() for name in kind)
    assert "num_layers" not in result.out
    assert "(–)" not in result.out
    assert result.out.endswith("\nmore: mtl list KIND, such as mtl list trunks\n")


def test_list_shows_options_as_a_run_file_writes_them() -> None:
    out = mtl("list", "heads").out
    assert all(f"│ {name} " in out for name in HEADS)
    assert "widths: [3, 4, 5]" in out
    assert "scheme: null" in out
    assert mtl("list", "head").out.splitlines()[1:] == out.splitlines()[1:]


def test_list_knows_no_other_kind() -> None:
    result = mtl("list", "haeds")
    assert (result.code, result.out) == (2, "")
    assert (
        result.err
        == "error: 'haeds' is neither a kind of part nor a section; did you mean 'heads'?\n"
    )


@pytest.mark.parametrize(("arguments", "key"), [([], "trunk"), (["--corpus"], "reader")])
def test_schema_is_json_that_knows_the_keys(arguments: list[str], key: str) -> None:
    schema = json.loads(mtl("schema", *arguments).out)
    assert key in schema["properties"]
    assert schema["$schema"].startswith("https://json-schema.org/")


def test_many_tasks_are_checked_in_time_that_grows_with_their_number(project: Path) -> None:
    text = Path("run.yaml").read_text(encoding="utf-8")
    tasks = "".join(f"  pos{n}: {{use: news/pos}}\n" for n in range(300))
    text = text.replace("  pos: {use: news/pos}\n", tasks)
    Path("run.yaml").write_text(text, encoding="utf-8")
    start = time.process_time()
    assert mtl("check", "run.yaml").code == 0
    assert time.process_time() - start < 20  # a minute where each task copies the whole table
