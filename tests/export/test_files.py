"""Exported models give the scores and labels of the model that they are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from numpy.typing import NDArray

from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.experiment import Experiment, load_config, load_corpora, prepare
from mtl.export.files import export_files
from mtl.export.viterbi import viterbi
from mtl.text.example import Example
from mtl.text.spans import convert
from tests.training.runs import RUN, corpus

NER, POS = {"use": "c/ner"}, {"use": "c/pos"}
TASKS = {
    "crf": {**NER, "head": {"scheme": "iobes", "constrained": True}},
    "rules": {**NER, "head": {"type": "constrained", "never": [["O", "B-PER"]]}, "layer": 1},
    "pos": {**POS, "head": {"hidden_size": 4}, "layer": "mix"},
}
TRUNKS: dict[str, dict[str, Any]] = {
    "lstm": {"bidirectional": True, "learned_start": True},
    "gru": {"bidirectional": "interleaved", "connections": "highway"},
    "qrnn": {"bidirectional": True, "pooling": "ifo", "learned_start": True},
    "qrnn_forward": {"bidirectional": False, "window": 1, "pooling": "f", "learned_start": True},
    "qrnn_highway": {"layer_norm": True, "highway": True, "connections": "residual_sum"},
    "conv": {"activation": "maxout"},
    "conv_norm": {"weight_norm": True},
    "conv_gated": {"activation": "gated", "window": 2, "causal": True},
    "qrnn_windows": {"bidirectional": "interleaved", "window": 4, "upper_window": 3},
}
WORDS = {"words": {"dim": 8}}
EMBEDDING = {
    **WORDS,
    "characters": {"type": "lstm", "dim": 4, "hidden_size": 3},
    "ngrams": {"type": "ngrams", "dim": 3},
    "affixes": {"type": "affixes", "dim": 3},
    "subwords": {"type": "subwords", "dim": 3},
}
TEXTS = [["Ada sat", "the unseenword cat ran up a dog the cat", "up", "a dog"], ["Ada"]]
trunks = pytest.mark.parametrize(
    "trunk",
    [name if name == "qrnn" else pytest.param(name, marks=pytest.mark.slow) for name in TRUNKS],
)


def made(
    folder: Path, trunk: str = "lstm", embedding: dict[str, Any] = WORDS, **shape: Any
) -> Experiment:
    """Return a model off its start, so that its scores differ."""
    layers = {"hidden_size": 8, "num_layers": 2, **TRUNKS[trunk], **shape}
    parts = {"embedding": embedding, "trunk": {"type": trunk.split("_")[0], **layers}}
    run = {**RUN, **parts, "corpora": {"c": corpus(folder, "c", 22)}, "tasks": TASKS}
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    config = load_config(folder / "run.yaml")
    experiment = prepare(config, load_corpora(config))
    torch.manual_seed(1)  # not the random numbers that the making of the model left
    with torch.no_grad():
        for parameter in experiment.model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    experiment.model.eval()
    return experiment


def batches(experiment: Experiment) -> Iterator[Batch]:
    for texts in TEXTS:
        yield experiment.batcher.batch([Example(tuple(text.split())) for text in texts])


def emissions(experiment: Experiment, batch: Batch) -> dict[str, NDArray[Any]]:
    model, tasks = experiment.model, list(experiment.run.tasks)
    with torch.no_grad():
        hidden = model.encode(batch, tasks).hidden
        scores = {task: model.head(task).scores(hidden[task], batch.mask) for task in tasks}
    return {task: own.numpy() for task, own in scores.items()}


def fed(batch: Batch, description: Path) -> dict[str, NDArray[Any]]:
    tensors = {**batch.features, "mask": batch.mask}
    inputs = json.loads(description.read_text())["inputs"]
    return {name: tensors[name].numpy() for name in inputs}


def close(found: NDArray[Any], expected: NDArray[Any], batch: Batch, error: float) -> None:
    real = batch.mask.numpy()
    np.testing.assert_allclose(found[real], expected[real], atol=error)


@trunks
def test_an_exported_graph_gives_the_scores_of_the_model(trunk: str, tmp_path: Path) -> None:
    experiment, path = made(tmp_path, trunk), tmp_path / "m.pt2"
    export_files(experiment.predictor, list(TASKS), path, "torch-export")
    program = torch.export.load(path).module()
    for batch in batches(experiment):
        found = program({"words": batch.features["words"]}, batch.mask)
        for task, expected in emissions(experiment, batch).items():
            close(found[task].detach().numpy(), expected, batch, 1e-5)


@trunks
def test_an_onnx_file_gives_the_scores_of_the_model(trunk: str, tmp_path: Path) -> None:
    experiment, path = made(tmp_path, trunk), tmp_path / "m.onnx"
    description = export_files(experiment.predictor, list(TASKS), path, "onnx")
    session = onnxruntime.InferenceSession(path)
    for batch in batches(experiment):
        found = session.run(list(TASKS), fed(batch, description))
        expected = emissions(experiment, batch)
        for task, own in zip(TASKS, found, strict=True):
            close(own, expected[task], batch, 1e-5)


@pytest.mark.slow
def test_all_kinds_of_features_are_read(tmp_path: Path) -> None:
    experiment, path = made(tmp_path, embedding=EMBEDDING), tmp_path / "m.onnx"
    description = export_files(experiment.predictor, ["pos"], path, "onnx")
    session = onnxruntime.InferenceSession(path)
    for batch in batches(experiment):
        given = fed(batch, description)
        assert set(given) == {"types", "mask", *EMBEDDING}
        close(session.run(["pos"], given)[0], emissions(experiment, batch)["pos"], batch, 1e-5)


@pytest.mark.slow
def test_scores_and_description_reproduce_the_labels(tmp_path: Path) -> None:
    experiment, path = made(tmp_path), tmp_path / "m.onnx"
    description = export_files(experiment.predictor, list(TASKS), path, "onnx")
    session = onnxruntime.InferenceSession(path)
    tasks = json.loads(description.read_text())["tasks"]
    for batch in batches(experiment):
        expected = experiment.predictor.predict(batch.examples, list(TASKS))
        scores = session.run(list(TASKS), fed(batch, description))
        for (name, task), own in zip(tasks.items(), scores, strict=True):
            paths = viterbi(own, batch.mask.numpy(), **task.get("steps", {}))
            for row, (example, labels) in enumerate(zip(batch.examples, expected, strict=True)):
                tags = [task["labels"][i] for i in paths[row, : len(example)]]
                scheme = task["scheme"]
                assert tuple(convert(tags, scheme) if scheme else tags) == labels[name]


@pytest.mark.parametrize(
    "trunk", [pytest.param(name, marks=pytest.mark.slow) for name in ("qrnn", "lstm", "conv")]
)
def test_a_quantized_file_is_smaller_and_near(trunk: str, tmp_path: Path) -> None:
    experiment, whole, small = made(tmp_path, trunk, hidden_size=64), tmp_path / "a", tmp_path / "b"
    export_files(experiment.predictor, ["pos"], whole, "onnx")
    description = export_files(experiment.predictor, ["pos"], small, "onnx", "int8")
    assert small.stat().st_size < 0.5 * whole.stat().st_size
    session = onnxruntime.InferenceSession(small)
    for batch in batches(experiment):
        expected = emissions(experiment, batch)["pos"]
        found = session.run(["pos"], fed(batch, description))[0]
        close(found, expected, batch, 0.2 * np.abs(expected).max())


@pytest.mark.slow
def test_nothing_of_the_machine_is_in_the_file(tmp_path: Path) -> None:
    experiment, path = made(tmp_path), tmp_path / "m.onnx"
    export_files(experiment.predictor, ["pos"], path, "onnx")
    assert b".py" not in path.read_bytes()


def test_a_loop_over_tokens_cannot_be_exported(tmp_path: Path) -> None:
    experiment = made(tmp_path, layer_norm=True)
    with pytest.raises(MtlError, match="StepwiseLSTM runs token by token and cannot"):
        export_files(experiment.predictor, ["pos"], tmp_path / "m.pt2", "torch-export")


def test_only_onnx_files_are_quantized(tmp_path: Path) -> None:
    predictor = made(tmp_path).predictor
    with pytest.raises(MtlError, match="torch-export files have weights in float32, not in int8"):
        export_files(predictor, ["pos"], tmp_path / "m.pt2", "torch-export", "int8")


def test_the_description_does_not_take_the_place_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(MtlError, match="choose another"):
        export_files(made(tmp_path).predictor, ["pos"], tmp_path / "m.json", "onnx")
