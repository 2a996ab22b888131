"""Outputs of teachers on disk, and from the labels of a teacher to those of a head."""

from __future__ import annotations

from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from mtl.data.corpus import Split
from mtl.data.store import SentenceTable
from mtl.display.labelling import show_teacher
from mtl.errors import ConfigError
from mtl.experiment.distillation.alignment import LabelAlignment
from mtl.experiment.distillation.lessons import (
    HardOutputs,
    PathLesson,
    ProbabilityLesson,
    SoftOutputs,
    StoredProbabilities,
)
from mtl.experiment.distillation.outputs import Probabilities, compress, expand, label_split
from mtl.experiment.distillation.teachers import TaskTeacher, fingerprint
from mtl.targets import SentenceLabelTarget, TokenLabelTarget
from mtl.targets.teacher import SoftTargets, WeightedLabels
from tests.distillation.schools import Stub

BIO = ["O", "B-X", "I-X"]
IOBES = ["O", "B-X", "E-X", "I-X", "S-X"]


def distributions(rows: int, labels: int, seed: int = 1) -> np.ndarray:
    scores = 3 * np.random.default_rng(seed).standard_normal((rows, labels))
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def test_few_labels_keep_all_their_probabilities() -> None:
    probabilities = distributions(20, 5)
    stored = compress(probabilities, 4)
    assert stored["log_probs"].dtype == np.float16
    assert list(stored) == ["log_probs"]
    np.testing.assert_allclose(np.exp(expand(stored, 5)), probabilities, rtol=4e-3)


def test_many_labels_share_the_rest() -> None:
    probabilities = distributions(20, 30)
    stored = compress(probabilities, 4)
    assert stored["log_probs"].shape == (20, 5)
    found = np.exp(expand(stored, 30))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    order = np.argsort(-probabilities, axis=1)
    for row, (best, rest) in enumerate(zip(order[:, :4], order[:, 4:], strict=True)):
        np.testing.assert_allclose(found[row, best], probabilities[row, best], rtol=1e-2)
        np.testing.assert_allclose(found[row, rest], probabilities[row, rest].mean(), rtol=1e-2)


def test_impossible_labels_have_a_finite_logarithm() -> None:
    for size in (3, 30):
        one = np.eye(size)[:1]
        found = expand(compress(one, 4), size)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(np.exp(found), one, atol=1e-6)


def chain(seed: int) -> tuple[np.ndarray, dict[tuple[str, ...], float]]:
    """Return the BIO marginals of a random Markov chain of four tokens, and its sequences."""
    draw = np.random.default_rng(seed)
    start, step = draw.dirichlet([1.0, 1.0]), draw.dirichlet([1.0, 1.0, 1.0], size=2)
    paths: dict[tuple[str, ...], float] = {}
    for path in product(range(3), repeat=4):
        chance = [start[0], start[1], 0.0][path[0]]
        for before, after in pairwise(path):
            # Whether a span goes on does not depend on whether it began here.
            row = step[0] * [1, 1, 0] / step[0][:2].sum() if before == 0 else step[1]
            chance *= row[after]
        paths[tuple(BIO[label] for label in path)] = chance
    marginals = np.zeros((4, 3))
    for path, chance in paths.items():
        for token, tag in enumerate(path):
            marginals[token, BIO.index(tag)] += chance
    return marginals, paths


def test_tags_of_another_scheme_get_their_exact_share() -> None:
    marginals, paths = chain(3)
    expected = np.zeros((4, 5))
    for path, chance in paths.items():
        converted = TokenLabelTarget(IOBES, scheme="iobes").encode(path)
        for token, label in enumerate(converted):
            expected[token, label] += chance
    own = TokenLabelTarget(IOBES).labels
    align = LabelAlignment("ner", "t", BIO, BIO, own)
    last = np.array([False, False, False, True])
    found = np.exp(align(np.log(np.maximum(marginals, 1e-13)).astype(np.float32), last))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_labels_are_put_in_order() -> None:
    align = LabelAlignment("pos", "t", ["b", "c", "a"], ["a", "b", "c"], ["a", "b", "c"])
    found = align(np.array([[1.0, 2.0, 3.0]], dtype=np.float32), np.array([True]))
    assert found.tolist() == [[3.0, 1.0, 2.0]]


def test_a_label_that_the_teacher_does_not_know_is_an_error() -> None:
    with pytest.raises(ConfigError) as error:
        LabelAlignment("pos", "runs/big (task pos)", ["a"], ["a", "b"], ["a", "b"])
    assert str(error.value) == (
        "tasks.pos: the teacher runs/big (task pos) does not know the label b; train it on data "
        "with all labels and in the same scheme, or leave it out of this task in "
        "`distillation.match`"
    )


# ---- lessons

LENGTHS = np.array([2, 5, 1], dtype=np.int32)
PIECES = np.array([[1, 0, 3], [1, 2, 5], [0, 0, 2], [2, 0, 1]])
"""Two windows of the second sentence, and the other two."""


def stored(seed: int, rows: int, given: list[str], head: list[str]) -> tuple[np.ndarray, Any]:
    probabilities = distributions(rows, len(given), seed)
    align = LabelAlignment("t", "teacher", given, given, head)
    return probabilities, StoredProbabilities(compress(probabilities, 8), len(given), align)


def test_teachers_of_a_task_give_their_mean() -> None:
    both = [stored(seed, 8, BIO, BIO) for seed in (1, 2)]
    lesson = ProbabilityLesson([source for _, source in both], LENGTHS, SoftOutputs(2.0))
    output = lesson.outputs(PIECES, 6)
    assert isinstance(output, SoftTargets)
    found = output.log_probs.exp().numpy()
    mean = (both[0][0] + both[1][0]) / 2
    assert found.shape == (4, 6, 3)
    for row, rows in enumerate(([2, 3, 4], [4, 5, 6], [0, 1], [7])):
        np.testing.assert_allclose(found[row, : len(rows)], mean[rows], rtol=1e-2)
    assert (found[0, 3:] == 1).all()


def test_a_window_has_the_tags_of_the_whole_sentence() -> None:
    head = list(TokenLabelTarget(IOBES).labels)
    _, source = stored(1, 8, BIO, head)
    lesson = ProbabilityLesson([source], LENGTHS, SoftOutputs(1.0))
    whole = lesson.outputs(np.array([[1, 0, 5]]), 5).log_probs[0]  # type: ignore[attr-defined]
    parts = lesson.outputs(PIECES[:2], 5).log_probs  # type: ignore[attr-defined]
    torch.testing.assert_close(parts[0, :3], whole[:3])
    torch.testing.assert_close(parts[1, :3], whole[2:])


def test_classifiers_get_one_row_per_sentence() -> None:
    labels = ["a", "b"]
    probabilities, source = stored(1, 3, labels, labels)
    output = ProbabilityLesson([source], None, SoftOutputs(2.0)).outputs(PIECES, 6)
    assert isinstance(output, SoftTargets)
    np.testing.assert_allclose(output.log_probs.exp(), probabilities[[1, 1, 0, 2]], rtol=1e-2)
    hard = ProbabilityLesson([source], None, HardOutputs(SentenceLabelTarget(labels)))
    output = hard.outputs(PIECES, 6)
    assert isinstance(output, WeightedLabels)
    assert output.labels.squeeze(1).tolist() == probabilities.argmax(1)[[1, 1, 0, 2]].tolist()


def test_hard_tags_are_well_formed() -> None:
    target = TokenLabelTarget(BIO, scheme="bio")
    _, source = stored(1, 8, BIO, BIO)
    source.arrays["log_probs"][:] = np.log([0.2, 0.1, 0.7])
    output = ProbabilityLesson([source], LENGTHS, HardOutputs(target)).outputs(PIECES, 6)
    assert isinstance(output, WeightedLabels)
    assert output.labels[0, 0].tolist() == [*target.encode(("B-X", "I-X", "I-X")), -1, -1, -1]


def test_sentences_below_the_threshold_are_left_out() -> None:
    target = TokenLabelTarget(BIO, scheme="bio")
    _, source = stored(1, 8, BIO, BIO)
    source.arrays["log_probs"][:] = np.log([0.2, 0.1, 0.7])
    source.arrays["log_probs"][6] = np.log([0.4, 0.2, 0.4])  # a token of the second sentence
    output = ProbabilityLesson([source], LENGTHS, HardOutputs(target, 0.5)).outputs(PIECES, 6)
    assert output.known.tolist() == [True, False, True, True]
    labels = ["a", "b"]
    _, source = stored(1, 3, labels, labels)
    source.arrays["log_probs"][0] = np.log(0.5)
    source.arrays["log_probs"][1:] = np.log([0.7, 0.3])
    make = HardOutputs(SentenceLabelTarget(labels), 0.6)
    output = ProbabilityLesson([source], None, make).outputs(PIECES, 6)
    assert output.known.tolist() == [True, True, False, True]


def test_paths_become_labels_of_the_head() -> None:
    target = TokenLabelTarget(IOBES, scheme="iobes")
    paths = np.array([[1, 0], [2, 0], *[[0, 1]] * 5, [1, 1]], dtype=np.int16)
    log_probs = np.log([[0.6, 0.2], [0.5, 0.5], [0.3, 0.3]])
    log_probs[2] = -np.inf
    arrays = {"paths": paths, "log_probs": log_probs.astype(np.float16)}
    output = PathLesson([(BIO, arrays)], LENGTHS, target).outputs(PIECES, 6)
    assert isinstance(output, WeightedLabels)
    first = output.labels[2].tolist()
    assert first[0][:2] == target.encode(("B-X", "E-X"))
    assert first[1][:2] == target.encode(("O", "O"))
    np.testing.assert_allclose(output.weights[2], [0.75, 0.25], rtol=1e-2)
    assert output.known.tolist() == [True, True, True, False]


# ---- the cache


def split(*sentences: str) -> Split:
    import pyarrow as pa

    rows = [{"tokens": s.split(), "second": None, "line": 1, "hash": 0} for s in sentences]
    kinds = {
        "tokens": pa.list_(pa.string()),
        **dict.fromkeys(("second", "line", "hash"), pa.int64()),
    }
    return Split(SentenceTable(pa.Table.from_pylist(rows, schema=pa.schema(kinds))), {})


def test_a_sentence_is_labelled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("mtl.experiment.distillation.outputs._SHARD", 2)
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "run.yaml").write_text("one")
    teacher = Stub(
        folder, {"t": (["a", "b"], lambda words: [len(words) / 10, 1 - len(words) / 10])}
    )
    own = TaskTeacher(teacher, "t", ["a", "b"], fingerprint(folder))
    text = split("a b", "c", "d e f", "g", "h i")

    bar = partial(show_teacher, Console(quiet=True))
    whole = label_split(own, text, Probabilities(8), bar)
    np.testing.assert_allclose(np.exp(expand(whole, 2))[:, 0], [0.2, 0.1, 0.3, 0.1, 0.2], rtol=1e-2)
    assert teacher.calls == 5
    again = label_split(own, text, Probabilities(8), bar)
    assert teacher.calls == 5
    np.testing.assert_array_equal(again["log_probs"], whole["log_probs"])
    files = sorted((tmp_path / "cache" / "teachers").iterdir())
    assert len(files) == 3
    files[0].write_bytes(files[0].read_bytes()[:-3])  # damaged
    label_split(own, text, Probabilities(8), bar)
    assert 5 < teacher.calls <= 7
    label_split(own, split("a b", "c", "new"), Probabilities(8), bar)  # the first shard is known
    (folder / "run.yaml").write_text("another teacher")
    before, other = teacher.calls, TaskTeacher(teacher, "t", ["a", "b"], fingerprint(folder))
    label_split(other, text, Probabilities(8), bar)
    assert teacher.calls == before + 5
