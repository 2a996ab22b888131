"""Run folders and what lies in them: weights, vocabularies, state of training; no pickles."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mtl.errors import CheckpointError
from mtl.files import atomic_write
from mtl.targets import Target, target_from_json, target_to_json
from mtl.text.subwords import Subwords
from mtl.text.vocabulary import Vocabulary
from mtl.version import __version__

RUN = "run.yaml"
"""The run file in a run folder, complete: training it again repeats the run."""
MODEL = "model.safetensors"
TRAINING = "checkpoint"
SUBWORDS = "vocabulary/tokenizer.json"
"""What cut the text of language models into subwords, in the format of `tokenizers`."""


def seed_folder(folder: Path, seed: int) -> Path:
    """Return the run folder of one seed, in the folder of a run that has several."""
    return folder / f"seed-{seed}"


def seed_folders(folder: Path) -> list[Path]:
    """Return the run folders of the seeds that a folder holds, in order; of other folders none."""
    found = [path.parent for path in folder.glob(f"seed-*/{RUN}")]
    numbered = {int(m[1]): path for path in found if (m := re.fullmatch(r"seed-(\d+)", path.name))}
    return [numbered[seed] for seed in sorted(numbered)]


def check_run_folder(folder: Path) -> None:
    """Refuse what is no run folder.

    Raises:
        CheckpointError: It has no run file; says where one is if it holds several seeds.
    """
    if (folder / RUN).is_file():
        return
    if seeds := seed_folders(folder):
        raise CheckpointError(f"{folder}: holds several seeds; name one of them, as {seeds[0]}")
    raise CheckpointError(f"{folder}: no run folder (it has no {RUN})")


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_write(path) as file:
        json.dump(data, file, ensure_ascii=False, indent=1)


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises:
        CheckpointError: It is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; is its folder a run folder?") from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}; train again") from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry only: safetensors writes several in any order, and equal runs must give equal files.
    data = save(plain, metadata={"mtl": __version__})
    with atomic_write(path, "wb") as file:
        file.write(data)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        CheckpointError: It is missing, truncated or no safetensors file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; is its folder a finished run?")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: no complete safetensors file ({error}); copy it again, or train again"
        ) from error


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model by name, shared ones under their first name."""
    found: dict[str, Tensor] = {}
    known: set[int] = set()
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in known:
            known.add(id(value))
            found[name] = value.detach()
    return found


def set_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model the tensors that `weights_of` gave.

    Raises:
        RuntimeError: A tensor is missing, foreign or of another shape.
    """
    missing, foreign = model.load_state_dict(tensors, strict=False)
    if foreign or not set(weights_of(model)).isdisjoint(missing):
        raise RuntimeError(f"tensors of another model: missing {missing}, foreign {foreign}")


def load_weights(path: Path, model: nn.Module) -> None:
    """Load a model's weights from a file.

    Raises:
        CheckpointError: The file is damaged, or its tensors are those of another model; the
            message names the tensor and both shapes.
    """
    tensors = load_tensors(path)
    expected = {name: tuple(value.shape) for name, value in weights_of(model).items()}
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointError(f"{path}: has no tensor {name!r}; it is another model's file")
        if tuple(tensors[name].shape) != shape:
            found = tuple(tensors[name].shape)
            raise CheckpointError(
                f"{path}: tensor {name!r} has shape {found}, expected {shape}; "
                "it is another model's file"
            )
    if foreign := sorted(set(tensors) - set(expected)):
        raise CheckpointError(
            f"{path}: tensor {foreign[0]!r} is not part of the model; it is another model's file"
        )
    set_weights(model, tensors)


def save_vocabularies(
    folder: Path,
    vocabularies: Mapping[str, Vocabulary],
    targets: Mapping[str, Target],
    subwords: Subwords | None = None,
) -> None:
    """Write `vocabulary/`: one file a feature, the labels of each head, and subwords if any."""
    target = folder / "vocabulary"
    target.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in vocabularies.items():
        write_json(target / f"{name}.json", vocabulary.to_json())
    write_json(target / "labels.json", {head: target_to_json(own) for head, own in targets.items()})
    if subwords:
        write_json(folder / SUBWORDS, subwords.to_json())


def load_vocabularies(
    folder: Path, classes: Mapping[str, type[Vocabulary]]
) -> tuple[dict[str, Vocabulary], dict[str, Target]]:
    """Read what `save_vocabularies` wrote.

    Args:
        folder: The run folder.
        classes: Feature to the class of its vocabulary.
    """
    source = folder / "vocabulary"
    try:
        vocabularies = {
            name: cls.from_json(read_json(source / f"{name}.json")) for name, cls in classes.items()
        }
        targets = {
            head: target_from_json(data) for head, data in read_json(source / "labels.json").items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{source}: not a vocabulary of this version: {error!r}") from error
    return vocabularies, targets


def load_subwords(folder: Path) -> Subwords:
    """Read the subwords of a run folder.

    Raises:
        CheckpointError: It has none, or they are damaged.
    """
    path = folder / SUBWORDS
    try:
        return Subwords.from_json(read_json(path))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: not subwords of this version: {error!r}") from error


def save_training(folder: Path, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
    """Write the state of training to `checkpoint/`.

    The tensors of each epoch have a file of their own, and the JSON file that names it is put in
    place last, so a stop in between leaves the older pair usable.
    """
    target = folder / TRAINING
    target.mkdir(parents=True, exist_ok=True)
    name = f"epoch-{rest['epoch']}.safetensors"
    save_tensors(target / name, tensors)
    write_json(target / "state.json", {**rest, "tensors": name})
    for old in target.glob("epoch-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_training(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_training` wrote.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    state = folder / TRAINING / "state.json"
    if not state.is_file():
        raise CheckpointError(f"{state}: no such file; nothing to resume in {folder}")
    rest = read_json(state)
    if not (isinstance(rest, dict) and {"tensors", "epoch", "step"} <= set(rest)):
        raise CheckpointError(f"{state}: not a state of training; train again without --resume")
    return load_tensors(state.parent / rest["tensors"]), rest


def to_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is a GPU if there is one, else the CPU.

    Raises:
        CheckpointError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"no device {name!r} here: {str(error).splitlines()[0]}") from error
    return torch.device(name)
