"""The first model of the README, and its table of parts."""

from __future__ import annotations

import fnmatch
import re
import shlex
from pathlib import Path

import pytest
import yaml

import mtl
from mtl.experiment import KINDS
from tests.cli.command import Result
from tests.cli.command import mtl as command

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, start: str = "") -> str:
    """Return the first block of code in a language that begins with some text."""
    found = re.search(rf"```{language}\n({re.escape(start)}.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def run(line: str) -> Result:
    """Run a line of the shell: `mtl …`, or `echo TEXT | mtl …`."""
    words = shlex.split(line, comments=True)
    text = f"{words[1]}\n" if words[0] == "echo" else ""
    return command(*words[words.index("mtl") + 1 :], stdin=text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the file that the README shows."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "phones.csv").write_text(block("csv"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Result]:
    """Return the results of the commands, run one after the other in the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return {line: run(line) for line in block("sh", "mtl").splitlines()}


def test_every_command_works(results: dict[str, Result]) -> None:
    assert len(results) >= 5
    assert {line: result.err for line, result in results.items() if result.code} == {}


def test_the_first_prediction_is_as_the_comment_says(results: dict[str, Result]) -> None:
    (line,) = [line for line in results if "| mtl predict" in line and "#" in line]
    labels = line.partition("#")[2].strip().split(", ")
    assert [f"# {label}" in results[line].out for label in labels] == [True, True]


def test_the_shown_part_of_the_run_file_is_in_it(results: dict[str, Result], folder: Path) -> None:
    shown = yaml.safe_load(block("yaml"))
    written = yaml.safe_load((folder / "phones.yaml").read_text(encoding="utf-8"))
    assert shown
    for section, value in shown.items():
        own = written[section]
        assert (own.items() >= value.items()) if isinstance(value, dict) else own == value


def test_the_lines_of_python_do_what_the_comments_say(
    results: dict[str, Result], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"mtl": mtl}
    calls = 0
    for line in block("python").splitlines():
        code, _, comment = line.partition("  # ")
        if comment.startswith(("{", "[")):
            calls += 1
            assert eval(code, names) == eval(comment)
        else:
            exec(code, names)
    assert calls == 2


def named(kind: str) -> set[str]:
    """Return the names that the README lists for a kind of part."""
    row = re.search(rf"^\| {kind} \| (.*) \|$", README, re.MULTILINE)
    assert row, kind
    return set(re.findall(r"`([^`]+)`", row[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_names_every_part_and_no_other(kind: str) -> None:
    singular = kind in ("sharing", "weighting", "mixing")
    assert named(kind if singular else f"{kind}s") == set(KINDS[kind])


def test_the_table_names_every_corpus_and_no_other() -> None:
    corpora = {path.stem for path in (ROOT / "tasks").glob("*.yaml")}
    patterns = named("corpora")
    assert {c for c in corpora if any(fnmatch.fnmatch(c, p) for p in patterns)} == corpora
    assert {p for p in patterns if fnmatch.filter(corpora, p)} == patterns
