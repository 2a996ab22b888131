"""Weights in fewer bits: the bound of the error, and the choice of weights."""

from __future__ import annotations

import hashlib
import json
import random
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import mtl_runtime
import numpy as np
import pytest
import torch
from mtl_runtime.bundle import BundleError
from mtl_runtime.rounding import Rounded as RuntimeRounded
from numpy.typing import NDArray

from mtl.export import rounding
from mtl.export.bundle import TaskForm, export_bundle, pack
from mtl.export.rounding import Weights, large_weights, rounded, rounded_weights
from mtl.inference.inputs import read_sentences
from mtl.inference.predictor import Predictor
from tests.faults.damage import damaged
from tests.runtime import models
from tests.runtime.built import kernels
from tests.runtime.test_predictor import same

kernels()
TEXTS = ["Ann Smith left New York. The cat sat on a mat!", "", "naïve cats in Rome " * 9, "Rome"]
KINDS: tuple[Weights, ...] = ("int8", "float16")


def quantized(weight: NDArray[np.float32], axis: tuple[int, ...]) -> tuple[Any, Any]:
    """An independent quantiser, number by number in float64: the integers and the scales."""
    moved = np.moveaxis(weight.astype(np.float64), axis, range(-len(axis), 0))
    groups = moved.reshape(-1, int(np.prod([weight.shape[a] for a in axis])))
    numbers, scales = np.zeros(groups.shape), np.zeros(len(groups))
    for row, group in enumerate(groups):
        scales[row] = max(map(abs, group), default=0.0) / 127
        if scales[row]:
            numbers[row] = [round(value / scales[row]) for value in group]
    back = np.moveaxis(numbers.reshape(moved.shape), range(-len(axis), 0), axis)
    kept = [1 if a in {x % weight.ndim for x in axis} else n for a, n in enumerate(weight.shape)]
    return back, scales.reshape(kept)


@pytest.mark.parametrize(
    ("shape", "dims"), [((40, 17), (1,)), ((9, 4, 5), (1, 2)), ((6, 31), (-2,)), ((2, 7, 8), (-2,))]
)
def test_the_error_is_at_most_half_a_scale(shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    random = np.random.default_rng(5)
    sizes = random.lognormal(size=(shape[0], *[1] * (len(shape) - 1)))
    weight = (sizes * random.normal(size=shape)).astype(np.float32)
    weight[0] = 0
    found = rounded(torch.from_numpy(weight), dims, "int8")
    assert found.scales is not None
    numbers, scales = quantized(weight, dims)
    np.testing.assert_allclose(found.scales.numpy(), scales, rtol=1e-6)
    # Where a number is halfway between two integers, rounding in float32 may choose the other one.
    assert np.abs(found.numbers.numpy() - numbers).max() <= 1
    assert (found.numbers.numpy() == numbers).mean() > 0.99
    error = np.abs(found.expanded().numpy().astype(np.float64) - weight)
    assert (error <= scales * (0.5 + 1e-4)).all()
    assert (found.expanded().numpy()[weight == 0] == 0).all()
    own = RuntimeRounded(found.numbers.numpy(), found.scales.numpy())
    np.testing.assert_array_equal(own.expanded(), found.expanded().numpy())
    ids = np.array([[1, 0], [3, 1]])
    np.testing.assert_array_equal(own.rows(ids % shape[0]), own.expanded()[ids % shape[0]])


def test_float16_is_that_of_numpy() -> None:
    weight = torch.randn(50, 100) * 10.0 ** torch.randint(-9, 4, (50, 1))
    found = rounded(weight, (1,), "float16")
    expected = weight.numpy().astype(np.float16)
    np.testing.assert_array_equal(found.numbers.numpy(), expected)
    own = RuntimeRounded(expected)
    np.testing.assert_array_equal(own.rows(np.array([3, 3])), expected.astype(np.float32)[[3, 3]])


def test_tables_and_matrices_are_large_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "LEAST", 20)
    model = models.predictor(trunk={"type": "lstm", "num_layers": 1, "hidden_size": 6}).model
    found = {name: dims for name, _, dims in large_weights(model)}
    assert found["embedding.parts.words.table.weight"] == (1,)
    assert not any("transitions" in name or "bias" in name for name in found)
    assert any("weight_hh" in name for name in found)
    with torch.no_grad():
        model.get_parameter("embedding.parts.words.table.weight")[3, 2] = torch.inf
    names = [name for name, *_ in large_weights(model)]
    assert "embedding.parts.words.table.weight" not in names
    monkeypatch.setattr(rounding, "LEAST", 10_000)
    assert not list(large_weights(model))


def test_a_small_model_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.mtl"
    assert exported(models.predictor(), path, "int8") == path.stat().st_size
    assert mtl_runtime.bundle.read(path).meta["version"] == 1


# Parts whose weights have a form of their own: layers by direction and window, weight
# normalisation, filters, bags of n-grams and of subwords, gates of GRUs.
VARIANTS: dict[str, dict[str, Any]] = {
    "tagger": {"tasks": {"tags": ("crf", {})}},
    "classifier": {
        "tasks": {"kind": ("cnn", {})},
        "trunk": {"type": "gru", "num_layers": 2, "hidden_size": 6},
    },
    "number": {"tasks": {"number": ("attention", {})}, "embeddings": {"ngrams": {"dim": 9}}},
    "lstm": {"trunk": {"type": "lstm", "num_layers": 2, "hidden_size": 6}},
    "conv": {"trunk": {"type": "conv", "num_layers": 2}},
    "subwords": {"embeddings": {"subwords": {}, "affixes": {}}},
    "channels": {"embeddings": {"words": {"dim": 6, "multichannel": True}}},
    "cross_stitch": {
        "sharing": {"type": "cross_stitch"},
        "trunk": {"type": "qrnn", "num_layers": 2, "hidden_size": 6, "window": 2},
    },
}
QUICK = {("tagger", "float16"), ("cross_stitch", "int8")}


def exported(found: Predictor, path: Path, weights: Weights) -> int:
    forms = dict.fromkeys(found.batcher.targets, TaskForm("record", False, False))
    return export_bundle(found, forms, path, weights)


def in_torch(found: Predictor) -> list[dict[str, Any]]:
    read = list(read_sentences(TEXTS, pairs=False))
    return [p.to_dict() for p in found.run(read, list(found.batcher.targets), confidence=True)]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow)
        for case in product(VARIANTS, KINDS)
    ],
)
def test_a_bundle_has_the_weights_whose_score_is_measured(
    name: str, weights: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rounding, "LEAST", 20)
    found = models.predictor(**VARIANTS[name])
    before = {key: value.clone() for key, value in found.model.state_dict().items()}
    plain = in_torch(found)
    path = tmp_path / "model.mtl"
    assert exported(found, path, weights) > path.stat().st_size
    with rounded_weights(found.model, weights):
        expected = in_torch(found)
    tensors = mtl_runtime.bundle.read(path).tensors
    small = [key for key, value in tensors.items() if isinstance(value, RuntimeRounded)]
    assert any("embedding" in key for key in small)
    assert any("sharing" in key for key in small)
    predictions = [p.to_dict() for p in mtl_runtime.load(path).annotate(TEXTS, confidence=True)]
    assert same(predictions, expected)
    assert predictions != plain
    # Afterwards the model has its own weights again.
    assert in_torch(found) == plain
    for key, value in found.model.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "model.mtl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "LEAST", 20)
        exported(models.predictor(), path, "int8")
    return path


def test_an_older_runtime_refuses_the_file(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtl_runtime.bundle.VERSIONS", (1,))
    with pytest.raises(BundleError, match="has version 2, but this mtl-runtime reads 1; install"):
        mtl_runtime.load(sound)


def test_tables_stay_in_8_bits(sound: Path) -> None:
    words = mtl_runtime.bundle.read(sound).words
    assert isinstance(words._known[TABLE], RuntimeRounded)


TABLE = "model.embedding.parts.words.table.weight"
SCALE = f"{TABLE}.scale"
# Changes of the metadata and of the tensors.
ABSURD: dict[str, Any] = {
    "no scales": lambda meta, tensors: tensors.pop(SCALE),
    "other scales": lambda meta, tensors: meta["scales"].update({TABLE: "none"}),
    "no weight": lambda meta, tensors: meta["scales"].update({"none": SCALE}),
    "shape": lambda meta, tensors: tensors.update({SCALE: tensors[SCALE][1:]}),
    "dimensions": lambda meta, tensors: tensors.update({SCALE: tensors[SCALE][:, 0]}),
    "type": lambda meta, tensors: tensors.update({SCALE: tensors[SCALE].double()}),
    "twice": lambda meta, tensors: meta["scales"].update({SCALE: SCALE}),
    "list": lambda meta, tensors: meta.update(scales=[TABLE]),
    "half scales": lambda meta, tensors: tensors.update({TABLE: tensors[TABLE].half()}),
    "transitions": lambda meta, tensors: meta["tasks"]["tags"]["decode"].update(transitions=TABLE),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_scales_are_one_error(name: str, sound: Path, tmp_path: Path) -> None:
    path = with_change(sound, ABSURD[name], tmp_path)
    with pytest.raises(BundleError):
        mtl_runtime.load(path).predict(TEXTS)


def with_change(sound: Path, change: Any, folder: Path) -> Path:
    """Write a bundle with other metadata or tensors, and a right checksum."""
    content = sound.read_bytes()
    meta = json.loads(json.loads(header(content))["__metadata__"]["mtl"])
    tensors = {
        name: torch.tensor(array.numbers if isinstance(array, RuntimeRounded) else array)
        for name, array in mtl_runtime.bundle.read(sound).tensors.items()
    }
    change(meta, tensors)
    (folder / "model.mtl").write_bytes(pack(tensors, meta))
    return folder / "model.mtl"


def header(content: bytes) -> bytes:
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def test_random_changes_are_refused(sound: Path, tmp_path: Path) -> None:
    content, path = sound.read_bytes(), tmp_path / "model.mtl"
    expected = mtl_runtime.load(sound).predict(TEXTS)
    rng = random.Random(3)
    for _ in range(200):
        path.write_bytes(damaged(content, rng))
        with suppress(BundleError):
            assert mtl_runtime.load(path).predict(TEXTS) == expected


def test_random_changes_below_a_right_checksum(sound: Path, tmp_path: Path) -> None:
    content, path = sound.read_bytes(), tmp_path / "model.mtl"
    place = content.index(b'"sha256":"') + len(b'"sha256":"')
    rng = random.Random(4)
    zeros = content[:place] + b"0" * 64 + content[place + 64 :]
    for _ in range(200):
        other = bytearray(zeros)
        # In the header, whose numbers say where tensors are and how large.
        at = rng.randrange(8, 8 + len(header(content)))
        if place <= at < place + 64:
            continue
        other[at : at + 1] = rng.choice([b"0", b"9", b"-", b"8", b"F", b"]", b" "])
        digest = hashlib.sha256(other).hexdigest().encode()
        path.write_bytes(other[:place] + digest + other[place + 64 :])
        with suppress(BundleError):
            mtl_runtime.load(path).predict(TEXTS)
