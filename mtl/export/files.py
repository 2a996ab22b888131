"""The files of an exported model: the program, and a JSON file with labels and transitions."""

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
from mtl.export.rounding import Weights
from mtl.files import atomic_write
from mtl.inference.predictor import Predictor

ExportFormat = Literal["torch-export", "onnx"]
SUFFIXES: Mapping[ExportFormat, str] = {"torch-export": ".pt2", "onnx": ".onnx"}


def export_files(
    predictor: Predictor,
    tasks: Sequence[str],
    path: Path,
    to: ExportFormat,
    weights: Weights = "float32",
) -> Path:
    """Write taggers as a program, and a JSON file with the labels of its scores beside it.

    Args:
        predictor: The predictor of the trained model.
        tasks: The tasks to export; their heads must be taggers.
        path: The path of the program. The JSON file has the same name with the suffix .json.
        to: The format of the program.
        weights: The type of the weights; "int8" only for ONNX.

    Returns:
        The path of the JSON file.

    Raises:
        MtlError: A task is not a tagger, a part cannot be exported, a package is missing, or a file
            cannot be written.
    """
    known = ("float32", "int8") if to == "onnx" else ("float32",)
    if weights not in known:
        raise MtlError(
            f"{to} files have weights in {' or '.join(known)}, not in {weights}; choose another "
            "type, or export a bundle, which has float32, float16 or int8"
        )
    if path.suffix in SUFFIXES.values() and path.suffix != SUFFIXES[to]:
        raise MtlError(
            f"{path}: expected the suffix {SUFFIXES[to]} for the format {to}, got {path.suffix}"
        )
    description = path.with_suffix(".json")
    if description == path:
        raise MtlError(f"{path}: this is the name of the file with the labels; choose another name")
    inputs = [*read_features(predictor.batcher), "mask"]
    labels = {task: _labels(predictor, task) for task in tasks}
    # The program is built in memory first, so that a failure leaves no incomplete files.
    program = export_program(predictor.model, predictor.batcher, tasks)
    if to == "onnx":
        content = onnx_bytes(program, inputs, tasks, quantize=weights == "int8")
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
    """Return the JSON entry of a task: labels, scheme, temperature, and scores for Viterbi."""
    head = tagger(predictor.model, task)
    entry: dict[str, Any] = {
        "labels": list(head.labels),
        "scheme": predictor.schemes.get(task),
        "temperature": predictor.temperature(task).labels,
    }
    steps = head.steps()
    if steps is not None:
        names = ("transitions", "start", "end")
        entry["steps"] = dict(zip(names, map(_to_json, steps), strict=True))
    return entry


def _to_json(scores: Tensor) -> list[Any]:
    """Return scores as nested lists, with None for −∞, which JSON cannot represent."""
    if scores.ndim > 1:
        return [_to_json(row) for row in scores]
    return [None if score == -torch.inf else score for score in scores.tolist()]
