"""Files that are not sound bundles end with one error in JavaScript, as in Python."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import mtl_runtime
import numpy as np
import pytest
import torch

from mtl.export import rounding
from mtl.export.bundle import TaskForm, export_bundle, pack
from tests.faults.damage import damaged
from tests.runtime.built import kernels
from tests.runtime.models import predictor
from tests.runtime.test_absurd import CONSTANTS, DESCRIPTIONS, PREDICTED, program
from tests.runtime.web.node import JavaScriptError, Node, close

kernels()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web") / "model.mtl"
    found = predictor()
    forms = dict.fromkeys(found.batcher.targets, TaskForm("record", False, False))
    export_bundle(found, forms, path)
    return path


def changed(sound: Path, change: Any, folder: Path) -> str:
    """Write a bundle with another description, and return its path."""
    read = mtl_runtime.bundle.read(sound)
    meta = json.loads(json.dumps(read.meta))
    tensors = {name: torch.from_numpy(array.copy()) for name, array in read.tensors.items()}
    change(meta)
    (folder / "model.mtl").write_bytes(pack(tensors, meta))
    return str(folder / "model.mtl")


@pytest.mark.parametrize("name", CONSTANTS)
def test_absurd_constants_are_refused(name: str, sound: Path, node: Node, tmp_path: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        nodes = program(CONSTANTS[name])
        meta["sentences"]["nodes"][:0] = nodes + nodes[-1:] * (name == "twice")

    with pytest.raises(JavaScriptError, match="BundleError: "):
        node.ask("load", path=changed(sound, change, tmp_path))


@pytest.mark.parametrize("name", PREDICTED)
def test_absurd_steps_are_one_error(name: str, sound: Path, node: Node, tmp_path: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["sentences"]["nodes"][:0] = program([PREDICTED[name]])
        meta["sentences"]["outputs"]["tags"] = {"of": "result1"}

    path = changed(sound, change, tmp_path)
    with pytest.raises(JavaScriptError, match="BundleError: "):
        node.ask("predict", path=path, sentences=["Ann left Rome."])


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_absurd_descriptions_are_refused(
    name: str, sound: Path, node: Node, tmp_path: Path
) -> None:
    with pytest.raises(JavaScriptError, match="BundleError: "):
        node.ask("load", path=changed(sound, DESCRIPTIONS[name], tmp_path))


def test_an_unknown_operator_is_named(sound: Path, node: Node, tmp_path: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["words"]["nodes"][0][1] = "aten.fft.default"

    with pytest.raises(JavaScriptError, match=r"unknown operator aten\.fft\.default; "):
        node.ask("load", path=changed(sound, change, tmp_path))


def test_a_later_version_is_refused(sound: Path, node: Node, tmp_path: Path) -> None:
    with pytest.raises(JavaScriptError, match="has version 3, but this mtl-runtime reads 1, 2"):
        node.ask("load", path=changed(sound, lambda meta: meta.update(version=3), tmp_path))


@pytest.fixture(scope="module", params=["int8", "float16"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with weights in fewer bits."""
    path = tmp_path_factory.mktemp("small") / "model.mtl"
    found = predictor()
    forms = dict.fromkeys(found.batcher.targets, TaskForm("record", False, False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "LEAST", 20)
        export_bundle(found, forms, path, request.param)
    return path


def test_weights_in_fewer_bits_are_those_of_python(small: Path, node: Node) -> None:
    texts = ["Ann Smith left New York.", "", "The cat sat on a mat"]
    found = node.ask("probabilities", path=str(small), sentences=texts, task="tags")
    labels, expected = mtl_runtime.load(small).probabilities(texts, "tags")
    assert found["labels"] == labels
    assert close(found["probabilities"], [own.tolist() for own in expected])


def test_changed_files_with_fewer_bits_are_refused(small: Path, node: Node, tmp_path: Path) -> None:
    content, rng = small.read_bytes(), random.Random(1)
    for number in range(100):
        path = tmp_path / f"{number}.mtl"
        path.write_bytes(damaged(content, rng))
        if path.read_bytes() != content:
            with pytest.raises(JavaScriptError, match="BundleError: "):
                node.ask("load", path=str(path))


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_shortened_files_are_refused(size: int, sound: Path, node: Node, tmp_path: Path) -> None:
    (tmp_path / "model.mtl").write_bytes(sound.read_bytes()[:size])
    with pytest.raises(JavaScriptError, match=r"BundleError: (expected a bundle|damaged: the che)"):
        node.ask("load", path=str(tmp_path / "model.mtl"))


def test_changed_files_are_refused(sound: Path, node: Node, tmp_path: Path) -> None:
    content = sound.read_bytes()
    random = np.random.default_rng(0)
    for number in range(100):
        other = bytearray(content)
        for at in random.integers(len(content), size=2):
            other[at] ^= 1 << random.integers(8)
        path = tmp_path / f"{number}.mtl"
        path.write_bytes(other)
        with pytest.raises(JavaScriptError, match="BundleError: "):
            node.ask("load", path=str(path))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "MtlError: expected the address or the bytes of a bundle, got None"),
        ({"path": "a"}, "MtlError: expected the address or the bytes of a bundle, got {'path': "),
        ("no/model.mtl", "BundleError: cannot read no/model.mtl: ENOENT"),
        ("http://", "BundleError: cannot read http://: Invalid URL"),
    ],
)
def test_files_that_cannot_be_read_are_named(source: Any, message: str, node: Node) -> None:
    with pytest.raises(JavaScriptError, match=f"^{re.escape(message)}"):
        node.ask("open", source=source)


def test_without_a_compiler_the_build_says_how_to_install_it(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no Emscripten .*apt-get install emscripten"):
        build.build()
