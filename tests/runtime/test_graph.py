"""The programs of bundles on numpy arrays, against the network in torch, for every part."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtl.embeddings.base import of_words
from mtl.errors import MtlError
from mtl.export.bundle import TaskForm, export_bundle
from mtl.heads import Tagger
from mtl.inference.predictor import Predictor
from mtl.text.example import Example
from tests.runtime import built
from tests.runtime.models import WORDS, predictor, variants

built.kernels()
bundle = pytest.importorskip("mtl_runtime.bundle")
ALL = dict(variants())
# One export takes a second. The others are slow tests.
QUICK = {
    "crf-0-tags", "cnn-2-kind-pairs", "attention-4-soft", "lstm-0", "pool-attending",
}  # fmt: skip
FACTORED = {name for name, kind in ALL.items() if kind.get("sharing", {}).get("type") == "tensor"}
STEPWISE = {
    name
    for name, kind in ALL.items()
    if kind.get("trunk", {}).get("type") == "cell"
    or (
        kind.get("trunk", {}).get("type") in ("lstm", "gru")
        and {"layer_norm", "zoneout", "recurrent_dropout"} & kind["trunk"].keys()
    )
}
TRANSFORMERS = {n for n, kind in ALL.items() if kind.get("trunk", {}).get("type") == "transformer"}
SENTENCES = [7, 1, 12, 3]


def written(found: Predictor, options: Mapping[str, Any], path: Path) -> Any:
    forms = TaskForm("record", bool(options.get("pairs")), False)
    export_bundle(found, dict.fromkeys(found.batcher.targets, forms), path)
    return bundle.read(path)


@torch.no_grad()
def expected(found: Predictor, ids: torch.Tensor) -> dict[str, np.ndarray]:
    """Scores by task, from the vectors of all tokens."""
    batch = found.batcher.batch([Example(tuple(WORDS))])
    vectors = found.model.embedding(batch.features, batch.mask).vectors[0]
    table = torch.cat([torch.zeros_like(vectors[:1]), vectors])
    hidden = found.model.encode_vectors(of_words(table[ids], ids > 0), found.schemes).hidden
    return {
        task: (head.scores if isinstance(head, Tagger) else head.evidence)(states, ids > 0).numpy()
        for task, states in hidden.items()
        if (head := found.model.head(task))
    }


def scores(read: Any, found: Predictor, ids: torch.Tensor) -> dict[str, np.ndarray]:
    """The same from the programs of the bundle."""
    batch = found.batcher.batch([Example(tuple(WORDS))])
    features = {name: array.numpy() for name, array in batch.features.items()}
    made = read.words.run({**features, "mask": batch.mask.numpy()}, read.meta["tables"])
    tables = {name: np.concatenate([0 * rows[:1], rows]) for name, rows in made.items()}
    inputs = {"ids": ids.numpy(), "mask": (ids > 0).numpy(), **tables}
    return read.sentences.run(inputs, list(read.meta["tasks"]))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in sorted(ALL)],
)
def test_programs_compute_the_scores_of_the_network(name: str, tmp_path: Path) -> None:
    if name in FACTORED | STEPWISE | TRANSFORMERS:
        pytest.skip("refused, see below")
    found = predictor(**ALL[name])
    read = written(found, ALL[name], tmp_path / "model.mtl")
    least = read.meta["min_tokens"]
    for lengths in (SENTENCES, [5, 5]):
        width = max(*lengths, least)
        mask = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
        ids = torch.randint(1, len(WORDS) + 1, mask.shape) * mask
        own = scores(read, found, ids)
        for task, numbers in expected(found, ids).items():
            real = mask.numpy() if numbers.ndim == 3 else slice(None)
            assert own[task].dtype == np.float32
            np.testing.assert_allclose(own[task][real], numbers[real], atol=2e-5, rtol=1e-4)


def test_the_quick_variants_exist() -> None:
    assert not QUICK - ALL.keys()


def test_factored_trunks_are_refused() -> None:
    found = predictor(**ALL[min(FACTORED)])
    with pytest.raises(MtlError, match="computes the weights of its trunks in every step"):
        export_bundle(found, {"tags": TaskForm("record", False, False)}, Path("not-written.mtl"))


def test_layers_that_run_token_by_token_are_refused() -> None:
    found = predictor(**ALL[min(STEPWISE)])
    with pytest.raises(MtlError, match="runs token by token and cannot be exported"):
        export_bundle(found, {"tags": TaskForm("record", False, False)}, Path("not-written.mtl"))


def test_transformers_are_refused() -> None:
    found = predictor(**ALL[min(TRANSFORMERS)])
    with pytest.raises(MtlError, match="a transformer cannot be exported as a bundle"):
        export_bundle(found, {"tags": TaskForm("record", False, False)}, Path("not-written.mtl"))


def test_one_sentence_alone_has_the_same_scores(tmp_path: Path) -> None:
    found = predictor()
    read = written(found, {}, tmp_path / "model.mtl")
    ids = torch.randint(1, len(WORDS) + 1, (3, 6))
    together = scores(read, found, ids)
    for row in range(3):
        alone = scores(read, found, ids[row : row + 1])
        for task, numbers in alone.items():
            np.testing.assert_array_equal(numbers[0], together[task][row])


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a bundle."""
    path = tmp_path_factory.mktemp("bundle") / "model.mtl"
    written(predictor(), {}, path)
    return path.read_bytes()


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_shortened_files_are_refused(size: int, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.mtl"
    path.write_bytes(content[:size])
    with pytest.raises(bundle.BundleError, match=r"model\.mtl: "):
        bundle.read(path)


def test_changed_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.mtl"
    random = np.random.default_rng(0)
    for _ in range(2000):
        changed = bytearray(content)
        for at in random.integers(len(content), size=random.integers(1, 4)):
            changed[at] ^= 1 << random.integers(8)
        if random.random() < 0.2:
            first, last = sorted(random.integers(len(content), size=2))
            del changed[first:last]
        if bytes(changed) != content:
            path.write_bytes(changed)
            with pytest.raises(bundle.BundleError), warnings.catch_warnings():
                bundle.read(path)
