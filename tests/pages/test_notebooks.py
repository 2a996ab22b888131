"""Results in notebooks: evaluations, predictions, plans, histories and reports."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mtl import api
from mtl.analysis.report.page import report_page
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.experiment.plan import make_plan
from mtl.runs.history import read_history
from mtl.trained_model import TrainedModel
from tests.cli import project as small

TEXT = ["Ann", "met", "<Bob>", "in", "Rome"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("project")
    small.write(folder)
    trained = api.train(folder / "run.yaml", {"training.epochs": 2}, output=folder / "run")
    assert isinstance(trained, TrainedModel)
    return trained


def body(result: object) -> ElementTree.Element:
    """Return the HTML in a notebook without its style; it must be well-formed."""
    found = result._repr_html_()  # type: ignore[attr-defined]
    return ElementTree.fromstring(re.sub(r"<style>.*?</style>", "", found, flags=re.DOTALL))


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(cell.itertext()) for cell in root.iter("td")]


def test_evaluations_show_scores_and_labels(model: TrainedModel) -> None:
    found = model.evaluate("dev", confidence=True)
    cells = texts(body(found))
    assert f"{100 * found.scores()['pos']['accuracy']:.2f}" in cells
    assert set(found.per_label()["mood"]) <= set(cells)


def test_predictions_show_all_words_and_the_labels_of_tokens(model: TrainedModel) -> None:
    (prediction,) = model.annotate([TEXT], ["pos", "ner"])
    found = " ".join(" ".join(body(prediction).itertext()).split())
    pairs = zip(TEXT, prediction.labels["pos"], strict=True)
    assert " ".join(f"{word} {label}" for word, label in pairs) in found
    for span in prediction.spans["ner"]:
        assert f"{span.text} {span.type}" in found


def test_predictions_of_sentences_show_the_text_and_the_label(model: TrainedModel) -> None:
    (prediction,) = model.annotate([TEXT], ["mood"], confidence=True)
    found = " ".join(body(prediction).itertext())
    assert " ".join(TEXT) in found
    assert f"mood: {prediction.labels['mood']} (" in found


def test_plans_show_sizes_and_labels(model: TrainedModel) -> None:
    run = load_config(model.folder.parent / "run.yaml", {})
    corpora = load_corpora(run)
    experiment = prepare(run, corpora)
    plan = make_plan(experiment, corpora, make_trainer(experiment, corpora))
    found = " ".join(body(plan).itertext())
    assert f"{sum(plan.parameters.values()):,}" in found
    assert all(note in found for note in plan.notes)


def test_histories_show_dev_scores(model: TrainedModel) -> None:
    history = read_history(model.folder)
    assert history.dev()["pos"]["accuracy"].shown("fraction") in texts(body(history))


def test_reports_are_shown_in_a_frame(model: TrainedModel) -> None:
    page = report_page([model.folder], ["run"], ["pos"])
    found = page._repr_html_()
    (frame,) = ElementTree.fromstring(f"<div>{found}</div>".replace("85vh;border:0", "")).iter(
        "iframe"
    )
    assert frame.get("srcdoc", "").split() == page.text.split()
    assert Path(model.folder).name in page.text
