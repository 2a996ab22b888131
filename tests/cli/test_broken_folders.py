"""Run folders that are damaged, foreign, or in the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.command import assert_told, mtl

WEIGHT = "embedding.parts.words.table.weight"


@pytest.fixture
def model(project: Path, trained: Path) -> Path:
    """Return a copy of the run folder, to be damaged."""
    shutil.copytree(trained, project / "runs" / "run")
    return Path("runs/run")


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_folder_that_is_no_run_folder(project: Path, verb: str) -> None:
    assert_told(mtl(verb, "data"), "data: not a run folder (it has no run.yaml)")
    assert_told(mtl(verb, "nowhere"), "nowhere: no such folder")


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_weights_that_are_cut(model: Path, keep: int) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    result = mtl("predict", str(model), stdin="Ann")
    assert result.err.startswith(f"error: {path}: not a complete safetensors file (")
    assert result.err.endswith("; copy it again, or train again\n")
    assert (result.code, result.out) == (2, "")


def test_weights_of_another_model(model: Path) -> None:
    path = model / "model.safetensors"
    tensors = load_file(path)
    foreign = "it belongs to another model"
    save_file({"x": torch.zeros(1)}, path)
    result = mtl("evaluate", str(model))
    assert result.err.startswith(f"error: {path}: has no tensor ")
    save_file({**tensors, WEIGHT: torch.zeros(3, 4)}, path)
    expected = tuple(tensors[WEIGHT].shape)
    message = f"{path}: tensor {WEIGHT!r} has shape (3, 4), expected {expected}; {foreign}"
    assert_told(mtl("evaluate", str(model)), message)
    save_file({**tensors, "x": torch.zeros(1)}, path)
    message = f"{path}: tensor 'x' is not part of the model; {foreign}"
    assert_told(mtl("evaluate", str(model)), message)


FILES = ["run.yaml", "model.safetensors", "vocabulary/words.json", "vocabulary/labels.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing(model: Path, name: str) -> None:
    (model / name).unlink()
    result = mtl("predict", str(model), stdin="Ann")
    assert (result.code, result.out) == (2, "")
    assert name in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", "\0\1"])
def test_a_file_with_other_content(model: Path, name: str, content: str) -> None:
    (model / name).write_text(content)
    result = mtl("predict", str(model), stdin="Ann")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {model}")


def test_a_folder_that_exists_is_left_alone(model: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    message = (
        "continue its training with --resume, choose another folder with --output, or remove it"
    )
    assert_told(mtl("train", "run.yaml"), f"runs/run: exists already; {message}")
    assert {path: path.stat().st_mtime_ns for path in model.rglob("*")} == before


def test_a_folder_with_other_files_is_left_alone(project: Path) -> None:
    before = {path: path.read_bytes() for path in Path("data").iterdir()}
    message = "data: exists already; choose another folder with --output, or remove it"
    assert_told(mtl("train", "run.yaml", "--output", "data"), message)
    first = min(path.name for path in before)
    message = (
        f"data: contains {first}, which does not belong to this run; choose another folder with"
    )
    for seeds in ([], ["seeds=2"]):
        result = mtl("train", "run.yaml", *seeds, "--output", "data", "--resume")
        assert_told(result, f"{message} --output")
    assert {path: path.read_bytes() for path in Path("data").iterdir()} == before


def test_a_run_file_of_the_user_is_not_replaced(project: Path) -> None:
    Path("mine").mkdir()
    text = Path("run.yaml").read_text()
    Path("mine/run.yaml").write_text(f"# Mine.\n{text}")
    result = mtl("train", "mine/run.yaml", "--output", "mine", "--resume")
    assert_told(
        result,
        "mine: contains run.yaml, which does not belong to this run; choose another folder "
        "with --output",
    )
    assert [path.name for path in Path("mine").iterdir()] == ["run.yaml"]


def test_a_file_in_the_place_of_the_folder(project: Path) -> None:
    message = "run.yaml: is a file; choose another folder with --output"
    assert_told(mtl("train", "run.yaml", "--output", "run.yaml"), message)
    result = mtl("train", "run.yaml", "--output", "run.yaml/deeper")
    assert result.err.startswith("error: run.yaml/deeper: cannot be created: ")
    assert result.code == 2


def test_resuming_with_another_run_file(model: Path) -> None:
    message = "was trained with seed = 1, now it is 3; give the same run file and overrides, or"
    result = mtl("train", "run.yaml", "seed=3", "--resume")
    assert_told(result, f"runs/run: {message} train into another --output")


@pytest.mark.parametrize("content", ["{}", "[]", "{"])
def test_resuming_from_a_damaged_state(model: Path, content: str) -> None:
    (model / "checkpoint/previous.json").unlink()
    (model / "checkpoint/state.json").write_text(content)
    result = mtl("train", f"{model}/run.yaml", "--resume")
    assert result.code == 2
    assert result.err.startswith(f"error: {model}/checkpoint/state.json: ")


def test_resuming_without_its_tensors(model: Path) -> None:
    (model / "checkpoint/epoch-24.safetensors").unlink()
    result = mtl("train", f"{model}/run.yaml", "--resume")
    assert result.code == 2
    assert "epoch-24.safetensors: no such file" in result.err


def test_resuming_without_its_state(model: Path) -> None:
    (model / "checkpoint/state.json").unlink()
    result = mtl("train", f"{model}/run.yaml", "--resume")
    assert result.code == 2
    assert result.err.startswith(f"error: {model}/checkpoint/state.json: no such file, although 24")


def test_resuming_on_text_that_has_changed(project: Path) -> None:
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    text = Path("data/train.txt").read_text()
    Path("data/train.txt").write_text(text.replace("Ann", "Una"))
    result = mtl("train", "run.yaml", "training.epochs=2", "--resume")
    fault = "runs/run: was trained with other words; the text has changed since; restore it, or "
    assert_told(result, fault + "train into another folder, without --resume")


def test_resuming_with_more_epochs_is_what_the_folder_says(project: Path) -> None:
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    assert mtl("train", "run.yaml", "training.epochs=2", "--resume").code == 0
    assert "epochs: 2" in Path("runs/run/run.yaml").read_text()


def test_resuming_a_finished_run_whose_model_is_gone(model: Path) -> None:
    (model / "model.safetensors").unlink()
    result = mtl("train", f"{model}/run.yaml", "--output", str(model), "--resume")
    assert result.code == 2
    assert "no model; model.safetensors is gone" in result.err


def test_a_model_that_does_not_fit_into_memory(project: Path) -> None:
    result = mtl("train", "run.yaml", "embedding.words.dim=99999999999")
    assert result.code == 2
    assert "the model cannot be built: " in result.err
    assert not Path("runs").exists()


@pytest.fixture
def unchecked(model: Path) -> Path:
    """Return a copy of the run folder without checksums, as earlier versions wrote it."""
    (model / "checksums.txt").unlink()
    return model


def replace(path: Path, places: list[str | int], value: object) -> None:
    """Replace a value of a JSON file."""
    data = inner = json.loads(path.read_text(encoding="utf-8"))
    for place in places[:-1]:
        inner = inner[place]
    inner[places[-1]] = value
    path.write_text(json.dumps(data), encoding="utf-8")


JSON_VALUES: list[tuple[str, list[str | int]]] = [
    ("characters", ["max_characters"]),
    ("characters", ["characters"]),
    ("characters", ["characters", 0]),
    ("words", ["words"]),
    ("words", ["words", 3]),
    ("words", ["lowercase"]),
    ("words", ["digits"]),
    ("labels", ["ner"]),
    ("labels", ["ner", "type"]),
    ("labels", ["ner", "labels"]),
    ("labels", ["ner", "labels", 0]),
    ("labels", ["ner", "scheme"]),
]
WRONG = [{}, [[]], 1.5, -1, {"a": None}, [1], 10**30, "\ud800", 1e999, float("nan")]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("name", "places"), JSON_VALUES)
def test_a_value_of_another_type(unchecked: Path, name: str, places: list[str | int]) -> None:
    path = unchecked / f"vocabulary/{name}.json"
    original = path.read_text(encoding="utf-8")
    for value in WRONG:
        if places == ["max_characters"] and value == 10**30:
            continue  # a whole number, and no word is longer
        replace(path, places, value)
        result = mtl("predict", str(unchecked), stdin="Ann left.")
        assert (result.code, result.out) == (2, ""), value
        assert result.err.startswith(f"error: {path}: "), result.err
        assert result.err.count("\n") == 1
        path.write_text(original, encoding="utf-8")


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5000, '"\\', "\udc80"])
@pytest.mark.parametrize("name", ["words", "labels"])
def test_content_that_is_not_json(unchecked: Path, name: str, content: str) -> None:
    path = unchecked / f"vocabulary/{name}.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    result = mtl("predict", str(unchecked), stdin="Ann left.")
    assert result.err.startswith(f"error: {path}: ")
    assert (result.code, result.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", ["run.yaml", "vocabulary/words.json", "vocabulary/labels.json"])
@pytest.mark.parametrize("command", ["predict", "evaluate", "train"])
def test_a_file_that_has_changed(model: Path, name: str, command: str) -> None:
    path = model / name
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    resume = (f"{model}/run.yaml", "--output", str(model), "--resume")
    arguments = resume if command == "train" else (str(model),)
    message = "has changed since it was saved; copy the folder again or, if you changed it on"
    expected = f"{path}: {message} purpose, delete its line in {model / 'checksums.txt'}"
    assert_told(mtl(command, *arguments, stdin="Ann"), expected)
    checksums = model / "checksums.txt"
    lines = checksums.read_text(encoding="utf-8").splitlines(keepends=True)
    checksums.write_text("".join(line for line in lines if name not in line), encoding="utf-8")
    assert mtl(command, *arguments, stdin="Ann").code == 0


def test_a_start_from_a_folder_that_has_changed(model: Path) -> None:
    path = model / "vocabulary/words.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    result = mtl("check", "run.yaml", f"trunk.init={model}")
    assert result.code == 2
    assert "words.json: has changed since it was saved" in result.err


def test_weights_that_have_changed(model: Path) -> None:
    path = model / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-2:] = b"\x12\x34"
    path.write_bytes(data)
    message = "its values have changed since they were saved; copy it again, or train again"
    assert_told(mtl("predict", str(model), stdin="Ann"), f"{path}: {message}")


def test_weights_that_are_not_numbers(model: Path) -> None:
    path = model / "model.safetensors"
    tensors = load_file(path)
    tensors[WEIGHT][2, 3] = torch.nan
    save_file(tensors, path)
    message = f"tensor {WEIGHT!r} contains NaN or infinity; copy it again, or train again"
    for command in (("predict", str(model)), ("check", "run.yaml", f"trunk.init={model}")):
        result = mtl(*command, stdin="Ann")
        assert (result.code, result.out) == (2, "")
        assert result.err.endswith(f"{path}: {message}\n")


def test_resuming_writes_the_checksums_anew(project: Path) -> None:
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    before = Path("runs/run/checksums.txt").read_text()
    assert mtl("train", "run.yaml", "training.epochs=2", "--resume").code == 0
    assert Path("runs/run/checksums.txt").read_text() != before
    assert mtl("predict", "runs/run", stdin="Ann left.").code == 0


SIZES = {
    "num_layers: 1": "trunk.num_layers: expected a whole number in [1, 1000]",
    "hidden_size: 16": "trunk.hidden_size: expected whole numbers below 2^48",
    "filters: 8": "embedding.characters.filters: expected whole numbers below 2^48",
}


@pytest.mark.parametrize("text", SIZES)
def test_a_number_beyond_every_size(unchecked: Path, text: str) -> None:
    path = unchecked / "run.yaml"
    content = path.read_text(encoding="utf-8")
    assert text in content
    path.write_text(content.replace(text, f"{text.split(':')[0]}: {10**30}"), encoding="utf-8")
    result = mtl("predict", str(unchecked), stdin="Ann left.")
    assert (result.code, result.out) == (2, "")
    assert SIZES[text] in result.err


@pytest.mark.parametrize("number", [2**47, 10**12])
def test_a_model_that_no_machine_can_hold(unchecked: Path, number: int) -> None:
    path = unchecked / "run.yaml"
    content = path.read_text(encoding="utf-8").replace("hidden_size: 16", f"hidden_size: {number}")
    path.write_text(content, encoding="utf-8")
    result = mtl("predict", str(unchecked), stdin="Ann left.")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "cannot be built: " in result.err


def test_labels_of_a_task_that_the_run_file_lacks(unchecked: Path) -> None:
    path = unchecked / "vocabulary/labels.json"
    labels = json.loads(path.read_text(encoding="utf-8"))
    replace(path, ["other"], labels["pos"])
    message = "has labels for the head 'other', unknown to run.yaml; train again"
    assert_told(mtl("predict", str(unchecked), stdin="Ann"), f"{unchecked}: {message}")


def test_resuming_without_the_run_file(model: Path) -> None:
    (model / "run.yaml").unlink()
    message = "run.yaml is missing; copy it again, or train into another folder with --output"
    result = mtl("train", "run.yaml", "--output", str(model), "--resume")
    assert_told(result, f"{model}: {message}")
