"""Files of a run folder: weights, vocabularies, state of training and devices."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mtl.errors import CheckpointError
from mtl.runs.checkpoint import (
    load_tensors,
    load_training,
    load_vocabularies,
    load_weights,
    read_json,
    save_tensors,
    save_training,
    save_vocabularies,
    to_device,
    write_json,
)
from mtl.targets import TokenLabelTarget
from mtl.text.vocabulary import CharacterVocabulary, SubwordVocabulary, WordVocabulary

COUNTS = {"the": 3, "Cat": 2, "naïve": 2}
CLASSES = [WordVocabulary, CharacterVocabulary, SubwordVocabulary]


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 2), nn.BatchNorm1d(2))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_tensors(tmp_path / "model.safetensors", network().state_dict())
    return tmp_path / "model.safetensors"


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    model, other = network(), network()
    save_tensors(tmp_path / "m", model.state_dict())
    load_weights(tmp_path / "m", other)
    assert all(torch.equal(other.state_dict()[k], v) for k, v in model.state_dict().items())


def test_slices_and_tensors_of_any_type_are_saved_whole(tmp_path: Path) -> None:
    given = {"slice": torch.arange(12).reshape(3, 4).T, "byte": torch.get_rng_state()}
    save_tensors(tmp_path / "m", {**given, "half": torch.ones(2).bfloat16()})
    found = load_tensors(tmp_path / "m")
    assert all(torch.equal(found[name], value) for name, value in given.items())
    assert found["half"].dtype == torch.bfloat16


@pytest.mark.parametrize("keep", [0, 4, 50, -1])
def test_a_truncated_file_is_named(weights: Path, keep: int) -> None:
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: not a complete safetensors file"
    ):
        load_weights(weights, network())


def test_a_pickle_is_refused_and_not_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "m").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_weights(tmp_path / "m", network())
    assert not (tmp_path / "sprung").exists()


def test_a_wrong_shape_names_the_tensor_and_both_shapes(weights: Path) -> None:
    expected = r"tensor '0.weight' has shape \(2, 3\), expected \(2, 5\); it belongs"
    with pytest.raises(CheckpointError, match=expected):
        load_weights(weights, network(5))


def test_a_lacking_tensor_is_named(weights: Path) -> None:
    bigger = nn.Sequential(*network(), nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match=r"has no tensor '2\.weight'; it belongs"):
        load_weights(weights, bigger)


def test_a_foreign_tensor_is_named(weights: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tensor '1\.bias' is not part of the model"):
        load_weights(weights, network()[:1])


def test_a_model_is_left_alone_when_the_file_does_not_fit(weights: Path) -> None:
    model = network(5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        load_weights(weights, model)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone: no such file; is its folder a finished run"):
        load_tensors(tmp_path / "gone")


def test_vocabularies_come_back_as_they_were(tmp_path: Path) -> None:
    vocabularies = {cls.feature: cls.build(COUNTS) for cls in CLASSES}
    labels = {"ner": TokenLabelTarget(["B-X", "I-X", "O"], scheme="bio")}
    save_vocabularies(tmp_path, vocabularies, labels)
    found, found_labels = load_vocabularies(tmp_path, {cls.feature: cls for cls in CLASSES})
    assert found_labels == labels
    for feature, vocabulary in vocabularies.items():
        assert all(found[feature].encode(w) == vocabulary.encode(w) for w in [*COUNTS, "new"])


@pytest.mark.parametrize("content", ["[]", "{}", '{"words": 3}', "null", '{"a": 1'])
@pytest.mark.parametrize("cls", CLASSES)
def test_foreign_vocabularies_are_told(tmp_path: Path, content: str, cls: Any) -> None:
    save_vocabularies(tmp_path, {cls.feature: cls.build(COUNTS)}, {})
    (tmp_path / "vocabulary" / f"{cls.feature}.json").write_text(content)
    with pytest.raises(CheckpointError, match="vocabulary"):
        load_vocabularies(tmp_path, {cls.feature: cls})


@pytest.mark.parametrize("content", ["[]", '{"ner": 3}', '{"ner": {}}', "{"])
def test_foreign_labels_are_told(tmp_path: Path, content: str) -> None:
    save_vocabularies(tmp_path, {}, {})
    (tmp_path / "vocabulary" / "labels.json").write_text(content)
    with pytest.raises(CheckpointError, match="vocabulary"):
        load_vocabularies(tmp_path, {})


def test_the_state_of_training_comes_back(tmp_path: Path) -> None:
    tensors, rest = {"x": torch.randn(3)}, {"epoch": 4, "step": 9, "scores": [0.1, 1e-17]}
    save_training(tmp_path, tensors, rest)
    found, found_rest = load_training(tmp_path)
    assert torch.equal(found["x"], tensors["x"])
    assert {**found_rest, **rest} == found_rest


def test_saving_the_same_epoch_again_keeps_its_file(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        save_training(tmp_path, {"x": torch.tensor([value])}, {"epoch": 4, "step": 9})
    assert load_training(tmp_path)[0]["x"].item() == 2


def test_without_a_state_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file; nothing to resume in"):
        load_training(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_state_is_told(tmp_path: Path, content: str) -> None:
    save_training(tmp_path, {"x": torch.ones(1)}, {"epoch": 1, "step": 2})
    (tmp_path / "checkpoint" / "state.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"state\.json"):
        load_training(tmp_path)


def test_json_is_written_for_people_too(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"word": "naïve"})
    assert "naïve" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "x.json") == {"word": "naïve"}


def test_json_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(CheckpointError, match=r"x\.json: cannot be read"):
        read_json(tmp_path / "x.json")
    with pytest.raises(CheckpointError, match=r"y\.json: no such file"):
        read_json(tmp_path / "y.json")


def test_devices_are_found_or_named() -> None:
    assert to_device("cpu") == torch.device("cpu")
    assert to_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(CheckpointError, match="no device 'cuda:99' here"):
        to_device("cuda:99")


def test_files_say_who_wrote_them(weights: Path) -> None:
    size = int.from_bytes(weights.read_bytes()[:8], "little")
    header = json.loads(weights.read_bytes()[8 : 8 + size])
    assert set(header["__metadata__"]) == {"mtl"}
