"""The file of the temperatures of a model: `calibration.json` in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import nn
from typing_extensions import TypedDict

from mtl.errors import CheckpointError
from mtl.inference.temperature import Temperatures
from mtl.runs.checkpoint import from_json, read_json, weights_of, write_json
from mtl.runs.checksums import tensors_checksum
from mtl.version import __version__

CALIBRATION = "calibration.json"


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TemperatureJson(TypedDict):
    """The temperatures of a task; see `Temperatures`."""

    labels: _Positive
    spans: _Positive


class CalibrationJson(TypedDict):
    """The content of the file.

    `weights` is the checksum of the weights for which the temperatures were fitted, and `checksum`
    one of the rest of the file.
    """

    mtl: str
    weights: str
    temperatures: dict[str, TemperatureJson]
    checksum: str


def weights_checksum(models: Iterable[nn.Module]) -> str:
    """Return the checksum of the weights of a model, or of all members of an ensemble."""
    own = [
        tensors_checksum({name: value.cpu() for name, value in weights_of(model).items()})
        for model in models
    ]
    return hashlib.sha256("\n".join(own).encode()).hexdigest()


def write_calibration(
    folder: Path, models: Iterable[nn.Module], temperatures: Mapping[str, Temperatures]
) -> None:
    """Write the temperatures of a model, by task.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    content = {
        "mtl": __version__,
        "weights": weights_checksum(models),
        "temperatures": {task: own._asdict() for task, own in temperatures.items()},
    }
    try:
        write_json(folder / CALIBRATION, {**content, "checksum": _checksum(content)})
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror}") from error


def read_calibration(
    folder: Path, models: Iterable[nn.Module], tasks: Iterable[str]
) -> dict[str, Temperatures]:
    """Read the temperatures of a model, by task; empty without the file.

    Args:
        folder: The folder of the model.
        models: The model, or the members of an ensemble, with their weights.
        tasks: The tasks of the model.

    Raises:
        CheckpointError: The file is damaged, or belongs to other weights.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return {}
    found: CalibrationJson = from_json(path, CalibrationJson, lambda data: data, read_json(path))
    advice = f"delete it, and fit the temperatures again: mtl calibrate {folder}"
    content = {name: value for name, value in found.items() if name != "checksum"}
    if found["checksum"] != _checksum(content):
        raise CheckpointError(f"{path}: has changed since it was saved; {advice}")
    unknown = set(found["temperatures"]) - set(tasks)
    if unknown or found["weights"] != weights_checksum(models):
        raise CheckpointError(f"{path}: was fitted for other weights than the model has; {advice}")
    return {task: Temperatures(**own) for task, own in found["temperatures"].items()}


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
