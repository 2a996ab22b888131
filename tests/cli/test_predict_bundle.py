"""`mtl predict` with a bundle: the same output as with its run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import mtl
from tests.runtime import built

TEXTS = '{"text": "Ann left Rome. Bob saw Lima!", "id": 1}\n{"text": "good", "id": 2}\n'


@pytest.fixture(scope="module")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    built.kernels()
    path = tmp_path_factory.mktemp("bundle") / "model.mtl"
    assert mtl("export", str(trained), "--to", "bundle", "--output", str(path)).code == 0
    return str(path)


@pytest.mark.parametrize("options", [[], ["--format", "jsonl"], ["--unit", "record"]])
def test_a_bundle_labels_as_its_run_folder_does(
    bundle: str, trained: Path, options: list[str]
) -> None:
    own = mtl("predict", bundle, "--input", "jsonl", *options, stdin=TEXTS)
    whole = mtl("predict", str(trained), "--input", "jsonl", *options, stdin=TEXTS)
    assert (own.code, own.out, own.err) == (0, whole.out, "")


def test_tasks_and_confidences(bundle: str) -> None:
    options = ["--task", "ner", "--confidence", "--format", "jsonl", "--input", "jsonl"]
    first, _ = mtl("predict", bundle, *options, stdin=TEXTS).out.splitlines()
    assert set(json.loads(first)["confidence"]) == {"ner"}


@pytest.mark.parametrize(
    "options", [["--workers", "2"], ["--explain"], ["--device", "cuda"], ["--trust"]]
)
def test_options_of_run_folders_are_refused(bundle: str, options: list[str]) -> None:
    found = mtl("predict", bundle, *options, stdin="Ann")
    assert (found.code, found.out) == (2, "")
    assert (
        found.err == f"error: {options[0]} needs a run folder, and {bundle} is a bundle; "
        "leave it out\n"
    )


def test_a_damaged_bundle_is_one_error(bundle: str, tmp_path: Path) -> None:
    content = bytearray(Path(bundle).read_bytes())
    content[-1] ^= 1
    path = tmp_path / "model.mtl"
    path.write_bytes(content)
    found = mtl("predict", str(path), stdin="Ann")
    assert (found.code, found.out) == (2, "")
    assert (
        found.err == f"error: {path}: damaged: the checksum does not fit; export the model again\n"
    )
