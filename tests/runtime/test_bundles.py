"""A model exported and loaded without torch labels texts as in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mtl_runtime
import pytest

from mtl.export.bundle import TaskForm, export_bundle
from mtl.inference.inputs import read_sentences
from tests.runtime import models
from tests.runtime.built import kernels
from tests.runtime.test_predictor import same

kernels()
TEXTS = [
    "Ann Smith left New York. The cat sat on a mat!",
    "",
    ["walking", "in", "1984"],
    [],
    "naïve cats in Rome. " * 9,
    "Rome",
]
# Other tests compare the programs of all parts.
COMPARED = {
    "constrained-0-tags",
    "softmax-0-token_sets",
    "pool-0-kind-pairs",
    "pool-0-kinds",
    "attention-0-number",
    "pool-0-soft",
    "qrnn-9",
    "qrnn-11",
    "cross_stitch-1",
    "sluice-0",
    "subwords-0",
    "ngrams-0",
    "pool-attending",
}
QUICK = {"constrained-0-tags", "pool-0-kind-pairs", "attention-0-number", "sluice-0", "ngrams-0"}
VARIANTS = [
    pytest.param(options, id=name, marks=[] if name in QUICK else pytest.mark.slow)
    for name, options in models.variants()
    if name in COMPARED
]


@pytest.mark.parametrize("options", VARIANTS)
def test_predictions_are_those_of_torch(options: dict[str, Any], tmp_path: Path) -> None:
    in_torch = models.predictor(**options)
    targets, pairs = in_torch.batcher.targets, bool(options.get("pairs"))
    forms = {
        task: TaskForm("sentence" if target.level == "token" else "record", pairs, False)
        for task, target in targets.items()
    }
    export_bundle(in_torch, forms, tmp_path / "model.mtl")
    model = mtl_runtime.load(tmp_path / "model.mtl")
    texts: Any = [(text, "The cat left") for text in TEXTS] if pairs else TEXTS
    by_sentence = [] if pairs else [task for task in targets if targets[task].level == "token"]
    read = list(read_sentences(texts, pairs=pairs))
    expected = in_torch.run(read, list(targets), confidence=True, by_sentence=by_sentence)
    found = list(model.annotate(texts, confidence=True))
    assert same([p.to_dict() for p in found], [p.to_dict() for p in expected])
    labels = model.predict(texts)
    assert same(labels, {task: [p.labels[task] for p in found] for task in targets})


def test_a_damaged_description_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.mtl"
    path.write_bytes(b"x" * 100)
    with pytest.raises(mtl_runtime.BundleError, match=r"model\.mtl: "):
        mtl_runtime.load(path)
