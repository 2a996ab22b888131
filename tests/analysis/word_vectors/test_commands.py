"""`mtl vectors train`, `methods`, `evaluate` and `map`, end to end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from mtl.analysis.word_vectors import METHODS
from mtl.cli.main import Signals
from mtl.data.vectors import read_vectors, write_vectors
from tests.analysis.word_vectors.texts import of_topics
from tests.cli.command import assert_told, mtl

TEXT = of_topics(40)
SVD = ("--method", "svd")
RUN = """\
embedding: {words: {dim: 4, vectors: v.safetensors}}
trunk: {type: lstm, hidden_size: 4}
tasks: {topic: {use: c/topic}}
training: {epochs: 1, batch: {sentences: 8}, device: cpu}
corpora:
  c:
    reader: {type: lines, separator: " ", label: first, tokenize: false}
    files: {train: topics.txt, dev: topics.txt}
    tasks: {topic: {labels: label, head: pool, metric: accuracy}}
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = np.array(TEXT.words)[TEXT.ids].reshape(-1, 10)
    lines = [" ".join(line) for line in words]
    Path("text.txt").write_text("\n".join(lines))
    Path("topics.txt").write_text("\n".join(f"{'x1' in line} {line}" for line in lines))
    Path("run.yaml").write_text(RUN)


def trained(*arguments: str) -> tuple[int, str, str]:
    text = ["--text", "text.txt", "--dim", "4", "--output", "v.safetensors"]
    return mtl("vectors", "train", *arguments, *text)


def test_a_run_reads_the_vectors_and_keeps_them() -> None:
    result = trained("window=2", "epochs=2", "--method", "sgns")
    assert (result[0], result[2]) == (0, "")
    assert result[1].startswith(
        "v.safetensors: 14 words, 4 values each, from 400 words of text in "
    )
    assert mtl("check", "run.yaml").code == 0
    run = mtl("train", "run.yaml", "--output", "out")
    assert run.code == 0
    assert "14 of 14 different words of the training text have pretrained vectors" in " ".join(
        run.err.split()
    )
    assert mtl("evaluate", "out", "--split", "dev").code == 0


def test_the_text_of_a_run_is_the_same_text() -> None:
    assert trained("--no-tokenize")[0] == 0
    ours = read_vectors("v.safetensors")
    assert (
        mtl("vectors", "train", "--run", "run.yaml", "--dim", "4", "--output", "w.safetensors").code
        == 0
    )
    others = read_vectors("w.safetensors")
    assert others[0] == ours[0]
    assert np.array_equal(others[1], ours[1])


def test_methods_are_listed_with_their_options() -> None:
    out = mtl("vectors", "methods").out
    assert all(f"│ {name} " in out for name in METHODS)
    out = mtl("vectors", "methods", "svd").out
    assert "\nweighting\n    a number in [0, 1]; default 0.5\n" in out


def test_mistakes_are_told_in_one_line() -> None:
    place = "error: command line"
    told = {
        ("windw=3",): f"{place}: windw=3: unknown key 'windw'; did you mean 'window'?\n",
        ("window=0",): f"{place}: window=0: window: expected a whole number of at least 1, got 0\n",
        ("ngrams=[4, 3]",): f"{place}: ngrams: expected the least and the greatest length, such as "
        "[3, 6], got [4, 3]\n",
        ("--method", "svdd"): "error: unknown method 'svdd'; did you mean 'svd'? (or your own, as "
        "module:Class)\n",
        (*SVD, "epochs=3"): f"{place}: epochs=3: unknown key 'epochs'; expected one of: "
        "add_contexts, dynamic, shift, smoothing, subsample, weighting, window\n",
    }
    for arguments, message in told.items():
        assert trained(*arguments) == (2, "", message)
    wide = mtl("vectors", "train", "--text", "text.txt", "--output", "w.safetensors", *SVD)
    assert_told(wide, "dim: expected at most 14, the number of words, got 100")


def test_a_file_for_the_output_is_needed_before_the_text_is_read() -> None:
    result = mtl("vectors", "train", "--text", "nothing.txt", "--output", "v.txt")
    assert_told(result, "v.txt: expected a name ending in .safetensors, in an existing folder")
    result = mtl("vectors", "train", "--output", "v.safetensors")
    assert_told(result, "expected at least one --text or --run")


def test_vectors_are_scored_on_files() -> None:
    vectors = np.random.default_rng(0).standard_normal((6, 3))
    write_vectors("v.safetensors", list("abcdef"), vectors)
    Path("pairs.txt").write_text("a b 1\nc d 2\ne f 3\na z 9\n")
    Path("analogies.txt").write_text(": s\na b c d\n: t\na b z y\n")
    files = ["--pairs", "pairs.txt", "--analogies", "analogies.txt"]
    rows = json.loads(mtl("vectors", "evaluate", "v.safetensors", *files, "--json").out)
    assert [row["name"] for row in rows] == ["pairs.txt", "s", "t", "analogies.txt"]
    assert (rows[0]["used"], rows[0]["total"]) == (3, 4)
    assert rows[2] == {"name": "t", "accuracy": None, "used": 0, "total": 1}
    out = mtl("vectors", "evaluate", "v.safetensors", *files).out
    assert f"{100 * rows[0]['spearman']:.1f}" in out
    refused = mtl("vectors", "evaluate", "v.safetensors", "--pairs", "pairs.txt", "--rule", "mul")
    assert "has no effect without --analogies" in " ".join(refused.err.split())
    assert_told(
        mtl("vectors", "evaluate", "v.safetensors"), "expected at least one --pairs or --analogies"
    )


def test_a_language_is_mapped_and_written() -> None:
    random = np.random.default_rng(0)
    matrix = random.standard_normal((30, 4))
    turn, _ = np.linalg.qr(random.standard_normal((4, 4)))
    write_vectors("de.safetensors", [f"d{n}" for n in range(30)], matrix)
    write_vectors("en.safetensors", [f"e{n}" for n in range(30)], matrix @ turn)
    Path("d.txt").write_text("".join(f"d{n} e{n}\n" for n in range(30)) + "dx ex\n")
    files = ["de.safetensors", "en.safetensors", "--dictionary", "d.txt"]
    result = mtl(
        "vectors", "map", *files, "--method", "procrustes", "--output", "m.safetensors", "--json"
    )
    report = json.loads(result.out)
    assert report["precision"] == {"nn": 1.0, "csls": 1.0}
    assert report["pairs"] + report["tested"] == 30
    words, mapped = read_vectors("m.safetensors")
    assert words[0] == "d0"
    np.testing.assert_allclose(mapped, matrix @ turn, atol=1e-5)
    assert "100.0" in mtl("vectors", "map", *files).out
    tested = mtl("vectors", "map", *files, "--test", "d.txt", "--json").out
    assert json.loads(tested)["tested"] == 30
    refused = mtl("vectors", "map", *files, "--test", "d.txt", "--seed", "2")
    assert "has no effect with --test" in " ".join(refused.err.split())
    assert_told(
        mtl("vectors", "map", *files, "--method", "cc"),
        "--method: unknown method 'cc'; did you mean 'cca'?",
    )
    assert_told(
        mtl(
            "vectors",
            "map",
            *files,
            "--output",
            "m.safetensors",
            "--output-target",
            "m.safetensors",
        ),
        "--output-target: is the file of --output, m.safetensors; name another one",
    )


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--text", "text.txt", "--output", "v.safetensors"],
        ["map", "v.safetensors", "v.safetensors", "--dictionary", "text.txt"],
    ],
)
def test_a_negative_seed_is_refused(command: list[str]) -> None:
    result = mtl("vectors", *command, "--seed", "-1")
    assert result.code == 2
    assert "Invalid value for '--seed'" in result.err


def test_the_name_of_the_first_command_may_be_left_out() -> None:
    short, whole = (mtl("vectors", *name, "t", "--output", "o.txt") for name in ([], ["static"]))
    assert short == whole
    assert short.err == "error: expected either --words, or at least one --text or --run\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vectors", "train", "--text", "a"], "stopped by Ctrl-C"),
        (
            ["vectors", "a", "--text", "b"],
            "stopped by Ctrl-C; continue with: mtl vectors a --text b",
        ),
    ],
)
def test_learning_does_not_continue_after_a_signal(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["mtl", *arguments])
    signals = Signals()
    signals.received = signal.SIGINT
    assert signals.message() == message
