"""The files of an exported model: the program, and what makes labels of its scores."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.export.onnx import onnx_bytes
from mtl.export.program import export_program, read_features, tagger
from mtl.files import atomic_write
from mtl.inference.predictor import Predictor

ExportFormat = Literal["torch-export", "onnx"]
SUFFIXES: Mapping[ExportFormat, str] = {"torch-export": ".pt2", "onnx": ".onnx"}


def export_files(
    predictor: Predictor,
    tasks: Sequence[str],
    path: Path,
    to: ExportFormat,
    *,
    quantize: bool = False,
) -> Path:
    """Write taggers as a program, and beside it, as JSON, the labels of its scores.

    Args:
        predictor: The model at work.
        tasks: Which of its tasks; all are taggers.
        path: Where to write the program.
        to: Its format.
        quantize: Whether its weights become 8-bit integers; for ONNX alone.

    Returns:
        The JSON file.

    Raises:
        MtlError: A task is no tagger, or a part cannot be exported; a package is missing; a file
            cannot be written.
    """
    if quantize and to != "onnx":
        raise MtlError("only ONNX files are quantised; export to onnx")
    if path.suffix in SUFFIXES.values() and path.suffix != SUFFIXES[to]:
        raise MtlError(f"{path}: expected a name that ends in {SUFFIXES[to]}, as {to} is written")
    description = path.with_suffix(".json")
    if description == path:
        raise MtlError(f"{path}: the labels go into the file of this name; choose another")
    inputs = [*read_features(predictor.batcher), "mask"]
    labels = {task: _labels(predictor, task) for task in tasks}
    program = export_program(predictor.model, predictor.batcher, tasks)
    if to == "onnx":
        content = onnx_bytes(program, inputs, tasks, quantize=quantize)
    else:
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        content = buffer.getvalue()
    with atomic_write(path, "wb") as file:
        file.write(content)
    with atomic_write(description) as file:
        json.dump({"inputs": inputs, "tasks": labels}, file, ensure_ascii=False)
    return description


def _labels(predictor: Predictor, task: str) -> dict[str, Any]:
    """Return what makes labels of the scores of a task."""
    head = tagger(predictor.model, task)
    found: dict[str, Any] = {"labels": list(head.labels), "scheme": predictor.schemes.get(task)}
    steps = head.steps()
    if steps is not None:
        names = ("transitions", "start", "end")
        found["steps"] = dict(zip(names, map(_plain, steps), strict=True))
    return found


def _plain(scores: Tensor) -> list[Any]:
    """Return scores as lists, with None for what is forbidden: JSON has no infinity."""
    if scores.ndim > 1:
        return [_plain(row) for row in scores]
    return [None if score == -torch.inf else score for score in scores.tolist()]
