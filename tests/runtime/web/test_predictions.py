"""Models in JavaScript label texts as the runtime for Python does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import mtl_runtime
import pytest
from mtl_runtime.operators import OPERATORS

import mtl
from mtl.export.bundle import TaskForm, export_bundle
from tests.runtime import models
from tests.runtime.built import kernels
from tests.runtime.test_graph import FACTORED, STEPWISE, TRANSFORMERS
from tests.runtime.web.node import JavaScriptError, Node, close, in_javascript

kernels()
TEXTS: list[Any] = [
    "Ann Smith left New York. The cat sat on a mat!",
    "",
    ["walking", "in", "1984"],
    [],
    "naïve 🙂 cats in Rome. " * 9,
    "Rome",
]
NAMES = {"splitSentences": "split_sentences"}
"""Option in JavaScript to its name in Python."""
ALL = {
    name: options
    for name, options in models.variants()
    if name not in FACTORED | STEPWISE | TRANSFORMERS
}
# One export takes a second. The others are slow tests.
QUICK = {"crf-0-tags", "cnn-0-kind", "gru-8"}
VARIANTS = [
    pytest.param(options, id=name, marks=[] if name in QUICK else pytest.mark.slow)
    for name, options in ALL.items()
]


def exported(options: dict[str, Any], path: Path) -> None:
    """Write a model with random weights."""
    in_torch, pairs = models.predictor(**options), options.get("pairs", False)
    forms = {
        task: TaskForm("sentence" if target.level == "token" else "record", pairs, False)
        for task, target in in_torch.batcher.targets.items()
    }
    export_bundle(in_torch, forms, path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a tagger and a classifier."""
    path = tmp_path_factory.mktemp("web") / "model.mtl"
    exported({}, path)
    return path


@pytest.mark.parametrize("options", VARIANTS)
def test_predictions_are_those_of_python(
    options: dict[str, Any], node: Node, tmp_path: Path
) -> None:
    path = tmp_path / "model.mtl"
    exported(options, path)
    model = mtl_runtime.load(path)
    texts = [(text, "The cat left") for text in TEXTS] if options.get("pairs") else TEXTS
    expected = [own.to_dict() for own in model.annotate(texts, confidence=True)]
    found = node.ask("annotate", path=str(path), sentences=texts, options={"confidence": True})
    assert close(found, list(map(in_javascript, expected)))
    plain = node.ask("predict", path=str(path), sentences=texts)
    assert close(plain, json.loads(json.dumps(model.predict(texts))))


def test_the_quick_variants_exist() -> None:
    assert not QUICK - ALL.keys()


@pytest.mark.parametrize(
    "options",
    [
        {"splitSentences": True},
        {"unit": "record"},
        {"unit": "sentence"},
        {"tasks": ["kind"]},
        {"abstain": 0.5},
        {"abstain": 0.4, "confidence": True},
    ],
    ids=str,
)
def test_options_are_those_of_python(options: dict[str, Any], bundle: Path, node: Node) -> None:
    named = {NAMES.get(name, name): value for name, value in options.items()}
    texts = [text for text in TEXTS if text != TEXTS[4]]
    expected = [own.to_dict() for own in mtl_runtime.load(bundle).annotate(texts, **named)]
    found = node.ask("annotate", path=str(bundle), sentences=texts, options=options)
    assert close(found, expected)


def test_texts_may_be_labelled_one_by_one(bundle: Path, node: Node) -> None:
    # In these models with random weights, the padding of a short word beside a longer one counts.
    texts = ["Ann sat", "The cat", "", "the mat and Ann"]
    expected = node.ask("predict", path=str(bundle), sentences=texts)
    found = node.ask("predict", path=str(bundle), sentences=texts, options={"chunkSize": 1})
    assert found == expected
    with pytest.raises(JavaScriptError, match="chunkSize: expected a whole number from 1, got 0"):
        node.ask("predict", path=str(bundle), sentences=texts, options={"chunkSize": 0})


@pytest.mark.parametrize("task", ["tags", "kind"])
def test_probabilities_are_those_of_python(task: str, bundle: Path, node: Node) -> None:
    labels, expected = mtl_runtime.load(bundle).probabilities(TEXTS, task)
    found = node.ask("probabilities", path=str(bundle), sentences=TEXTS, task=task)
    assert found["labels"] == labels
    assert close(found["probabilities"], [own.tolist() for own in expected])


@pytest.mark.parametrize(
    ("sentences", "options"),
    [
        ("Ann", {}),
        (5, {}),
        ([1], {}),
        ([["a", 1]], {}),
        (["a", None], {}),
        ([{"text": "a"}], {}),
        ([], {"tasks": ["tgs"]}),
        ([], {"tasks": ["nothing alike"]}),
        (["a"], {"abstain": 2}),
        (["a"], {"splitSentences": True, "unit": "record"}),
        (["a"], {"unit": "word"}),
    ],
    ids=str,
)
def test_mistakes_have_the_messages_of_python(
    sentences: Any, options: dict[str, Any], bundle: Path, node: Node
) -> None:
    named = {NAMES.get(name, name): value for name, value in options.items()}
    with pytest.raises(mtl_runtime.MtlError) as expected:
        list(mtl_runtime.load(bundle).annotate(sentences, **named))
    with pytest.raises(JavaScriptError) as found:
        node.ask("annotate", path=str(bundle), sentences=sentences, options=options)
    message = str(expected.value)
    message = message.replace("split_sentences=True and unit=", "splitSentences: true and unit: ")
    message = message.replace("'sentence', 'record' or None", "'sentence' or 'record'")
    assert str(found.value) == f"MtlError: {message}"


def test_half_a_character_is_an_error(bundle: Path, node: Node) -> None:
    with pytest.raises(JavaScriptError, match=r"sentences\[0\]: expected text, found an incompl"):
        node.ask("predict", path=str(bundle), sentences=["a\ud800b"])


def test_unknown_options_are_an_error(bundle: Path, node: Node) -> None:
    with pytest.raises(JavaScriptError, match="unknown option 'confidences'; did you mean 'conf"):
        node.ask("annotate", path=str(bundle), sentences=["a"], options={"confidences": True})


@pytest.mark.parametrize("do", ["predict", "annotate"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (None, "expected options, such as {confidence: true}, got None"),
        ({"tasks": "tags"}, "tasks: expected a list of names, got 'tags'"),
        ({"tasks": [1]}, "tasks: expected a list of names, got [1]"),
    ],
)
def test_options_of_other_types_are_errors(
    do: str, options: Any, message: str, bundle: Path, node: Node
) -> None:
    with pytest.raises(JavaScriptError) as found:
        node.ask(do, path=str(bundle), sentences=["a"], options=options)
    assert str(found.value) == f"MtlError: {message}"


def test_every_operator_of_python_exists(node: Node) -> None:
    assert node.ask("operators", names=sorted(OPERATORS)) == []


def test_the_files_are_small(compiled: Path) -> None:
    files = [compiled, *compiled.parent.glob("*.js")]
    assert sum(path.stat().st_size for path in files) <= 400_000


@pytest.mark.data
@pytest.mark.slow
def test_the_pretrained_model_labels_a_test_set_as_in_python(node: Node, tmp_path: Path) -> None:
    path = Path(os.environ.get("MTL_DATA", ""), "ud_english_ewt", "en_ewt-ud-test.conllu")
    if not path.is_file():
        pytest.skip("needs the corpora under $MTL_DATA")
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    assert len(texts) == 2077
    bundle = tmp_path / "english.mtl"
    mtl.load("english").save_bundle(bundle)
    model = mtl_runtime.load(bundle)
    expected = [own.to_dict() for own in model.annotate(texts, confidence=True)]
    found = node.ask("annotate", path=str(bundle), sentences=texts, options={"confidence": True})
    assert close(found, list(map(in_javascript, expected)))
