"""Professor forcing: drawn words, their hidden states, and training with them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.batch import Batch
from mtl.data.streams import Streams
from mtl.errors import ConfigError
from mtl.experiment import make_trainer
from mtl.heads import LanguageModel
from mtl.text.example import Example
from mtl.training.professor import draw_chunks
from mtl.training.trainer import Trainer
from tests.training.runs import prepared, steps_of
from tests.training.test_resume_within import check
from tests.training.texts import BOTH, NEXT, language_model, text_corpus

FORCED = {"professor_forcing": {"weight": 0.5, "hidden_size": 5}}
TASKS = {"next": NEXT}


def made(folder: Path, trunk: dict[str, Any], tasks: dict[str, Any] = TASKS) -> Trainer:
    trainer = make_trainer(*language_model(folder, trunk, tasks, **FORCED, epochs=2))
    assert trainer.professor is not None
    trainer.professor.double()
    return trainer


def chunk(trainer: Trainer) -> tuple[Batch, Any]:
    """Return the first chunk of a run, and the state before it."""
    loader = trainer.loaders["t"]
    assert isinstance(loader, Streams)
    batch = loader.batch(trainer.batcher, 0, 0, ["next"])
    return batch, trainer.model.sharing.initial_state(len(batch.mask))


@pytest.mark.parametrize(
    "trunk",
    [{"type": "lstm"}, {"type": "qrnn"}, {"type": "gru", "bidirectional": False}],
    ids=str,
)
def test_one_pass_over_drawn_words_has_the_states_of_the_draws(
    trunk: dict[str, Any], tmp_path: Path
) -> None:
    trainer = made(tmp_path, trunk)
    batch, state = chunk(trainer)
    model = trainer.model
    drawn = draw_chunks(model, trainer.batcher, "next", batch, state)
    assert drawn.mask.equal(batch.mask)
    first = [example.tokens[0] for example in batch.examples]
    assert [example.tokens[0] for example in drawn.examples] == first
    with model.evaluating(), torch.no_grad():
        whole = model.encode(drawn, ["next"], state).hidden["next"]
        for place in range(drawn.mask.shape[1]):
            words = [Example((example.tokens[place],), {}) for example in drawn.examples]
            found = model.encode(trainer.batcher.batch(words), ["next"], state)
            torch.testing.assert_close(found.hidden["next"][:, 0], whole[:, place])
            state = found.state


def test_words_are_drawn_with_the_probabilities_of_the_model(tmp_path: Path) -> None:
    trainer = made(tmp_path, {"type": "lstm"})
    batch, state = chunk(trainer)
    words = [Example(example.tokens[:2], {}) for example in batch.examples]
    short = trainer.batcher.batch(words, ["next"])
    head = trainer.model.head("next")
    assert isinstance(head, LanguageModel)
    with trainer.model.evaluating(), torch.no_grad():
        states = trainer.model.encode(short, ["next"], state).hidden["next"]
        expected = head.log_probs(states, short.mask)[0, 0].exp()
    torch.manual_seed(1)
    number = 1500
    found = Counter(
        draw_chunks(trainer.model, trainer.batcher, "next", short, state).examples[0].tokens[1]
        for _ in range(number)
    )
    assert "<pad>" not in found
    rest = expected[1:].sum()
    for label, chance in [*zip(head.labels, expected, strict=True)][1:]:
        error = (chance / rest / number) ** 0.5
        assert abs(found[label] / number - chance / rest) < 5 * error + 1e-3


def test_the_loss_of_a_batch_is_the_loss_of_the_discriminator(tmp_path: Path) -> None:
    """Equal random numbers draw equal words."""
    trainer = made(tmp_path, {"type": "lstm"}, {"next": NEXT})
    batch, state = chunk(trainer)
    model, professor = trainer.model.train(), trainer.professor
    assert professor is not None
    hidden = model.encode(batch, ["next"], state).hidden
    torch.manual_seed(7)
    ours = professor(model, trainer.batcher, batch, hidden, state)
    torch.manual_seed(7)
    drawn = draw_chunks(model, trainer.batcher, "next", batch, state)
    states = model.encode(drawn, ["next"], state).hidden["next"]
    expected = professor.discriminators["next"].loss(hidden["next"], states, batch.mask)
    torch.testing.assert_close(ours, expected)


def test_only_tasks_that_predict_the_next_word_have_a_discriminator(tmp_path: Path) -> None:
    trainer = made(tmp_path, {"type": "lstm"}, BOTH)
    assert trainer.professor is not None
    assert list(trainer.professor.discriminators) == ["next"]
    steps = steps_of(islice(trainer.run(), 3))
    assert all(step.penalties["professor"] > 0 for step in steps)


def test_the_discriminator_learns_to_tell_a_model_that_draws_at_random(tmp_path: Path) -> None:
    """The weights of both losses of the model are so small that it hardly changes."""
    options = {
        "professor_forcing": {"weight": 1e-9},
        "batch": {"streams": 8, "bptt": 12, "random_bptt": False},
        "epochs": 20,
        "optimizer": {"type": "sgd", "lr": 0.3, "momentum": 0.9},
    }
    tasks = {"next": {**NEXT, "weight": 1e-9}}
    corpora = {"t": text_corpus(tmp_path, "t")}
    text = ["x x x x x x x x", *["a a a a a a a a"] * 40, "b c d e f g h i"]
    (tmp_path / "t-train.txt").write_text("\n".join(text) + "\n")
    trunk = {"type": "lstm", "hidden_size": 16}
    trainer = make_trainer(*prepared(tmp_path, tasks, corpora, trunk=trunk, **options))
    losses = [step.penalties["professor"] for step in steps_of(trainer.run())]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


@pytest.mark.parametrize("trunk", ["lstm", "qrnn"])
def test_a_run_resumes_bit_for_bit(trunk: str, tmp_path: Path) -> None:
    batch = {"streams": 2, "bptt": 12}
    dropping = {"type": trunk, "hidden_size": 8, "dropout": 0.2, "weight_drop": 0.2}
    tasks = {"next": {**NEXT, "batch": batch}}
    check(tmp_path, {"tasks": tasks, "trunk": dropping, "epochs": 2, **FORCED}, 0.6)


def test_runs_in_which_it_has_no_effect_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.professor_forcing: is for tasks that pred"):
        prepared(tmp_path, {"pos": {"use": "c/pos"}}, **FORCED)
    corpora = {"t": text_corpus(tmp_path, "t")}
    stream = {"batch": {"streams": 2, "bptt": 6}}
    frozen = {"fine_tuning": {"frozen": ["embedding", "trunk"]}}
    with pytest.raises(ConfigError, match=r"professor_forcing: embedding and trunk are frozen"):
        prepared(tmp_path, TASKS, corpora, **FORCED, **stream, **frozen)
    with pytest.raises(ConfigError, match=r"set `batch: \{streams: 20\}`"):
        prepared(tmp_path, {"previous": {"use": "t/previous"}}, corpora, **FORCED, **stream)
