"""Bundles with a valid checksum and absurd contents: one error, no hang, crash or huge array."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mtl_runtime
import numpy as np
import pytest
import torch
from mtl_runtime.decoding import Decoder

from mtl.export.bundle import TaskForm, export_bundle, pack
from tests.runtime.built import kernels
from tests.runtime.models import predictor

kernels()
TABLE = "model.embedding.parts.words.table.weight"
IDS, ROWS, RESULT = {"of": "ids"}, {"of": "products.0"}, {"of": "result"}
CONSTANTS: dict[str, list[list[Any]]] = {
    "arange": [["aten.arange.default", [10**12]]],
    "full": [["aten.full.default", [[10**5, 10**5], 1.0]]],
    "expand": [["aten.zeros.default", [[1]]], ["aten.expand.default", [RESULT, [10**11]]]],
    "repeat": [["aten.repeat.default", [{"of": TABLE}, [10**4, 10**4]]]],
    "pad": [["aten.pad.default", [{"of": TABLE}, [0, 10**9]]]],
    "outer": [["aten.mul.Tensor", [{"of": "column"}, {"of": "row"}]]],
    "einsum": [["aten.einsum.default", ["a,b,c->abc", [{"of": "row"}] * 3]]],
    "power": [["aten.pow.Scalar", [10, 10**9]]],
    "text": [["aten.mul.Tensor", ["abcdefgh", 10**9]]],
    "type": [["aten.to.dtype", [{"of": TABLE}, "U100000"]]],
    "product": [["python.mul", [10**18, 10**18]]],
    "no size": [["aten.split.Tensor", [{"of": TABLE}, 0]]],
    "doubled": [
        ["aten.zeros.default", [[1 << 20]]],
        *[["aten.cat.default", [[RESULT, RESULT]]]] * 30,
    ],
    "twice": [["aten.tanh.default", [IDS]]],
}
PREDICTED: dict[str, list[Any]] = {
    "window": [
        "mtl.pool_rows.default",
        [ROWS, IDS, None, None, 10**30, 3, False, 2],
    ],
    "ids": ["aten.embedding.default", [{"of": TABLE}, {"of": "far"}]],
    "argument": ["aten.tanh.default", [IDS], {"bogus": 1}],
    "dimensions": ["aten.sum.default", [IDS]],
}
DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "max_length": lambda meta: meta.update(max_length=0),
    "overlap": lambda meta: meta.update(overlap=meta["max_length"]),
    "max_tokens": lambda meta: meta.update(max_tokens=-1),
    "batch": lambda meta: meta.update(max_tokens=10**18),
    "width": lambda meta: meta["vocabularies"][1].update(width=10**9),
    "level": lambda meta: meta["tasks"]["tags"].update(level="word"),
    "unit": lambda meta: meta["tasks"]["tags"].pop("unit"),
    "labels": lambda meta: meta["tasks"]["tags"].update(labels=["a"]),
    "no labels": lambda meta: meta["tasks"]["kind"].update(labels=[]),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The description and the arrays of a bundle."""
    path = tmp_path_factory.mktemp("sound") / "model.mtl"
    found = predictor()
    forms = dict.fromkeys(found.batcher.targets, TaskForm("record", False, False))
    export_bundle(found, forms, path)
    read = mtl_runtime.bundle.read(path)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in read.tensors.items()}
    return dict(read.meta), tensors


def loaded(
    sound: tuple[dict[str, Any], dict[str, Any]],
    change: Callable[[dict[str, Any]], object],
    folder: Path,
) -> mtl_runtime.Model:
    meta, tensors = json.loads(json.dumps(sound[0])), sound[1]
    change(meta)
    (folder / "model.mtl").write_bytes(pack(tensors, meta))
    return mtl_runtime.load(folder / "model.mtl")


def program(steps: list[list[Any]]) -> list[list[Any]]:
    """Nodes of a program; RESULT in the arguments of a step is the result of the step before."""
    nodes: list[list[Any]] = [
        ["row", "aten.arange.default", [10**5], {}],
        ["column", "aten.unsqueeze.default", [{"of": "row"}, 1], {}],
        ["far", "aten.add.Tensor", [IDS, 10**6], {}],
    ]
    for number, (operator, arguments, *keywords) in enumerate(steps):
        text = json.dumps(arguments).replace('"result"', f'"result{number}"')
        nodes.append([f"result{number + 1}", operator, json.loads(text), *(keywords or [{}])])
    return nodes


@pytest.mark.parametrize("name", CONSTANTS)
def test_absurd_constants_are_refused(name: str, sound: Any, tmp_path: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        nodes = program(CONSTANTS[name])
        meta["sentences"]["nodes"][:0] = nodes + nodes[-1:] * (name == "twice")

    with pytest.raises(mtl_runtime.BundleError, match=r"model\.mtl: "):
        loaded(sound, change, tmp_path)


@pytest.mark.parametrize("name", PREDICTED)
def test_absurd_steps_are_one_error(name: str, sound: Any, tmp_path: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["sentences"]["nodes"][:0] = program([PREDICTED[name]])
        meta["sentences"]["outputs"]["tags"] = {"of": "result1"}

    model = loaded(sound, change, tmp_path)
    with pytest.raises(mtl_runtime.BundleError, match=r"cannot be run \(\w+: "):
        model.predict(["Ann left Rome."])
    with pytest.raises(mtl_runtime.BundleError, match=r"cannot be run \(\w+: "):
        model.probabilities(["Ann left Rome."], "tags")


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_absurd_descriptions_are_refused(name: str, sound: Any, tmp_path: Path) -> None:
    with pytest.raises(mtl_runtime.BundleError, match=r"model\.mtl: "):
        loaded(sound, DESCRIPTIONS[name], tmp_path)


def test_many_labels_need_little_memory() -> None:
    labels = ["O", *(f"{letter}-{number}" for number in range(20_000) for letter in "BI")]
    task = {
        "form": "label", "level": "token", "labels": labels, "scheme": "bio",
        "confidence": "softmax", "thresholds": None, "scale": None, "unit": "sentence",
        "pairs": False, "derived": False, "decode": {"kind": "argmax"},
    }  # fmt: skip
    tags = Decoder(task, {}).whole_tags(np.array([[2, 2, 4, 3, 4, 0, 4]]))
    assert tags == [["B-0", "I-0", "B-1", "B-1", "I-1", "O", "B-1"]]
