"""Rules, transitions of the input, a memm and lists of phrases: trained, evaluated and reloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.errors import ConfigError, MtlError
from mtl.inference.inputs import Sentence
from tests.training.runs import RUN, corpus

WORDS = [["the", "cat", "sat"], ["Ada", "ran"], ["w3"]]
RULES = [{"at_most": 1, "labels": "PER"}]
HEADS: dict[str, dict[str, Any]] = {
    "rules": {"type": "crf", "scheme": "iobes", "rules": RULES},
    "constrained": {"type": "constrained", "rules": RULES},
    "input": {"type": "crf", "transitions": "input", "rank": 2, "constrained": True},
    "memm": {"type": "memm", "scheme": "iobes"},
}


def run(folder: Path, head: dict[str, Any], **embedding: Any) -> dict[str, Any]:
    own = {**RUN, "corpora": {"c": corpus(folder, "c", 12)}}
    own["corpora"]["c"]["files"] = {
        split: str(folder / name) for split, name in own["corpora"]["c"]["files"].items()
    }
    own |= {"tasks": {"ner": {"use": "c/ner", "head": head}}}
    return {**own, "embedding": {**RUN["embedding"], **embedding}}


def trained(folder: Path, config: dict[str, Any]) -> mtl.TrainedModel:
    options = {"training.epochs": 2, "training.device": "cpu"}
    return mtl.train(config, options, output=folder / "run", progress=False)


@pytest.mark.parametrize("name", HEADS)
def test_a_reloaded_model_predicts_alike_and_is_not_exported(tmp_path: Path, name: str) -> None:
    model = trained(tmp_path, run(tmp_path, HEADS[name]))
    assert 0 <= model.evaluate("dev").scores()["ner"]["span_f1"] <= 1
    loaded = mtl.load(tmp_path / "run", device="cpu")
    assert loaded.predict(WORDS) == model.predict(WORDS)
    (first, *_) = loaded.annotate(WORDS, n_best=2)
    assert len(first["ner"].paths) == 2
    given = Sentence.from_words(["Ada", "ran"])
    given.given = {"ner": [["PER"], None]}
    (found,) = loaded.annotate([given])
    assert found["ner"].labels[0] in ("B-PER", "I-PER")
    with pytest.raises(MtlError, match=r"rules on whole sequences|depend on the input"):
        loaded.save_bundle(tmp_path / "model.mtl")
    with pytest.raises(MtlError, match=r"rules on whole sequences|depend on the input"):
        mtl.ensemble([tmp_path / "run", tmp_path / "run"], output=tmp_path / "both")


def test_lists_are_part_of_the_run_folder(tmp_path: Path) -> None:
    path = tmp_path / "people.txt"
    path.write_text("Ada\nthe cat\n", encoding="utf-8")
    config = run(tmp_path, {"type": "crf"}, gazetteers={"lists": {"people": str(path)}})
    model = trained(tmp_path, config)
    path.unlink()
    loaded = mtl.load(tmp_path / "run", device="cpu")
    assert loaded.predict(WORDS) == model.predict(WORDS)
    with pytest.raises(MtlError, match="as transformers and gazetteers do"):
        loaded.save_bundle(tmp_path / "model.mtl")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"type": "crf", "rules": [{"at_most": 1}]}, r"head\.rules: expected \{at_least"),
        ({"type": "crf", "rules": [{"at_most": 1, "labels": "LOC"}]}, "unknown label 'LOC'"),
        ({"type": "crf", "scheme": "iob1", "rules": RULES}, "in iob1, a span may begin with"),
        ({"type": "crf", "rank": 3}, "has no effect unless transitions is input"),
        (
            {"type": "crf", "transitions": "input", "label_smoothing": 0.1},
            "expected constant with label_smoothing",
        ),
        ({"type": "memm", "label_smoothing": 0.1}, "expected 0 in a memm"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, head: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, run(tmp_path, head))


def test_lists_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected at least one list"):
        trained(tmp_path, run(tmp_path, {"type": "crf"}, gazetteers={}))
