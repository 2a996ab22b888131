"""The Python API: the few lines of the README, and what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mtl
from mtl.api import train_seeds
from mtl.errors import CheckpointError, ConfigError, MtlError
from mtl.runs.checkpoint import seed_folders
from tests.cli import project as small

SENTENCES = ["Ann Smith left New Rome.", ["Bob", "saw", "Oslo", "."], "Eva likes Lima . " * 9]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    small.write(folder)
    return folder


@pytest.fixture(scope="module")
def trained(project: Path) -> mtl.TrainedModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MTL_DATA", raising=False)
        options = {"training.epochs": 12, "training.average": 0.9, "training.max_length": 20}
        return mtl.train(
            project / "run.yaml",
            {**options, "training.overlap": 4},
            output=project / "run",
            progress=False,
        )


def test_predictions_are_a_list_a_task(trained: mtl.TrainedModel) -> None:
    found = trained.predict(SENTENCES[:2])
    assert list(found) == trained.tasks == ["ner", "pos", "mood"]
    assert found["ner"][0] == ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O"]
    assert found["pos"] == [["NNP", "NNP", "VBD", "NNP", "NNP", "."], ["NNP", "VBD", "NNP", "."]]
    assert all(mood in ("glad", "sad") for mood in found["mood"])


def test_a_model_is_the_same_before_and_after_loading(trained: mtl.TrainedModel) -> None:
    loaded = mtl.load(trained.folder, device="cpu")
    assert loaded.predict(SENTENCES) == trained.predict(SENTENCES)
    assert loaded.evaluate("dev").scores() == trained.evaluate("dev").scores()
    before = trained.experiment.model.state_dict()
    after = loaded.experiment.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_model_of_a_gpu_says_the_same_on_a_cpu(project: Path, tmp_path: Path) -> None:
    options = {"training.epochs": 12, "training.device": "cuda"}
    gpu = mtl.train(project / "run.yaml", options, output=tmp_path / "run", progress=False)
    cpu = mtl.load(tmp_path / "run", device="cpu")
    assert cpu.experiment.device.type == "cpu"
    assert cpu.predict(SENTENCES) == gpu.predict(SENTENCES)


def test_sentences_do_not_change_each_other(trained: mtl.TrainedModel) -> None:
    together = trained.predict(SENTENCES)
    for row, sentence in enumerate(SENTENCES):
        alone = trained.predict([sentence])
        assert all(together[task][row] == alone[task][0] for task in trained.tasks)


def test_every_token_of_a_long_text_is_labelled(trained: mtl.TrainedModel) -> None:
    found = trained.predict([["Ann", "left"] * 100], ["pos"])
    assert list(found) == ["pos"]
    assert len(found["pos"][0]) == 200


def test_no_sentences_give_no_labels(trained: mtl.TrainedModel) -> None:
    assert trained.predict([]) == {"ner": [], "pos": [], "mood": []}
    assert trained.predict(["", []], ["ner"]) == {"ner": [[], []]}


def test_evaluation_can_be_of_some_tasks_and_of_other_files(
    trained: mtl.TrainedModel, project: Path
) -> None:
    dev = trained.evaluate("dev", ["pos"])
    same = trained.evaluate(tasks=["pos"], data={"news": project / "data/dev.txt"})
    assert list(dev.metrics) == ["pos"]
    assert same.scores() == dev.scores()


def test_mistakes_are_errors_of_ours(trained: mtl.TrainedModel, project: Path) -> None:
    with pytest.raises(MtlError, match="expected a list of tasks, got 'ner'; put it into a list"):
        trained.predict(["Ann"], "ner")
    with pytest.raises(MtlError, match="the model has no task 'nre'; did you mean 'ner'"):
        trained.predict(["Ann"], ["nre"])
    with pytest.raises(MtlError, match="expected a list of sentences, got one string"):
        trained.predict("Ann left Rome.")
    with pytest.raises(MtlError, match="no corpus 'nws' to score; did you mean 'news'"):
        trained.evaluate(data={"nws": "x"})
    with pytest.raises(CheckpointError, match="not a run folder"):
        mtl.load(project / "data")
    with pytest.raises(ConfigError, match=r"override: training.epochs=0: training.epochs"):
        mtl.train(project / "run.yaml", {"training.epochs": 0})


def test_the_folder_is_named_after_the_run_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    trained = mtl.train("run.yaml", {"training.epochs": 1}, progress=False)
    assert trained.folder == Path("runs/run")


def test_several_seeds_are_trained_by_the_same_call(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes = {"training.epochs": 1, "seeds": 2}
    trained = mtl.train(project / "run.yaml", changes, output=tmp_path / "two", progress=False)
    assert capfd.readouterr() == ("", "")
    assert trained.folder == tmp_path / "two"
    assert [model.folder.name for model in trained.models] == ["seed-1", "seed-2"]
    labels = [model.predict(SENTENCES) for model in trained.models]
    assert [list(own) for own in labels] == [["ner", "pos", "mood"]] * 2


def test_the_former_way_to_train_seeds_warns(project: Path, tmp_path: Path) -> None:
    changes = {"training.epochs": 1, "seeds": 1}
    with pytest.warns(DeprecationWarning, match="train\\(\\) trains runs with several seeds too"):
        folder = train_seeds(project / "run.yaml", changes, output=tmp_path / "x", progress=False)
    assert seed_folders(folder) == [folder / "seed-1"]


def test_importing_mtl_imports_nothing_heavy() -> None:
    code = "import sys, mtl; print({'torch', 'rich', 'yaml', 'datasets'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"set()\n"


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="module 'mtl' has no attribute 'tarin'"):
        mtl.tarin  # noqa: B018
