"""Static vectors of words, against the library of the transformer and formulas in float64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

import mtl
from mtl.analysis.static_vectors import principal_components, static_vectors
from mtl.data.vectors import read_vectors
from mtl.errors import MtlError
from tests.cli.command import mtl as command
from tests.hub import bert, roberta
from tests.training.runs import RUN, corpus

WORDS = {"the": 9, "cat": 5, "Ada": 4, "rats": 3, "b0": 2, "dog": 2, "sat": 2, "water": 1, "up": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    return bert(tmp_path / "model")


def by_hand(folder: Path, words: Sequence[str]) -> NDArray[np.float64]:
    """The mean over the subwords of the last layer of each word, by the original library."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    model = AutoModel.from_pretrained(folder).double()
    with torch.no_grad():
        found = [
            model(**tokenizer([[word]], is_split_into_words=True, return_tensors="pt"))
            .last_hidden_state[0, 1:-1]
            .mean(0)
            for word in words
        ]
    return torch.stack(found).numpy()


def reduced(hidden: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """Principal components by a singular value decomposition."""
    centred = hidden - hidden.mean(0)
    _, _, rows = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])
    return (centred @ (rows * signs[:, None]).T)[:, :dim]


@pytest.mark.parametrize("make", [pytest.param(bert, marks=pytest.mark.slow), roberta])
def test_vectors_of_counted_words_follow_the_formula(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    folder = make(tmp_path / "model")
    made = static_vectors(folder, WORDS, dim=4, sif=0.01, min_count=2, device="cpu")
    assert made.words == ["the", "cat", "Ada", "rats", "b0", "dog", "sat"]
    shares = np.array([WORDS[word] for word in made.words]) / sum(WORDS.values())
    expected = reduced(by_hand(folder, made.words), 4) * (0.01 / (0.01 + shares))[:, None]
    np.testing.assert_allclose(made.matrix, expected, rtol=1e-3, atol=1e-5)
    assert made.matrix.dtype == np.float32


def test_words_without_counts_follow_the_law_of_zipf(folder: Path) -> None:
    words = list(WORDS)
    found = static_vectors(folder, words, dim=3, sif=0.5).matrix
    plain = static_vectors(folder, words, dim=3, sif=0).matrix
    chances = [1 / (rank + 1) for rank in range(1, 10)]
    weights = [0.5 / (0.5 + chance / sum(chances)) for chance in chances]
    np.testing.assert_allclose(found, plain * np.array(weights)[:, None], rtol=1e-5)


def test_components_keep_the_share_of_the_variance_that_they_say() -> None:
    rows = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32)
    rows[:, 2] *= 10
    for dim in (1, 6):
        found, share = principal_components(rows, dim)
        assert share == pytest.approx(found.var(0).sum() / rows.var(0).sum(), rel=1e-5)


def test_cased_words_are_merged_where_the_tokenizer_ignores_case(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    cased = bert(tmp_path / "model")
    vocabulary = transformers.AutoTokenizer.from_pretrained(cased).get_vocab()
    transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True).save_pretrained(cased)
    made = static_vectors(cased, {"Cat": 2, "cat": 2, "DOG": 1, "the": 5}, dim=2)
    assert made.words == ["the", "cat", "dog"]


def test_batches_and_neighbours_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = static_vectors(folder, WORDS, dim=4)
    monkeypatch.setattr("mtl.analysis.static_vectors._TOGETHER", 6)
    single = static_vectors(folder, WORDS, dim=4)
    np.testing.assert_allclose(whole.matrix, single.matrix, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("damage", [0, 5])
def test_an_interrupted_call_continues(
    folder: Path, damage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtl.analysis.static_vectors._TOGETHER", 9)
    partial, done = Path("x.partial"), []
    whole = static_vectors(folder, WORDS, dim=4)

    def stop(now: int, total: int) -> None:
        done.append(now)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        static_vectors(folder, WORDS, dim=4, partial=partial, progress=stop)
    partial.write_bytes(partial.read_bytes()[: partial.stat().st_size - damage])
    again: list[int] = []
    made = static_vectors(
        folder, WORDS, dim=4, partial=partial, progress=lambda now, _: again.append(now)
    )
    assert again[0] == done[-1] if damage else again[0] > done[-1]
    assert made.words == whole.words
    assert np.array_equal(made.matrix, whole.matrix)
    # Vectors of other words are not taken for these.
    other = static_vectors(folder, list(WORDS)[::-1], dim=4, partial=partial)
    assert np.array_equal(other.matrix, static_vectors(folder, list(WORDS)[::-1], dim=4).matrix)


def test_a_run_on_a_transformer_is_a_teacher_and_another_run_is_not(folder: Path) -> None:
    task = {"pos": {"use": "c/pos"}}
    training = {**RUN["training"], "epochs": 1, "max_length": 20, "overlap": 4}
    run = {"tasks": task, "corpora": {"c": corpus(Path(), "c", 22)}, "training": training}
    on_model = {**run, "embedding": {}, "trunk": {"type": "transformer", "name": "model"}}
    trunk = {"type": "lstm", "hidden_size": 4}
    for name, content in {
        "teacher": on_model,
        "other": {**run, "embedding": {"words": {"dim": 4}}, "trunk": trunk},
    }.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
        mtl.train(f"{name}.yaml", progress=False)
    before, after = (static_vectors(t, WORDS, dim=4).matrix for t in ("model", "runs/teacher"))
    assert before.shape == after.shape
    assert not np.allclose(before, after, rtol=1e-3)
    with pytest.raises(MtlError, match="expected a run with one pretrained transformer"):
        static_vectors("runs/other", WORDS, dim=4)


def test_the_command_writes_vectors_that_a_run_reads(folder: Path) -> None:
    Path("run.yaml").write_text(
        yaml.safe_dump(
            {
                "tasks": {"pos": {"use": "c/pos"}},
                "corpora": {"c": corpus(Path(), "c", 22)},
                "embedding": {"words": {"dim": 5}},
                "trunk": {"type": "lstm", "hidden_size": 4},
                "training": {**RUN["training"], "epochs": 1},
            }
        )
    )
    Path("text.txt").write_text("Waters rose, the water ran.\n")
    arguments = ["--run", "run.yaml", "--text", "text.txt", "--dim", "5", "--device", "cpu"]
    made = command("vectors", "model", *arguments, "--output", "v.safetensors")
    assert made.code == 0, made.err
    assert "words, 5 values each, which keep" in made.out
    words, _ = read_vectors("v.safetensors")
    assert {"Ada", "rose", "water", "."} <= set(words)
    assert not Path("v.safetensors.partial").exists()
    trained = command("train", "run.yaml", "embedding.words.vectors=v.safetensors")
    assert trained.code == 0, trained.err
    assert "have pretrained vectors, 100.0 % of all its words" in trained.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected either --words, or at least one --text or --run"),
        (["--words", "w.txt", "--text", "w.txt"], "expected either --words, or"),
        (["--words", "w.txt", "--min-count", "2"], "--min-count: has no effect without --text"),
        (["--words", "empty.txt"], "expected words, one per line, found none"),
        (["--words", "w.txt"], "dim: model has vectors of width 12, got 200"),
        (["--words", "w.txt", "--dim", "2"], "expected more than dim = 2 words, got 2"),
    ],
)
def test_mistakes_are_one_clear_error(folder: Path, arguments: list[str], message: str) -> None:
    Path("w.txt").write_text("the\ncat\n")
    Path("empty.txt").write_text("\n")
    found = command("vectors", "model", *arguments, "--output", "v.safetensors")
    assert found.code == 2
    assert message in found.err
    assert "Traceback" not in found.err
