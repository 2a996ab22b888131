"""The component of spaCy pipelines, against spaCy itself."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mtl
from mtl.errors import MtlError
from tests.cli import project as small

spacy = pytest.importorskip("spacy", reason="needs mtl[spacy]")
ROOT = Path(__file__).parents[2]
TEXTS = ["Ann saw New Rome. This is great food.", "Bob left.", "", " \n ", "This is  awful food."]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a run folder that no test changes: entities, parts of speech, and moods."""
    folder = tmp_path_factory.mktemp("spacy")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mtl.train("run.yaml", {"training.epochs": 6}, progress=False)
    return str(folder / "runs/run")


@pytest.fixture(scope="module")
def bundle(run: str) -> str:
    """Return a bundle of the same model."""
    pytest.importorskip("mtl_runtime", reason="needs mtl-runtime")
    path = Path(run).with_name("small.mtl")
    mtl.load(run, device="cpu").save_bundle(path)
    return str(path)


def pipeline(run: str | None, **config: Any) -> Any:
    import_module("mtl.bridges.spacy_pipe")
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("mtl", config={"run": run, **config})
    return nlp


@pytest.fixture(scope="module")
def nlp(run: str) -> Any:
    """Return a pipeline that no test changes."""
    return pipeline(run)


def facts(doc: Any) -> list[Any]:
    spans = {
        name: ([(s.label_, s.start, s.end) for s in group], group.attrs["scores"].tolist())
        for name, group in doc.spans.items()
    }
    entities = [(e.label_, e.start, e.end) for e in doc.ents]
    return [[t.tag_ for t in doc], [t.pos_ for t in doc], entities, spans, doc.cats]


def test_the_entry_point_names_the_factory() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    (line,) = config["options.entry_points"]["spacy_factories"].split("\n")[1:]
    name, _, place = line.partition(" = ")
    module, _, function = place.partition(":")
    assert name == "mtl"
    assert callable(getattr(import_module(module), function))


def test_tasks_set_the_attributes_of_their_forms(run: str) -> None:
    nlp = pipeline(run)
    doc = nlp(TEXTS[0])
    model = mtl.load(run)
    words = [[t.text for t in sentence] for sentence in doc.sents]
    alone = list(model.annotate(words, confidence=True))
    tags = [tag for own in alone for tag in own.labels["pos"]]
    assert [t.tag_ or t.pos_ for t in doc] == tags
    starts = [sentence.start for sentence in doc.sents]
    expected = [
        (span.type, start + span.tokens[0], start + span.tokens[1], span.confidence)
        for own, start in zip(alone, starts, strict=True)
        for span in own.spans["ner"]
    ]
    assert expected
    assert [(e.label_, e.start, e.end) for e in doc.ents] == [row[:3] for row in expected]
    assert [(e.label_, e.start, e.end) for e in doc.spans["ner"]] == [row[:3] for row in expected]
    assert doc.spans["ner"].attrs["scores"] == pytest.approx([row[3] for row in expected], rel=1e-5)
    labels, _ = model.probabilities([[t.text for t in doc]], "mood")
    assert list(doc.cats) == labels
    assert sum(doc.cats.values()) == pytest.approx(1)


def test_a_document_of_one_sentence_has_the_categories_of_its_words(run: str) -> None:
    doc = pipeline(run)("This is great food.")
    labels, (row,) = mtl.load(run).probabilities([[t.text for t in doc]], "mood")
    assert doc.cats == pytest.approx(dict(zip(labels, row, strict=True)), rel=1e-5)


def test_a_stream_equals_single_documents(run: str) -> None:
    nlp = pipeline(run)
    alone = [facts(nlp(text)) for text in TEXTS]
    for size in (1, 2, 100):
        for own, doc in zip(alone, nlp.pipe(TEXTS, batch_size=size), strict=True):
            assert [*facts(doc)[:3]] == own[:3]
            assert facts(doc)[4] == pytest.approx(own[4], rel=1e-5)


def test_white_space_has_no_label_and_changes_none(run: str) -> None:
    nlp = pipeline(run, tasks=["ner", "pos"])
    spaced, plain = nlp("Ann  saw \n New Rome."), nlp("Ann saw New Rome.")
    assert [t.text for t in spaced] == ["Ann", " ", "saw", "\n ", "New", "Rome", "."]
    assert all(not (t.tag_ or t.pos_) for t in spaced if t.is_space)
    words = [t for t in spaced if not t.is_space]
    assert [(t.tag_, t.pos_) for t in words] == [(t.tag_, t.pos_) for t in plain]
    assert [e.label_ for e in spaced.ents] == [e.label_ for e in plain.ents]


@given(st.lists(st.sampled_from(["Ann", "saw", "Rome", ".", " ", "\n", "\t\t", "…"]), max_size=12))
def test_tokens_stay_as_spacy_cut_them(nlp: Any, parts: list[str]) -> None:
    text = " ".join(parts)
    before = spacy.blank("en")
    before.add_pipe("sentencizer")
    plain, doc = before(text), nlp(text)
    assert [(t.text, t.idx, t.whitespace_) for t in doc] == [
        (t.text, t.idx, t.whitespace_) for t in plain
    ]
    assert [s.start for s in doc.sents] == [s.start for s in plain.sents]
    assert all(bool(t.tag_ or t.pos_) != t.is_space for t in doc)


def test_sentences_are_those_of_spacy(run: str) -> None:
    nlp = pipeline(run, tasks=["pos", "ner"])
    whole = spacy.blank("en")
    whole.add_pipe("mtl", config={"run": run, "tasks": ["pos", "ner"]})
    first, second = "Ann saw New Rome.", "Bob left."
    (joined,) = nlp.pipe([f"{first} {second}"])
    alone = [tag for text in (first, second) for tag in facts(nlp(text))[0]]
    assert facts(joined)[0] == alone
    words = [[t.text for t in joined]]
    together = mtl.load(run).predict(words, ["pos"])["pos"][0]
    assert [t.tag_ or t.pos_ for t in whole(f"{first} {second}")] == together


def test_a_saved_pipeline_needs_no_run_folder(run: str, tmp_path: Path) -> None:
    own = tmp_path / "run"
    shutil.copytree(run, own)
    nlp = pipeline(str(own))
    expected = facts(nlp(TEXTS[0]))
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(own)
    assert facts(spacy.load(tmp_path / "pipeline")(TEXTS[0])) == expected
    assert not list((tmp_path / "pipeline").rglob("checkpoint"))


def test_a_pipeline_as_bytes_needs_no_run_folder(run: str) -> None:
    nlp = pipeline(run)
    other = pipeline(None).from_bytes(nlp.to_bytes())
    assert facts(other(TEXTS[0])) == facts(nlp(TEXTS[0]))
    assert other.get_pipe("mtl").to_bytes() == nlp.get_pipe("mtl").to_bytes()


def test_the_component_has_no_attribute_model() -> None:
    """spaCy asks each component for the attribute `model` in an order that changes per process."""
    component = pipeline(None).get_pipe("mtl")
    assert not hasattr(type(component), "model")


def test_documents_and_components_can_be_stored(run: str) -> None:
    nlp = pipeline(run)
    doc = nlp(TEXTS[0])
    again = spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert facts(again) == facts(doc)
    component = pickle.loads(pickle.dumps(nlp.get_pipe("mtl")))
    alone = nlp.get_pipe("mtl")(nlp.make_doc(TEXTS[1]))
    assert facts(component(nlp.make_doc(TEXTS[1])))[:3] == facts(alone)[:3]


def test_several_processes_set_the_same(run: str) -> None:
    nlp = pipeline(run)
    docs = nlp.pipe(TEXTS * 2, n_process=2, batch_size=3)
    for doc, text in zip(docs, TEXTS * 2, strict=True):
        assert facts(doc)[:3] == facts(nlp(text))[:3]


def test_places_can_be_chosen(run: str) -> None:
    doc = pipeline(run, tasks=["ner"], assign={"ner": "spans"})(TEXTS[0])
    assert not doc.ents
    assert np.all(doc.spans["ner"].attrs["scores"] > 0)
    assert not any(t.tag_ or t.pos_ for t in doc)
    assert not doc.cats


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tasks": ["nerr"]}, "no task 'nerr'; did you mean 'ner'"),
        ({"assign": {"nerr": "ents"}}, "no task 'nerr'; did you mean 'ner'"),
        ({"assign": {"ner": "ent"}}, "ner: 'ent'; did you mean 'ents'"),
        ({"assign": {"ner": "cats"}}, "ner: expected ents or spans, got 'cats'"),
        ({"assign": {"mood": "tag"}}, "mood: expected cats, got 'tag'"),
    ],
)
def test_mistakes_are_named_at_once(run: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(MtlError, match=message):
        pipeline(run, **config)


def test_a_missing_run_is_named_by_the_first_document() -> None:
    with pytest.raises(MtlError, match="expected a run"):
        pipeline(None)("Ann")
    with pytest.raises(MtlError, match="nowhere"):
        pipeline("runs/nowhere")("Ann")


def test_no_document_is_lost_by_the_size_of_a_batch(run: str) -> None:
    nlp = pipeline(run)
    pipe = nlp.get_pipe("mtl")
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"expected a size of at least 1, got {size}"):
            [*pipe.pipe([nlp.make_doc("Ann left.")], batch_size=size)]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (b"nonsense", "mtl: not the result of to_bytes"),
        ({}, "not the files of a model"),
        (["run.yaml"], "not the files of a model"),
        ({"run.yaml": b"", "../../outside": b"x"}, "outside' is not a file of a model"),
        ({"run.yaml": b"", "/outside": b"x"}, "outside' is not a file of a model"),
        ({"run.yaml": "text"}, "'run.yaml' is not a file of a model"),
        ({"model.mtl": 1}, r"'model\.mtl' is not a file of a model"),
    ],
)
def test_bytes_of_others_write_nothing_elsewhere(tmp_path: Path, files: Any, told: str) -> None:
    import srsly

    data = files if isinstance(files, bytes) else srsly.msgpack_dumps(files)
    with pytest.raises(MtlError, match=told):
        pipeline(None).get_pipe("mtl").from_bytes(data)


def test_a_model_in_the_place_of_another_is_read_alone(run: str, tmp_path: Path) -> None:
    nlp = pipeline(run)
    place = tmp_path / "pipe"
    nlp.to_disk(place)
    for name in ("ensemble.json", "calibration.json", "checksums.txt"):
        if not (Path(run) / name).exists():
            (place / "mtl" / name).write_text("of an earlier model")
    nlp.to_disk(place)
    assert facts(spacy.load(place)(TEXTS[0])) == facts(nlp(TEXTS[0]))


def assert_close(found: list[Any], expected: list[Any]) -> None:
    """Compare the facts of a bundle with those of its run folder."""
    assert found[:3] == expected[:3]
    assert found[4] == pytest.approx(expected[4], rel=1e-4)
    for task, (spans, scores) in expected[3].items():
        assert found[3][task][0] == spans
        assert found[3][task][1] == pytest.approx(scores, rel=1e-4)


@pytest.mark.parametrize("tasks", [None, ["ner"], ["mood", "pos"]])
def test_a_bundle_sets_the_same_as_its_run_folder(run: str, bundle: str, tasks: Any) -> None:
    other, own = pipeline(run, tasks=tasks), pipeline(bundle, tasks=tasks)
    assert own.get_pipe("mtl").places == other.get_pipe("mtl").places
    docs = list(own.pipe(TEXTS))
    assert any(doc.ents or doc.cats for doc in docs)
    for doc, text in zip(docs, TEXTS, strict=True):
        assert_close(facts(doc), facts(other(text)))


def test_a_saved_pipeline_needs_no_bundle(bundle: str, run: str, tmp_path: Path) -> None:
    own = tmp_path / "own.mtl"
    shutil.copy(bundle, own)
    nlp = pipeline(str(own))
    expected, content = facts(nlp(TEXTS[0])), nlp.to_bytes()
    nlp_bytes = nlp.get_pipe("mtl").to_bytes()
    place = tmp_path / "pipeline"
    pipeline(run).to_disk(place)  # another model in the same place
    nlp.to_disk(place)
    own.unlink()
    assert facts(spacy.load(place)(TEXTS[0])) == expected
    again = pipeline(None).from_bytes(content)
    assert facts(again(TEXTS[0])) == expected
    assert again.get_pipe("mtl").to_bytes() == nlp_bytes
    component = pickle.loads(pickle.dumps(again.get_pipe("mtl")))
    assert facts(component(nlp.make_doc(TEXTS[1])))[:2] == facts(again(TEXTS[1]))[:2]
    pipeline(run).to_disk(place)
    assert_close(facts(spacy.load(place)(TEXTS[0])), expected)
    assert not list(place.rglob("model.mtl"))


def test_a_bundle_needs_no_torch(bundle: str) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import spacy
import mtl.bridges.spacy_pipe
nlp = spacy.blank("en")
nlp.add_pipe("sentencizer")
nlp.add_pipe("mtl", config={{"run": {bundle!r}}})
doc = nlp({TEXTS[0]!r})
print([(token.tag_ or token.pos_) for token in doc])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    doc = pipeline(bundle)(TEXTS[0])
    assert found.stdout.strip() == str([t.tag_ or t.pos_ for t in doc]), found.stderr


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"device": "cuda"}, "device: a bundle runs on the CPU, got 'cuda'"),
        ({"trust": True}, "trust: a bundle imports no modules"),
        ({"tasks": ["nerr"]}, "no task 'nerr'; did you mean 'ner'"),
    ],
)
def test_options_that_a_bundle_lacks(bundle: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(MtlError, match=message):
        pipeline(bundle, **config)


def test_a_damaged_bundle(tmp_path: Path, bundle: str) -> None:
    damaged = tmp_path / "model.mtl"
    damaged.write_bytes(Path(bundle).read_bytes()[:-9])
    with pytest.raises(MtlError, match="damaged"):
        pipeline(str(damaged))
