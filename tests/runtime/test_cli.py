"""`mtl-predict` writes the bytes that `mtl predict` writes."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import mtl_runtime
import pytest
from mtl_runtime import cli
from mtl_runtime.model import Model

import mtl
from mtl.experiment.corpora import labels_sentences
from tests.cli import project
from tests.cli.command import Result
from tests.cli.command import mtl as run_mtl
from tests.runtime.networks import Network

TEXT = "Ann Smith left New York. Bob saw Rome.\nThis is bad food.\n\n  \nEva likes Oslo!\n"
OBJECTS = """\
{"text": "Ann Smith left New York. This is good food.", "id": 7, "pos": "gold"}
{"tokens": ["Bob", "saw", "Rome", "."], "extra": {"a": [1, "é"]}, "text": "kept"}
{"text": ""}
{"text": "This is awful.\\n\\nTom visits Lima."}
"""
_NUMBER = re.compile(r"\b[01]\.\d+")
OPTIONS = [
    ["--format", "jsonl"],
    ["--format", "jsonl", "--confidence"],
    ["--confidence"],
    ["--task", "ner", "--task", "pos", "--format", "jsonl", "--confidence"],
    ["--task", "mood", "--unit", "sentence"],
    ["--unit", "sentence"],
    ["--unit", "record", "--format", "csv", "--confidence"],
    ["--task", "ner", "--format", "tsv"],
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder."""
    folder = tmp_path_factory.mktemp("runtime")
    project.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = run_mtl("train", "run.yaml", "training.epochs=6")
    assert result.code == 0, result.err
    return folder / "runs" / "run"


@pytest.fixture(autouse=True)
def _loaded(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = mtl.load(run)
    targets = trained.predictor.batcher.targets
    units = {
        task: "sentence" if labels_sentences(trained.run, task, target.level) else "record"
        for task, target in targets.items()
    }
    model = Model(Network(trained.predictor, units=units), "model.mtl")
    monkeypatch.setattr(mtl_runtime, "load", lambda path: model)
    monkeypatch.chdir(tmp_path)


def predict(*arguments: str, stdin: str = "") -> Result:
    """Run the command of the runtime in this process."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["mtl-predict", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        patch.setattr(cli.os, "dup2", lambda old, new: None)
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    out.flush()
    return Result(code, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", TEXT), ("a.jsonl", OBJECTS)], ids=["text", "jsonl"]
)
def test_the_output_is_that_of_mtl(run: Path, name: str, content: str, options: list[str]) -> None:
    Path(name).write_text(content)
    expected = run_mtl("predict", str(run), name, *options)
    assert expected.code == 0
    result = predict("model.mtl", name, *options)
    assert _NUMBER.sub("N", result.out) == _NUMBER.sub("N", expected.out)
    # The last decimal place may differ.
    numbers, others = (list(map(float, _NUMBER.findall(own.out))) for own in (result, expected))
    assert numbers == pytest.approx(others, abs=2e-6 if "jsonl" in options else 2e-4)
    assert result._replace(out="") == expected._replace(out="")


def test_standard_input_and_output_file(run: Path) -> None:
    expected = run_mtl("predict", str(run), stdin=TEXT)
    assert predict("model.mtl", "-", "--output", "out.conll", stdin=TEXT).out == ""
    assert Path("out.conll").read_text() == predict("model.mtl", stdin=TEXT).out == expected.out


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv.gz", "out.CONLL", "out.gz"])
def test_the_name_of_the_output_tells_its_form(run: Path, name: str) -> None:
    assert run_mtl("predict", str(run), "--output", name, stdin=TEXT).code == 0
    expected = Path(name).read_bytes()
    assert predict("model.mtl", "--output", name, stdin=TEXT).code == 0
    assert Path(name).read_bytes() == expected


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: str) -> Model:
        raise BrokenPipeError

    monkeypatch.setattr(mtl_runtime, "load", stop)
    assert predict("model.mtl", stdin=TEXT) == Result(141, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "nre"], "the model has no task 'nre'; did you mean 'ner'?"),
        (["none.txt"], "none.txt: there is no such file"),
        (["a.csv"], "a.csv: expected text or JSONL; mtl predict reads tables and CoNLL"),
        (["--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["--outptu", "x"], "unrecognized arguments: --outptu x; see mtl-predict --help"),
        (["--output", "o.xlsx"], "o.xlsx: the suffix .xlsx is not the one of a format; expected"),
        (["--output", "no/x"], "cannot write no/x: the folder no does not exist"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str) -> None:
    result = predict("model.mtl", *arguments, stdin=TEXT)
    assert result.code == 2
    assert result.err.startswith(f"error: {message}")
    assert result.err.count("\n") == 1


def test_damaged_input_is_an_error() -> None:
    Path("a.jsonl").write_text('{"text": "Ann left."}\n{"txt": 1}\n')
    result = predict("model.mtl", "a.jsonl", "--format", "jsonl")
    assert result.code == 2
    assert result.err.startswith('error: a.jsonl:2: expected an object with "tokens"')


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: str) -> Model:
        raise KeyboardInterrupt

    monkeypatch.setattr(mtl_runtime, "load", stop)
    result = predict("model.mtl", stdin=TEXT)
    assert (result.code, result.err) == (130, "stopped by Ctrl-C\n")


def test_help_has_an_example() -> None:
    result = predict("--help")
    assert result.code == 0
    assert "echo 'Ann left Rome.' | mtl-predict model.mtl" in result.out


def test_suffixes_of_outputs_are_those_of_mtl() -> None:
    from mtl_runtime.cli import _OUTPUTS

    from mtl.cli.predict_input import SUFFIXES

    assert {"": "conll", **SUFFIXES} == _OUTPUTS
