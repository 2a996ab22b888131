"""Starting a run from the trunk and the embedding of another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.errors import CheckpointError, ConfigError, MtlError
from mtl.experiment import Experiment, load_config, load_corpora, prepare
from mtl.text.vocabulary.base import SPECIAL
from tests.training.texts import LM, text_corpus

TRUNK = {"type": "lstm", "hidden_size": 6, "num_layers": 2}
BASE = {
    "embedding": {
        "words": {"dim": 8},
        "characters": {"type": "cnn", "dim": 4, "filters": 5},
        "ngrams": {"dim": 3},
        "affixes": {"dim": 3},
        "subwords": {"dim": 3, "pieces": 20},
    },
    "trunk": TRUNK,
}
TAGGED = "Zoe\tN\na\tD\nx\tV\n\nb\tD\n\n" * 5


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a language model, trained, and a tagger to start from it."""
    monkeypatch.chdir(tmp_path)
    text = text_corpus(tmp_path, "t")
    head = {"type": "lm", "output": "tied"}
    training = {"epochs": 1, "batch": {"streams": 2, "bptt": 6}, "metric": "next.perplexity"}
    both = {"next": {"use": "t/next", "head": head}, "previous": {"use": "t/previous", "head": LM}}
    write("lm", tasks=both, corpora={"t": text}, training=training)
    (tmp_path / "tagged.txt").write_text(TAGGED)
    task = {"labels": "pos", "head": "softmax", "metric": "accuracy"}
    reader = {"type": "conll", "columns": ["tokens", "pos"]}
    tagged = {"reader": reader, "files": {"train": "tagged.txt"}, "tasks": {"pos": task}}
    write("tagger", tasks={"pos": {"use": "c/pos"}}, corpora={"c": tagged})
    mtl.train("lm.yaml")
    return tmp_path


def write(name: str, **parts: Any) -> None:
    Path(f"{name}.yaml").write_text(yaml.safe_dump({**BASE, **parts}, sort_keys=False))


def started(**changes: Any) -> Experiment:
    run = load_config("tagger.yaml", {"trunk.init": "runs/lm", **changes})
    return prepare(run, load_corpora(run))


def rows(experiment: Experiment, slot: str = "words") -> dict[str, torch.Tensor]:
    """The vector of each word."""
    table = experiment.model.embedding.get_submodule(f"parts.{slot}.table")
    weight = torch.cat([*table.state_dict().values()])
    (strings,) = experiment.vocabularies[slot].tables()
    return dict(zip(strings, weight, strict=True))


def test_words_keep_their_vectors_and_only_words_of_the_text_are_trained(project: Path) -> None:
    before, made = mtl.load("runs/lm").experiment, started()
    after, vocabulary = rows(made), made.vocabularies["words"]
    trained, others = vocabulary.words[: vocabulary.trained], vocabulary.words[vocabulary.trained :]
    known = [word for word in rows(before) if word in {*SPECIAL, "a", "b", "x"}]
    assert trained == [*known, "zoe"]
    assert others == [word for word in rows(before) if word not in known]
    assert others
    assert all(torch.equal(after[word], vector) for word, vector in rows(before).items())
    assert made.model.embedding.part("words").word_table.shape[0] == len(trained)


def test_words_keep_their_vectors_wherever_they_stand(project: Path) -> None:
    with Path("t-train.txt").open("a") as file:
        file.write("B A X\n" * 40)
    cased = {"embedding.words.lowercase": False}
    mtl.train("lm.yaml", cased, output="runs/cased")
    before, after = (
        rows(e)
        for e in (mtl.load("runs/cased").experiment, started(**{"trunk.init": "runs/cased"}))
    )
    assert list(before)[3:6] == ["A", "B", "X"]
    assert [word for word in after if word in {"a", "b", "x"}] == ["a", "b", "x"]
    assert all(torch.equal(after[word], before[word]) for word in "bcxy")


@pytest.mark.parametrize("slot", ["characters", "ngrams", "affixes", "subwords"])
def test_all_that_the_language_model_knows_of_words_stays_known(project: Path, slot: str) -> None:
    before, after = (
        e.vocabularies[slot].tables() for e in (mtl.load("runs/lm").experiment, started())
    )
    assert all(now[: len(then)] == list(then) for then, now in zip(before, after, strict=True))


def test_new_words_stay_as_they_were_made(project: Path) -> None:
    before = mtl.load("runs/lm").experiment
    fresh = load_config("tagger.yaml")
    assert "zoe" not in rows(before)
    found = rows(started())["zoe"]
    scale = rows(prepare(fresh, load_corpora(fresh)))["zoe"].abs().max()
    assert 0 < found.abs().max() <= 2 * scale


@pytest.mark.parametrize("slot", ["characters", "ngrams", "subwords"])
def test_pieces_of_words_go_by_their_strings_too(project: Path, slot: str) -> None:
    before, after = (rows(e, slot) for e in (mtl.load("runs/lm").experiment, started()))
    shared = before.keys() & after.keys()
    assert len(shared) > 5
    assert all(torch.equal(after[string], before[string]) for string in shared)


def test_the_trunk_is_that_of_the_language_model(project: Path) -> None:
    trunks = [e.model.sharing.state_dict() for e in (mtl.load("runs/lm").experiment, started())]
    assert trunks[0].keys() == trunks[1].keys()
    assert all(torch.equal(value, trunks[1][name]) for name, value in trunks[0].items())


def test_every_column_starts_from_it(project: Path) -> None:
    two = {"sharing.type": "cross_stitch", "tasks.again": {"use": "c/pos"}}
    expected = mtl.load("runs/lm").experiment.model.sharing.trunk.state_dict()
    for trunk in started(**two).model.sharing.trunks.values():
        assert all(torch.equal(value, expected[name]) for name, value in trunk.state_dict().items())


def test_it_is_told_what_was_taken(project: Path) -> None:
    experiment = started()
    known = len(rows(mtl.load("runs/lm").experiment))
    (note,) = experiment.notes
    assert note.startswith(f"starts from {project / 'runs/lm'}: trunk; ")
    assert f"words: {known} of {len(rows(experiment))} vectors" in note


def test_a_second_channel_starts_as_the_first(project: Path) -> None:
    run = yaml.safe_load(Path("lm.yaml").read_text())
    run["embedding"] = {"words": {"dim": 8, "multichannel": True}}
    Path("two.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    mtl.train("two.yaml")
    tagger = yaml.safe_load(Path("tagger.yaml").read_text())
    Path("tagger.yaml").write_text(yaml.safe_dump({**tagger, "embedding": run["embedding"]}))
    made = started(**{"trunk.init": "runs/two"})
    before = mtl.load("runs/two").experiment
    both = [e.model.embedding.get_submodule("parts.words.table").fixed for e in (before, made)]
    place = made.vocabularies["words"].encode("a")[0]
    assert torch.equal(both[1][place], both[0][before.vocabularies["words"].encode("a")[0]])


def test_a_tagger_that_started_from_it_trains_resumes_and_loads_without_it(project: Path) -> None:
    mtl.train("tagger.yaml", {"trunk.init": "runs/lm", "training.epochs": 2})
    (project / "runs/lm").rename(project / "gone")
    assert mtl.load("runs/tagger").predict(["a x"])["pos"]


MISFITS = {
    "trunk.hidden_size": (7, "same trunk"),
    "trunk.num_layers": (3, "same trunk"),
    "trunk.bidirectional": ("interleaved", "same trunk"),
    "embedding.words.dim": (9, "same embedding"),
    "embedding.characters.filters": (6, "same embedding"),
}


@pytest.mark.parametrize(("key", "case"), MISFITS.items(), ids=MISFITS)
def test_a_trunk_of_another_shape_is_told_by_its_tensor(
    project: Path, key: str, case: tuple[Any, str]
) -> None:
    value, told = case
    remedy = "or set trunk.init=null to start without trained weights"
    with pytest.raises(CheckpointError, match=rf"runs/lm: .*tensor '\S+'.*; .*{told}.*; {remedy}"):
        started(**{key: value})


def test_a_trunk_of_another_type_is_told(project: Path) -> None:
    message = r"lm: has a trunk of type lstm, here it is gru; give both runs the same trunk"
    with pytest.raises(CheckpointError, match=message):
        started(**{"trunk.type": "gru"})


def test_no_run_folder_is_told(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"trunk\.init: no such file: .*runs/lmm; train it first"):
        started(**{"trunk.init": "runs/lmm"})
    with pytest.raises(CheckpointError, match=r"trunk\.init: .*: not a run folder"):
        started(**{"trunk.init": "runs"})
    (project / "runs/lm/model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no such file; is its folder a finished run\?"):
        started()


def test_an_interleaved_trunk_is_no_language_model_and_why(project: Path) -> None:
    with pytest.raises(MtlError) as error:
        load_config("lm.yaml", {"trunk.bidirectional": "interleaved"})
    assert "from its second layer on, an interleaved trunk has read the word" in str(error.value)


def test_connections_that_its_layers_did_not_have_are_told(project: Path) -> None:
    message = "was trained with trunk.connections=none, here it is residual"
    with pytest.raises(CheckpointError, match=message):
        started(**{"trunk.connections": "residual"})


def test_a_folder_of_several_seeds_is_told_to_name_one(project: Path) -> None:
    mtl.train("lm.yaml", ["seeds=2"], output="both")
    with pytest.raises(
        CheckpointError, match=r"trunk\.init: .*both: contains several seeds; name one"
    ):
        started(**{"trunk.init": "both"})


# ---- heads


def trained_tagger(labels: str = "NDV", **head: Any) -> None:
    """Train a run with the task pos, whose tags are the letters of `labels`."""
    text = "".join(f"w{label}\t{label}\n" for label in labels) + "\n"
    Path("first.txt").write_text(text * 5)
    task = {"labels": "pos", "head": {"type": "crf", **head}, "metric": "accuracy"}
    reader = {"type": "conll", "columns": ["tokens", "pos"]}
    corpus = {"reader": reader, "files": {"train": "first.txt"}, "tasks": {"pos": task}}
    write("first", tasks={"pos": {"use": "c/pos"}}, corpora={"c": corpus}, training={"epochs": 1})
    mtl.train("first.yaml", progress=False)


def with_heads(**changes: Any) -> Experiment:
    options = {"trunk.init": "runs/first", "trunk.init_heads": True, "tasks.pos.head": "crf"}
    return started(**{**options, **changes})


def crf_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in model.heads["pos"].named_parameters()}


@pytest.mark.parametrize("labels", ["DNV", "DNVX", "DV", "DVXYZ"])
def test_a_head_starts_from_the_weights_of_its_labels(project: Path, labels: str) -> None:
    trained_tagger(labels)
    before = crf_weights(mtl.load("runs/first").networks[0])
    own = with_heads()
    found = crf_weights(own.model)
    both = sorted({*"DNV"} & {*labels})
    ours, theirs = (["DNV".index(x) for x in both], [labels.index(x) for x in both])
    for name, value in found.items():
        if "transitions" in name and value.ndim == 2:
            torch.testing.assert_close(
                value[ours][:, ours], before[name][theirs][:, theirs], rtol=0, atol=0
            )
        else:
            torch.testing.assert_close(value[ours], before[name][theirs], rtol=0, atol=0)
    assert own.notes[-1] == f"head pos: {len(both)} of 3 labels"


def test_a_model_with_its_head_predicts_as_before(project: Path) -> None:
    trained_tagger()
    own = with_heads(**{"corpora.c.files.train": "first.txt"})
    before = mtl.load("runs/first").networks[0].state_dict()
    after = own.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("labels", "changes", "reason"),
    [
        ("DNX", {}, ": it has as many labels, but others"),
        ("DNV", {"tasks.pos.head": "softmax"}, ": its type is another one"),
        (
            "DNV",
            {"tasks.pos.head": {"type": "crf", "hidden_size": 4}},
            ": its layers are others",
        ),
        ("DNV", {"tasks": {"tag": {"use": "c/pos"}}}, ": the run has no task of this name"),
    ],
)
def test_a_run_whose_heads_all_stay_new_is_an_error(
    project: Path, labels: str, changes: dict[str, Any], reason: str
) -> None:
    trained_tagger(labels)
    run = {"trunk.init": "runs/first", "trunk.init_heads": True, "tasks.pos.head": "crf"}
    if "tasks" in changes:
        write(
            "tagger", corpora=yaml.safe_load(Path("tagger.yaml").read_text())["corpora"], **changes
        )
        changes, run = {}, {k: v for k, v in run.items() if k != "tasks.pos.head"}
    with pytest.raises(CheckpointError, match="no head can start from it") as error:
        started(**{**run, **changes})
    assert reason in str(error.value)


def test_heads_start_only_with_the_trunk(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"trunk\.init_heads: has no effect unless init is set"):
        load_config("tagger.yaml", {"trunk.init_heads": True})


def test_a_run_of_language_models_has_no_heads_to_start(project: Path) -> None:
    trained_tagger()
    task = {"use": "c/next", "head": "lm"}
    corpora = yaml.safe_load(Path("tagger.yaml").read_text())["corpora"]
    corpora["c"]["tasks"] = {
        "next": {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}
    }
    write("tagger", corpora=corpora, tasks={"next": task})
    with pytest.raises(CheckpointError, match="the run has language models only"):
        started(**{"trunk.init": "runs/first", "trunk.init_heads": True})
