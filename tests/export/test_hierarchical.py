"""A level of a hierarchy is exported with all levels below."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch

from mtl.errors import MtlError
from mtl.experiment import Experiment
from mtl.export.files import export_files
from mtl.text.example import Example
from tests.training.runs import prepared

EXAMPLES = [Example(("Ada", "sat", "up")), Example(("cat",))]


def made(folder: Path, *order: str) -> Experiment:
    tasks = {name: {"use": f"c/{name}"} for name in order}
    sharing = {"type": "hierarchical", "order": [*order], "label_dim": 3}
    experiment, _ = prepared(folder, tasks, sharing=sharing)
    experiment.model.eval()
    return experiment


@pytest.mark.slow
@torch.no_grad()
def test_a_level_without_the_task_below_has_the_scores_of_the_model(tmp_path: Path) -> None:
    experiment, path = made(tmp_path, "pos", "ner"), tmp_path / "m.onnx"
    export_files(experiment.predictor, ["ner"], path, "onnx")
    batch, head = experiment.batcher.batch(EXAMPLES), experiment.model.head("ner")
    expected = head.scores(experiment.model.encode(batch, ["ner"]).hidden["ner"], batch.mask)
    given = {"words": batch.features["words"].numpy(), "mask": batch.mask.numpy()}
    (found,) = onnxruntime.InferenceSession(path).run(["ner"], given)
    torch.testing.assert_close(torch.from_numpy(found)[batch.mask], expected[batch.mask])


@pytest.mark.slow
def test_a_level_upon_a_crf_has_no_onnx_file(tmp_path: Path) -> None:
    experiment, path = made(tmp_path, "ner", "pos"), tmp_path / "m.onnx"
    with pytest.raises(MtlError, match="crf_marginals"):
        export_files(experiment.predictor, ["pos"], path, "onnx")
