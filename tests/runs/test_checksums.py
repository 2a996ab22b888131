"""Checksums of the files of a run folder."""

from __future__ import annotations

import hashlib
import math
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mtl.errors import CheckpointError
from mtl.runs.checkpoint import load_finite, load_tensors, save_tensors
from mtl.runs.checksums import CHECKSUMS, check_files, remove_checksums, write_checksums

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(7), "h": torch.ones(2).half()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "run.yaml").write_text("a: 1\n")
    (tmp_path / "vocabulary/words.json").write_text("[]")
    write_checksums(tmp_path)
    return tmp_path


def test_the_list_is_a_list_of_sha256sum(folder: Path) -> None:
    lines = (folder / CHECKSUMS).read_text().splitlines()
    names = ["run.yaml", "vocabulary/words.json"]
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    assert lines == [f"{hash_}  {name}" for hash_, name in zip(hashes, names, strict=True)]
    done = subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=folder, check=False)
    assert done.returncode == 0
    check_files(folder)


@pytest.mark.parametrize("name", ["run.yaml", "vocabulary/words.json"])
def test_a_file_that_has_changed(folder: Path, name: str) -> None:
    (folder / name).write_text("[1]")
    with pytest.raises(CheckpointError) as error:
        check_files(folder)
    assert str(error.value) == (
        f"{folder / name}: has changed since it was saved; copy the folder again or, if you "
        f"changed it on purpose, delete its line in {folder / CHECKSUMS}"
    )
    path = folder / CHECKSUMS
    path.write_text("".join(x for x in path.read_text().splitlines(True) if name not in x))
    check_files(folder)


def test_a_file_that_is_missing(folder: Path) -> None:
    (folder / "run.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"run\.yaml: no such file"):
        check_files(folder)


@pytest.mark.parametrize(
    "line",
    ["x", "\0", "0" * 64, f"{'0' * 64}  /dev/zero", f"{'0' * 64}  ../x", f"{'0' * 64}  a/../b"],
)
def test_a_line_of_another_form_reads_no_file(folder: Path, line: str) -> None:
    (folder / CHECKSUMS).write_text(f"{line}\n")
    with pytest.raises(CheckpointError, match=r"checksums\.txt:1: expected a checksum"):
        check_files(folder)


def test_a_folder_without_checksums(folder: Path) -> None:
    remove_checksums(folder)
    remove_checksums(folder)
    (folder / "run.yaml").write_text("changed")
    check_files(folder)


def test_every_byte_of_the_tensors_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for place in range(start, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(CheckpointError, match="its values have changed since they were saved"):
            load_tensors(path)


def test_a_changed_header_gives_an_error_or_the_same_tensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS)
    data = path.read_bytes()
    refused = 0
    for place in range(8 + int.from_bytes(data[:8], "little")):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            tensors = load_tensors(path)
        except CheckpointError:
            refused += 1
        else:
            assert tensors.keys() == TENSORS.keys()
            assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert refused > 100


def test_tensors_without_a_checksum_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path)
    assert torch.equal(load_tensors(path)["b"], TENSORS["b"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.tensor([0.0, value])}, path)
    with pytest.raises(CheckpointError, match="'a' contains NaN or infinity"):
        load_finite(path)


def test_finite_weights_may_have_an_infinite_sum(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.full((9,), 3e38), "b": torch.full((2,), 6e4).half()}, path)
    assert load_finite(path).keys() == load_file(path).keys()


def test_numbers_of_an_unknown_type(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(3).to(torch.float8_e5m2)}, path)
    with pytest.raises(CheckpointError, match=r"'a' has the type torch\.float8_e5m2"):
        load_finite(path)
