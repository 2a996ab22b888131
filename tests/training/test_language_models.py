"""Language models through configuration, data, training, scores and the run folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.errors import ConfigError, DataError
from mtl.experiment import make_trainer
from mtl.experiment.plan import make_plan
from mtl.heads import LanguageModel
from mtl.runs.checkpoint import load_training, load_weights, save_tensors, save_training, weights_of
from mtl.text.vocabulary import PAD
from mtl.training.events import Epoch
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer, TrainingError
from tests.training.runs import corpus, epochs_of, prepared, steps_of, trainer
from tests.training.texts import BOTH, NEXT, STREAMS, text_corpus

OUTPUTS: dict[str, dict[str, Any]] = {
    "tied": {},
    "full": {},
    "adaptive": {"cutoffs": [0.7]},
    "tied_adaptive": {"cutoffs": [0.7]},
    "mos": {},
    "differentiated": {"cutoffs": [0.7]},
    "hierarchical": {"tree": "clustered"},
    "cnn": {},
}
LOSSES = ["importance", "adaptive_importance", "targets", "nce", "self_normalised"]
HEADS = [
    *({"output": output, **options} for output, options in OUTPUTS.items()),
    *({"training_loss": loss} for loss in LOSSES),
    {"output": "cnn", "training_loss": "importance", "samples": 20},
    {"training_loss": "self_normalised", "normalised": 0.5},
    {"output": "hierarchical", "tree": "random"},
]
QUICK = [{"output": "tied"}, {"training_loss": "nce"}]


def texts(folder: Path, **changes: Any) -> dict[str, Any]:
    return {"t": text_corpus(folder, "t", 60, **changes)}


def made(folder: Path, tasks: dict[str, Any] = BOTH, **training: Any) -> Trainer:
    return trainer(folder, tasks, texts(folder), **{**STREAMS, **training})


@pytest.mark.parametrize(
    "options",
    [pytest.param(own, marks=[] if own in QUICK else pytest.mark.slow) for own in HEADS],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_a_model_learns_which_words_call_for_which(options: dict[str, Any], tmp_path: Path) -> None:
    head = {"type": "lm", "dropout": 0.0, **options}
    tasks = {"next": {**NEXT, "head": head}, "previous": {**BOTH["previous"], "head": "next"}}
    first, *_, last = epochs_of(made(tmp_path, tasks, epochs=5).run())
    for task in tasks:
        score = last.dev.scores()[task]["perplexity"]
        assert score < 0.95 * first.dev.scores()[task]["perplexity"]
        assert last.losses[task] < first.losses[task]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "options",
    [{"output": "hierarchical"}, {"output": "cnn"}, {"training_loss": "nce"}, {"ahead": 2}],
    ids=lambda options: "-".join(options),
)
def test_a_saved_model_has_the_same_perplexity(options: dict[str, Any], tmp_path: Path) -> None:
    tasks = {"next": {**NEXT, "head": {"type": "lm", **options}}}
    first = made(tmp_path, tasks, epochs=1)
    *_, last = epochs_of(first.run())
    save_tensors(tmp_path / "model.safetensors", weights_of(first.model))
    again = made(tmp_path, tasks, epochs=1)
    assert again.evaluate().scores() != last.dev.scores()
    load_weights(tmp_path / "model.safetensors", again.model)
    assert again.evaluate().scores() == last.dev.scores()


def stopped(folder: Path, tasks: dict[str, Any], after: int, setup: dict[str, Any]) -> Trainer:
    """Return a trainer that resumes from the files of another one."""
    corpora = {**texts(folder), "c": corpus(folder, "c", 20)}
    first = trainer(folder, tasks, corpora, **setup)
    next(e for e in first.run() if isinstance(e, Epoch) and e.epoch == after)
    save_training(folder, *training_state(first))
    second = trainer(folder, tasks, corpora, **setup)
    restore_training_state(second, *load_training(folder))
    return second


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "kind", ["qrnn", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("lstm", "gru"))]
)
@pytest.mark.parametrize(
    ("mixing", "growing"), [("proportional", 0), ("uniform", 0), ("proportional", 1.5)]
)
def test_streams_are_resumed_bit_for_bit_within_a_pass(
    kind: str, mixing: str, growing: float, tmp_path: Path
) -> None:
    text = {**NEXT, "batch": {"streams": 2, "bptt": 12, "growing_bptt": growing}}
    tasks = {"next": text, "pos": {"use": "c/pos"}}
    trunk = {"type": kind, "hidden_size": 8, "dropout": 0.2, "weight_drop": 0.2}
    setup = {"mixing": mixing, "metric": "pos.accuracy", "average": 0.9, "trunk": trunk}
    corpora = {**texts(tmp_path), "c": corpus(tmp_path, "c", 20)}
    whole = trainer(tmp_path, tasks, corpora, **setup)
    expected = [step.losses for step in steps_of(whole.run()) if step.epoch]
    resumed = stopped(tmp_path, tasks, 0, setup)
    assert resumed.carried["t"]
    assert [step.losses for step in steps_of(resumed.run())] == expected
    state = whole.model.state_dict()
    assert all(torch.equal(state[n], v) for n, v in resumed.model.state_dict().items())


def test_short_chunks_scale_the_learning_rate_of_their_step_only(tmp_path: Path) -> None:
    trainer = made(tmp_path, schedule={"type": "constant", "warmup": 0}, epochs=1)
    loader = trainer.loaders["t"]
    steps = steps_of(trainer.run())
    lengths = [len(loader.examples(0, index)[0]) for index in range(loader.size)]
    assert len(set(lengths)) > 3
    assert [step.lr for step in steps] == pytest.approx([0.02 * n / 6 for n in lengths])


@pytest.mark.parametrize("output", ["tied", "tied_adaptive", "mos"])
def test_tied_weights_are_saved_once_and_shared_again_when_loaded(
    output: str, tmp_path: Path
) -> None:
    tasks = {"next": {**NEXT, "head": {"type": "lm", "output": output}}}
    first, again = (made(tmp_path, tasks).model for _ in range(2))
    names = [n for n in weights_of(first) if weights_of(first)[n].shape == (8, 8)]
    assert [name for name in names if "embedding" in name] == ["embedding.parts.words.table.weight"]
    with torch.no_grad():
        first.embedding.get_submodule("parts.words.table").weight.add_(1)
    save_tensors(tmp_path / "model.safetensors", weights_of(first))
    load_weights(tmp_path / "model.safetensors", again)
    head = again.head("next")
    assert isinstance(head, LanguageModel)
    table = again.embedding.get_submodule("parts.words.table").weight
    assert head.output.embedding is table
    assert torch.equal(table, first.embedding.get_submodule("parts.words.table").weight)


def test_tied_weights_count_once_with_the_embeddings_rate(
    tmp_path: Path,
) -> None:
    tasks = {"next": {**NEXT, "lr": 0.5}}
    experiment, corpora = prepared(tmp_path, tasks, texts(tmp_path), **STREAMS)
    trainer = make_trainer(experiment, corpora)
    plan = make_plan(experiment, corpora, trainer)
    assert sum(plan.parameters.values()) == sum(p.numel() for p in experiment.model.parameters())
    words = experiment.model.embedding.get_submodule("parts.words.table").weight
    rates = {p: group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert rates[words] == 0.02
    assert rates[experiment.model.head("next").output.bias] == 0.5


def test_padding_stays_zero_though_the_output_moves_its_vector(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    list(trainer.run())
    model = trainer.model.eval()
    assert model.embedding.get_submodule("parts.words.table").weight[PAD].any()
    batch = trainer.batcher.batch([*trainer.loaders["t"].split.examples(range(4))])
    assert not batch.mask.all()
    assert not model.embedding(batch.features, batch.mask).vectors[~batch.mask].any()


def test_an_auxiliary_language_model_reads_the_sentences_of_a_tagger(tmp_path: Path) -> None:
    """Rei (2017): the tagged sentences are what the language model learns from, too."""
    made = corpus(tmp_path, "c", 20)
    side = {"head": {"type": "lm"}, "metric": "perplexity"}
    made["tasks"] = {
        **made["tasks"],
        **{name: {"labels": {"text": name}, **side} for name in ("next", "previous")},
    }
    tasks = {name: {"use": f"c/{name}", "weight": 0.1} for name in ("next", "previous")}
    *_, last = trainer(
        tmp_path, {"pos": {"use": "c/pos"}, **tasks}, {"c": made}, metric="pos.accuracy"
    ).run()
    assert set(last.losses) == {"pos", "next", "previous"}
    assert math.isfinite(last.dev.scores()["previous"]["perplexity"])


def test_long_sentences_are_scored_word_by_word_once(tmp_path: Path) -> None:
    short = {"batch": {"sentences": 4}, "max_length": 4, "overlap": 2}
    experiment, corpora = prepared(tmp_path, BOTH, texts(tmp_path), **short)
    found = experiment.evaluate(corpora.values(), "dev").metrics["next"]
    assert found.words == sum(map(len, corpora["t"].splits["dev"]))


def test_a_loss_that_is_no_number_stops_and_says_where(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    with torch.no_grad():
        trainer.model.head("next").output.bias[3] = torch.nan
    with pytest.raises(TrainingError, match=r"no longer finite .* at step 0, learning rate 0\.\d+"):
        list(trainer.run())


def test_a_text_too_short_for_its_streams_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        made(tmp_path, batch={"streams": 40, "bptt": 70})
    words = len((tmp_path / "t-train.txt").read_text().split()) + 60
    assert f"corpus 't': train has {words} words and sentence ends, less than" in str(error.value)


def test_an_empty_text_is_told(tmp_path: Path) -> None:
    written = texts(tmp_path)
    (tmp_path / "t-train.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"t-train\.txt: expected at least one sentence"):
        prepared(tmp_path, BOTH, written, **STREAMS)


def test_a_model_without_probability_left_is_no_best_one(tmp_path: Path) -> None:
    made_wild = made(tmp_path, epoch_steps=1, optimizer={"type": "sgd", "lr": 1e38}, clip_norm=None)
    message = r"no longer finite \(.*inf.*\) at step 1, .*; no model has been saved yet"
    with pytest.raises(TrainingError, match=message):
        list(made_wild.run())
