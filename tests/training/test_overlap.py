"""Chunks of running text that overlap: words are read again for the state, and have no loss."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.streams import Streams
from mtl.errors import ConfigError
from mtl.experiment import make_trainer
from mtl.training.trainer import Trainer
from tests.training.runs import prepared, steps_of
from tests.training.test_processes import compared
from tests.training.test_resume_within import check
from tests.training.texts import BOTH, NEXT, STILL, language_model, text_corpus, words_of

TRUNKS: list[dict[str, Any]] = [{"type": "lstm"}, {"type": "qrnn"}, {"type": "gru"}]
TASKS = {"next": NEXT}


def made(folder: Path, overlap: int, trunk: dict[str, Any], **training: Any) -> Trainer:
    batch = {"streams": 2, "bptt": 8, "overlap": overlap}
    return make_trainer(*language_model(folder, trunk, TASKS, batch=batch, **training))


@pytest.mark.parametrize("growing", [0, 1.5])
def test_every_word_has_one_label_in_a_pass_and_is_read_again(
    growing: float, tmp_path: Path
) -> None:
    _, corpora = language_model(tmp_path, {"type": "lstm"})
    split = corpora["t"].splits["train"]
    options = {"streams": 3, "bptt": 12, "random_bptt": True, "growing_bptt": growing}
    cut = Streams("t", split, 1, {"next": "next"}, **options, overlap=4)
    plain = Streams("t", split, 1, {"next": "next"}, **options)
    for index in range(cut.size):
        chunks = zip(cut.examples(0, index), plain.examples(0, index), strict=True)
        for ours, theirs in chunks:
            again = len(ours.tokens) - len(theirs.tokens)
            assert ours.tokens[again:] == theirs.tokens
            assert ours.labels["next"] == (*[None] * again, *theirs.labels["next"])
            if theirs.tokens:  # otherwise the last stream has ended
                assert again == min(4, sum(map(int, cut._span(*cut._locate(0, index))[:1])))
    assert len(words_of(split)) > cut.size


@pytest.mark.sampled(3)
@pytest.mark.parametrize("trunk", TRUNKS, ids=str)
def test_losses_are_those_without_overlap_while_weights_do_not_change(
    trunk: dict[str, Any], tmp_path: Path
) -> None:
    """The state at the beginning of each chunk is exact, so only gradients differ."""
    found = []
    for overlap in (0, 3):
        trainer = made(tmp_path, overlap, trunk, **STILL, epochs=2, clip_norm=None)
        found.append([step.losses["next"] for step in steps_of(trainer.run())])
    assert found[1] == pytest.approx(found[0], rel=1e-9)


def test_gradients_reach_back_over_the_words_that_are_read_again(tmp_path: Path) -> None:
    """Against one pass over the text before the chunk, without gradients, and one over it."""
    trainer = made(tmp_path, 3, {"type": "lstm"}, **STILL, clip_norm=None)
    number = 2
    list(islice(trainer.run(), number + 1))
    ours = {
        name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None
    }
    loader, model = trainer.loaders["t"], trainer.model
    assert isinstance(loader, Streams)
    start, end = loader._span(*loader._locate(0, number))
    before = [loader._chunk(b * loader.length, 0, 0, start - 3) for b in range(2)]
    with torch.no_grad():
        state = model.encode(
            trainer.batcher.batch(before), ["next"], model.sharing.initial_state(2)
        )
    chunk = [loader._chunk(b * loader.length, start - 3, start, end) for b in range(2)]
    batch = trainer.batcher.batch(chunk, ["next"])
    model.zero_grad()
    losses = model(batch, state.state).losses["next"]
    (losses.sum() / (2 * (end - start))).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("trunk", ["lstm", "qrnn"])
def test_a_run_resumes_bit_for_bit_within_a_pass(trunk: str, tmp_path: Path) -> None:
    batch = {"streams": 2, "bptt": 12, "overlap": 5, "growing_bptt": 1.5}
    dropping = {"type": trunk, "hidden_size": 8, "dropout": 0.2, "weight_drop": 0.2}
    setup = {"tasks": {"next": {**NEXT, "batch": batch}}, "trunk": dropping, "epochs": 2}
    check(tmp_path, setup, 0.6)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    assert compared(tmp_path, {"unit": "streams", "overlap": 2, "double": True}, 4) < 1e-9


def test_an_overlap_as_long_as_a_chunk_is_refused(tmp_path: Path) -> None:
    batch = {"streams": 2, "bptt": 6, "overlap": 6}
    with pytest.raises(ConfigError, match=r"overlap: expected less than bptt \(6\), got 6"):
        prepared(tmp_path, BOTH, {"t": text_corpus(tmp_path, "t")}, batch=batch)
    with pytest.raises(ConfigError, match="has no effect without `streams`"):
        prepared(tmp_path, {"pos": {"use": "c/pos"}}, batch={"sentences": 4, "overlap": 2})
