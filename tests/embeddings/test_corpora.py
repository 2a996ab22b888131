"""Vectors of corpora beside the vectors of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.api import train
from mtl.embeddings import CorpusVectors
from mtl.errors import ConfigError, MtlError
from mtl.experiment import make_trainer
from mtl.experiment.plan import make_plan
from mtl.trained_model import load
from tests.cli.command import mtl
from tests.training.runs import RUN, corpus, epochs_of, prepared, steps_of, trainer

TRUNK = {**RUN["trunk"], "corpus_dim": 3}
TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "more": {"use": "d/pos", "head": "pos"}}


def corpora(folder: Path) -> dict[str, Any]:
    return {"c": corpus(folder, "c", 22), "d": corpus(folder, "d", 12, first=40)}


def test_a_corpus_has_a_vector_beside_that_of_each_token() -> None:
    vectors = CorpusVectors({"a": "x", "b": "y", "c": "x"}, 2)
    x, mask = torch.randn(1, 3, 4), torch.tensor([[True, True, False]])
    found = vectors(x, mask, "y")
    assert torch.equal(found[..., :4], x)
    assert torch.equal(found[0, :2, 4:], vectors.vectors[1].detach().repeat(2, 1))
    assert not found[0, 2, 4:].any()
    assert vectors.groups(["a", "b", "c"]) == {"x": ["a", "c"], "y": ["b"]}
    assert vectors.shared
    assert not CorpusVectors({"a": "x", "b": "y"}, 2).shared


def test_tasks_read_the_vector_of_their_corpus_or_of_the_chosen_one() -> None:
    vectors = CorpusVectors({"a": "x", "b": "y"}, 2)
    vectors.choose("y")
    assert vectors.groups(["a", "b"]) == {"y": ["a", "b"]}
    vectors.choose(None)
    assert vectors.groups(["b", "a"]) == {"y": ["b"], "x": ["a"]}
    with pytest.raises(MtlError, match="the model has no corpus 'z'; expected one of: x, y"):
        vectors.choose("z")


def test_the_trunk_reads_the_vector_with_each_token(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, corpora(tmp_path), trunk=TRUNK)
    model, batch = made.model.eval(), made.loaders["d"].batch(made.batcher, 0, 0, ["more"])
    embedded = model.embedding(batch.features, batch.mask)
    for task, name in {"pos": "c", "ner": "c", "more": "d"}.items():
        vector = model.corpora.vectors[model.corpora.names.index(name)] * batch.mask.unsqueeze(2)
        layers, _ = model.sharing.trunk(torch.cat([embedded.vectors, vector], 2), batch.mask)
        found = model.encode(batch, ["more", "pos", "ner"]).hidden
        assert list(found) == ["more", "pos", "ner"]
        torch.testing.assert_close(found[task], layers[-1])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("sharing", ["hard", "cross_stitch", "hierarchical", "ple", "tensor"])
def test_every_sharing_trains_with_it(sharing: str, tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, corpora(tmp_path), trunk=TRUNK, sharing=sharing, epochs=4)
    before = made.model.corpora.vectors.detach().clone()
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]
    assert (made.model.corpora.vectors != before).all()
    assert made.model.corpora.vectors in set(made.model.shared_parameters())


def test_gradients_of_tasks_include_the_vectors(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, corpora(tmp_path), trunk=TRUNK, weighting="pcgrad", epochs=1)
    assert all(step.total > 0 for step in steps_of(made.run()))


def test_the_plan_counts_them(tmp_path: Path) -> None:
    experiment, found = prepared(tmp_path, TASKS, corpora(tmp_path), trunk=TRUNK)
    plan = make_plan(experiment, found, make_trainer(experiment, found))
    assert plan.parameters["corpus vectors"] == 6


def test_one_corpus_has_no_vector(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trunk.corpus_dim: .*the run has one corpus"):
        prepared(tmp_path, {"pos": TASKS["pos"]}, trunk=TRUNK)


def test_a_saved_model_predicts_as_any_corpus(tmp_path: Path) -> None:
    prepared(tmp_path, TASKS, corpora(tmp_path), trunk=TRUNK, epochs=2)  # writes the run file
    folder = tmp_path / "run"
    model = train(tmp_path / "run.yaml", output=folder)
    text = [["Ada", "sat", "up"]]
    own, again = (
        next(iter(found.annotate(text, confidence=True))).by_task
        for found in (model, load(folder, device="cpu"))
    )
    assert again == own
    assert model.predict(text) == {t: model.predict(text, tasks=[t])[t] for t in model.tasks}
    for network in model.networks:
        network.corpora.choose("d")
    other = next(iter(model.annotate(text, confidence=True))).by_task
    assert other["more"] == own["more"]
    assert other["pos"].confidence == own["more"].confidence != own["pos"].confidence


def test_the_command_names_a_corpus(tmp_path: Path) -> None:
    prepared(tmp_path, TASKS, corpora(tmp_path), trunk=TRUNK, epochs=1)
    train(tmp_path / "run.yaml", output=tmp_path / "run")
    (tmp_path / "in.txt").write_text("Ada sat up\n")
    command = ["predict", str(tmp_path / "run"), str(tmp_path / "in.txt"), "--corpus"]
    assert mtl(*command, "d").code == 0
    assert "no corpus 'e'; expected one of: c, d" in mtl(*command, "e").err
    assert "needs one process" in mtl(*command, "d", "--workers", "2").err


def test_the_command_refuses_a_corpus_without_vectors(tmp_path: Path) -> None:
    prepared(tmp_path, {"pos": TASKS["pos"]}, epochs=1)
    train(tmp_path / "run.yaml", output=tmp_path / "run")
    result = mtl("predict", str(tmp_path / "run"), "--corpus", "c", stdin="Ada sat\n")
    assert "has no effect on a model without vectors of corpora" in result.err
