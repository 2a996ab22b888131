"""The files of a run folder: weights, vocabularies and the state of training; no pickles."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mtl.errors import CheckpointError, MtlError, printable, shorten
from mtl.files import atomic_write, exists, near_file
from mtl.runs.checksums import file_checksum, tensors_checksum
from mtl.targets import Target, saved_target, target_to_json
from mtl.text.subwords import Subwords
from mtl.text.vocabulary import Vocabulary
from mtl.version import __version__

MadeT = TypeVar("MadeT")

RUN = "run.yaml"
"""The complete run file of a run folder: training it again repeats the run."""
MODEL = "model.safetensors"
TRAINING = "checkpoint"
STATE = "state.json"
"""The newest state of training in the folder `checkpoint`."""
PREVIOUS = "previous.json"
"""The state before it."""
VOCABULARY = "vocabulary"
SNAPSHOTS = "snapshots"
"""The models at the ends of the cycles of a cyclic schedule."""
_SHA256 = "sha256:"
_TYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
}
"""Types of the tensors of a model."""
SUBWORDS = f"{VOCABULARY}/tokenizer.json"
"""Subwords of the language models, in the format of `tokenizers`."""


def seed_folder(folder: Path, seed: int) -> Path:
    """Return the run folder of one seed of a run with several seeds."""
    return folder / f"seed-{seed}"


def seed_folders(folder: Path) -> list[Path]:
    """Return the run folders of the seeds inside a folder, sorted by seed; else an empty list."""
    paths = [path.parent for path in folder.glob(f"seed-*/{RUN}")]
    # Sorted as integers: seed-10 comes after seed-9.
    by_seed = {int(m[1]): path for path in paths if (m := re.fullmatch(r"seed-(\d+)", path.name))}
    return [by_seed[seed] for seed in sorted(by_seed)]


def snapshot_file(folder: Path, cycle: int) -> Path:
    """Return the file of the model at the end of a cycle, counted from 1."""
    return folder / SNAPSHOTS / f"cycle-{cycle}.safetensors"


def snapshot_files(folder: Path) -> list[Path]:
    """Return the models that a run kept at the ends of its cycles, in order."""
    paths = folder.glob(f"{SNAPSHOTS}/cycle-*.safetensors")
    cycles = [int(m[1]) for path in paths if (m := re.fullmatch(r"cycle-(\d+)", path.stem))]
    return [snapshot_file(folder, cycle) for cycle in sorted(cycles)]


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder has the files that training writes first."""
    return (folder / RUN).is_file() and (folder / VOCABULARY / "labels.json").is_file()


def check_run_folder(folder: Path) -> None:
    """Check that a folder is a run folder.

    Raises:
        CheckpointError: The folder does not exist, or has no run file. If it contains the run
            folders of several seeds, the message names one of them.
    """
    if (folder / RUN).is_file():
        return
    if seeds := seed_folders(folder):
        raise CheckpointError(
            f"{folder}: contains several seeds; name one of them, such as {seeds[0]}"
        )
    if not exists(folder):
        raise CheckpointError(f"{folder}: no such folder{near_file(folder)}")
    raise CheckpointError(f"{folder}: not a run folder (it has no {RUN})")


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file atomically."""
    with atomic_write(path) as file:
        json.dump(data, file, ensure_ascii=False, indent=1)


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises:
        CheckpointError: The file is missing or not valid JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
        if "\\u" in text:  # an escape such as "\\ud83d" is an incomplete character
            json.dumps(data, ensure_ascii=False).encode()
        return data
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; is its folder a run folder?") from None
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}; train again") from error


def from_json(path: Path, kind: Any, make: Callable[[Any], MadeT], data: Any) -> MadeT:
    """Return the object that `make` makes of the content of a JSON file.

    Args:
        path: The file, for error messages.
        kind: The type of the content.
        make: Makes the object of a value of this type.
        data: The content.

    Raises:
        CheckpointError: The content is of another type, or `make` refuses it.
    """
    try:
        return make(TypeAdapter(kind).validate_python(data, strict=True))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = repr(error)
    reason = shorten(printable(reason))
    raise CheckpointError(
        f"{path}: not a file of this version: {reason}; copy it again, or train again"
    )


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors to a safetensors file atomically, and return the SHA-256 of the file."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # A single entry: safetensors writes entries in random order, and equal runs must produce equal
    # files.
    data = save(plain, metadata={"mtl": f"{__version__} {_SHA256}{tensors_checksum(plain)}"})
    with atomic_write(path, "wb") as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def save_snapshot(folder: Path, cycle: int, tensors: Mapping[str, Tensor]) -> None:
    """Write the model at the end of a cycle to a run folder."""
    (folder / SNAPSHOTS).mkdir(exist_ok=True)
    save_tensors(snapshot_file(folder, cycle), tensors)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        CheckpointError: The file is missing, truncated, not a safetensors file, or its values have
            changed since they were saved.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; is its folder a finished run?")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a complete safetensors file ({error}); copy it again, or train again"
        ) from error
    # Files of earlier versions, and files that a user has edited and saved, have no checksum.
    _, _, checksum = metadata.get("mtl", "").partition(_SHA256)
    if checksum and checksum != tensors_checksum(tensors):
        raise CheckpointError(
            f"{path}: its values have changed since they were saved; copy it again, or train again"
        )
    return tensors


def load_finite(path: Path) -> dict[str, Tensor]:
    """Read the weights of a model from a safetensors file onto the CPU.

    Raises:
        CheckpointError: As for `load_tensors`, or a weight is not a finite number.
    """
    tensors = load_tensors(path)
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise CheckpointError(
                f"{path}: tensor {name!r} has the type {tensor.dtype}; it belongs to another model"
            )
        # The sum is ten times faster, and not finite if a value is not.
        if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{path}: tensor {name!r} contains NaN or infinity; copy it again, or train again"
            )
    return tensors


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model by name; shared tensors occur once, under their first name."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    # `keep_vars` keeps the identity of parameters, which `state_dict` would otherwise detach.
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            tensors[name] = value.detach()
    return tensors


def constants_of(model: nn.Module) -> set[str]:
    """Return the names of the tensors of a model that training never changes.

    Modules list them in an attribute `constants`.
    """
    return {
        f"{place}.{name}" if place else name
        for place, module in model.named_modules()
        for name in getattr(module, "constants", ())
    }


def set_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors from `weights_of` into a model.

    Raises:
        RuntimeError: A tensor is missing, unexpected or of another shape.
    """
    # Not strict, since `weights_of` leaves out the further names of shared tensors.
    missing, foreign = model.load_state_dict(tensors, strict=False)
    if foreign or not set(weights_of(model)).isdisjoint(missing):
        raise RuntimeError(f"tensors of another model: missing {missing}, foreign {foreign}")


def load_weights(path: Path, model: nn.Module) -> None:
    """Load a model's weights from a file.

    Raises:
        CheckpointError: The file is damaged or belongs to another model; the message names the
            tensor and both shapes.
    """
    tensors = load_finite(path)
    expected = {name: tuple(value.shape) for name, value in weights_of(model).items()}
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointError(f"{path}: has no tensor {name!r}; it belongs to another model")
        if tuple(tensors[name].shape) != shape:
            actual = tuple(tensors[name].shape)
            raise CheckpointError(
                f"{path}: tensor {name!r} has shape {actual}, expected {shape}; "
                "it belongs to another model"
            )
    if foreign := sorted(set(tensors) - set(expected)):
        raise CheckpointError(
            f"{path}: tensor {foreign[0]!r} is not part of the model; it belongs to another model"
        )
    set_weights(model, tensors)


def save_vocabularies(
    folder: Path,
    vocabularies: Mapping[str, Vocabulary],
    targets: Mapping[str, Target],
    subwords: Subwords | None = None,
) -> None:
    """Write `vocabulary/`: one file per feature, the labels of all heads, and any subwords."""
    target = folder / VOCABULARY
    target.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in vocabularies.items():
        write_json(target / f"{name}.json", vocabulary.to_json())
    write_json(target / "labels.json", {head: target_to_json(own) for head, own in targets.items()})
    if subwords:
        write_json(folder / SUBWORDS, subwords.to_json())


def load_vocabularies(
    folder: Path, classes: Mapping[str, type[Vocabulary]]
) -> tuple[dict[str, Vocabulary], dict[str, Target]]:
    """Read the vocabularies and labels that `save_vocabularies` wrote.

    Args:
        folder: The run folder.
        classes: Feature to the class of its vocabulary.

    Raises:
        CheckpointError: A file is missing or damaged.
    """
    vocabularies: dict[str, Vocabulary] = {}
    for name, cls in classes.items():
        path = folder / VOCABULARY / f"{name}.json"
        vocabularies[name] = from_json(path, cls.json_type, cls.from_json, read_json(path))
    path = folder / VOCABULARY / "labels.json"
    by_head = from_json(path, dict[str, dict[str, Any]], _saved_targets, read_json(path))
    targets = {
        head: from_json(path, cls.json_type, cls.from_json, data)
        for head, (cls, data) in by_head.items()
    }
    return vocabularies, targets


def _saved_targets(data: dict[str, dict[str, Any]]) -> dict[str, tuple[type[Target], Any]]:
    """Return, for each head, the class of its target and the content for `from_json`."""
    return {head: saved_target(own) for head, own in data.items()}


def load_subwords(folder: Path) -> Subwords:
    """Read the subwords of a run folder.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    path = folder / SUBWORDS
    return from_json(path, dict[str, Any], Subwords.from_json, read_json(path))


def save_training(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write the state of training to `checkpoint/`; the state before it is kept, too.

    Args:
        folder: The run folder.
        tensors: The tensors of the state.
        values: The other values of the state, as JSON types, with the key "epoch". The key "place"
            is the number of draws of a further epoch that are done.

    Raises:
        MtlError: A file cannot be written, or does not have the written content afterwards.
    """
    # Each state has its own file of tensors, and the JSON file that names it is replaced last: if
    # the process is killed in between, the earlier pair is still complete.
    target = folder / TRAINING
    target.mkdir(exist_ok=True)
    place = values.get("place", 0)
    name = f"epoch-{values['epoch']}{f'-{place}' if place else ''}.safetensors"
    checksum = save_tensors(target / name, tensors)
    if file_checksum(target / name) != checksum:
        raise MtlError(f"{target / name}: was not written correctly; check the disk")
    state = {**values, "tensors": name, "sha256": checksum}
    kept = {name}
    with suppress(CheckpointError):  # there is none yet, or it cannot be used
        previous = _read_state(target / STATE)
        _write_state(target / PREVIOUS, previous)
        kept.add(previous["tensors"])
    _write_state(target / STATE, state)
    for old in target.glob("epoch-*.safetensors"):
        if old.name not in kept:
            old.unlink()


def load_training(
    folder: Path, note: Callable[[str], object] = lambda text: None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and values that `save_training` wrote.

    If they are damaged, the state before them becomes the newest one again.

    Args:
        folder: The run folder, which no other process writes to.
        note: Receives a note if the state before the newest one is used.

    Raises:
        CheckpointError: A file is missing, or both states are damaged.
    """
    newest, previous = folder / TRAINING / STATE, folder / TRAINING / PREVIOUS
    try:
        return _load_state(newest)
    except _DamagedStateError as error:
        try:
            found = _load_state(previous)
        except CheckpointError:  # the newest state is the one that the user expects
            raise error from None
        note(f"note: {error.fault}; training goes back to the checkpoint before it")
        os.replace(previous, newest)
        return found


class _DamagedStateError(CheckpointError):
    """A state is not the one that was saved.

    Args:
        fault: The file and its fault.
        advice: A remedy if the earlier state is damaged, too.
    """

    def __init__(self, fault: str, advice: str) -> None:
        super().__init__(f"{fault}; {advice}")
        self.fault = fault


def _load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state = _read_state(path)
    tensors = path.with_name(state["tensors"])
    if tensors.is_file() and file_checksum(tensors) != state["sha256"]:
        fault = f"{tensors}: has changed since it was saved"
        raise _DamagedStateError(fault, "train into another folder")
    return load_tensors(tensors), state


def _write_state(path: Path, state: Mapping[str, Any]) -> None:
    write_json(path, {**state, "checksum": _checksum(state)})


def _read_state(path: Path) -> dict[str, Any]:
    """Return the values of a state whose checksum is right."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; nothing to resume in {path.parent.parent}")
    try:
        data = read_json(path)
    except CheckpointError:
        data = None
    state: dict[str, Any] = data if isinstance(data, dict) else {}
    checksum = state.pop("checksum", None)
    if not {"epoch", "step", "tensors", "sha256"} <= state.keys() or checksum != _checksum(state):
        fault = f"{path}: not the training state that was saved (another version, or changed since)"
        raise _DamagedStateError(fault, "train into another folder")
    # The name comes from a file, and must not lead to another folder.
    if not re.fullmatch(r"epoch-\d+(-\d+)?\.safetensors", str(state["tensors"])):
        raise CheckpointError(f"{path}: tensors: expected a file name such as epoch-1.safetensors")
    return state


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def to_device(name: str) -> torch.device:
    """Return the device `name`; "auto" is a GPU if there is one, else the CPU.

    Raises:
        CheckpointError: This machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        # `torch.device` alone accepts devices that do not exist.
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"no device {name!r} here: {str(error).splitlines()[0]}") from error
    return torch.device(name)
