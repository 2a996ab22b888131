"""Copies of the files of a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtl.errors import MtlError
from mtl.runs.model_files import model_files, write_files


def test_no_file_is_written_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"run.yaml": b"old", "model/weights": b"old"}
    write_files(tmp_path, old)
    assert model_files(tmp_path) == old

    def full(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MtlError, match="No space left on device"):
        write_files(tmp_path, {"run.yaml": b"new", "model/weights": b"new"})
    assert model_files(tmp_path) == old
