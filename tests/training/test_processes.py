"""Training in several processes, compared with one process that has the whole batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl.data.batching import dealt
from mtl.sharing import SHARING
from mtl.training.state import restore_training_state, training_state
from mtl.weighting import WEIGHTING
from tests.training.together import ALONE, World, difference, losses, made, start

SHARINGS: list[Any] = [
    *SHARING,
    {"type": "soft", "penalty": "trace"},
    {"type": "sluice", "subspaces": 2, "orthogonality": 0.1},
    {"type": "shared_private", "adversary": 0.1},
    {"type": "hierarchical", "order": ["pos", "ner", "verb"], "successive": 0.1},
]
UNITS: list[dict[str, Any]] = [
    {"unit": "max_tokens"},
    {"unit": "streams"},
    {"unit": "streams", "mixing": "uniform", "weighting": "uncertainty"},
    {"mixing": "proportional", "weighting": "gradnorm"},
    {"accumulate": 2, "weighting": "pcgrad"},
    {"optimizer": {"type": "sgd", "lr": 0.1}},
    {"loss_unit": "max_length"},
]


def test_every_sentence_is_dealt_to_one_process_and_tokens_are_balanced() -> None:
    lengths = np.random.default_rng(1).integers(1, 60, 41)
    for parts in (1, 2, 3, 50):
        found = [dealt(lengths, part, parts) for part in range(parts)]
        assert sorted(np.concatenate(found).tolist()) == list(range(41))
        counts, tokens = [len(own) for own in found], [int(lengths[own].sum()) for own in found]
        assert max(counts) - min(counts) <= 1
        assert max(tokens) - min(tokens) <= lengths.max()


def compared(folder: Path, run: dict[str, Any], steps: int, world: int = 2) -> float:
    expected = losses(made(folder / "alone", ALONE, 4 * world, run), steps)
    found = World(world).run(
        lambda processes: losses(
            made(folder / str(processes.rank), processes, 4, run, world), steps
        )
    )
    assert all(difference(own, found[0]) == 0 for own in found)
    return difference(found[0], expected)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("weighting", ["uncertainty", "pcgrad", "gradnorm"])
def test_two_processes_equal_one_with_twice_the_batch(weighting: str, tmp_path: Path) -> None:
    assert compared(tmp_path, {"weighting": weighting, "double": True}, 4) < 1e-9


@pytest.mark.parametrize("run", UNITS[:2], ids=["tokens", "streams"])
def test_batches_of_tokens_and_of_streams_are_divided(run: dict[str, Any], tmp_path: Path) -> None:
    assert compared(tmp_path, {**run, "double": True}, 4) < 1e-9


@pytest.mark.parametrize("unit", ["sentence", "max_length"])
def test_the_unit_of_the_loss_counts_in_all_processes(unit: str, tmp_path: Path) -> None:
    assert compared(tmp_path, {"loss_unit": unit, "double": True}, 4) < 1e-9


@pytest.mark.slow
def test_real_processes_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    """Each weighting with each sharing for 200 steps, in one pair of processes."""
    weightings = [name for name in WEIGHTING if WEIGHTING.find(name).adds_parts()]
    combined = [{"weighting": w, "sharing": s} for w in weightings for s in SHARINGS]
    runs = [(200, 4, {**run, "double": True}) for run in (*UNITS, *combined)]
    runs += [(200, 4, {**run, "optimizer": {"type": "sgd", "lr": 0.1}}) for run in combined]
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    started = start(2, ["-m", "tests.training.together", str(tmp_path)])
    worst = {}
    for number, (steps, batch, run) in enumerate(runs):
        expected = losses(made(tmp_path / "alone", ALONE, 2 * batch, run), steps)
        assert started[0].stdout.readline().strip() == str(number), started[0].stderr.read()
        found = json.loads((tmp_path / f"found-{number}.json").read_text())
        worst[json.dumps(run)] = difference(found, expected)
    for process in started:
        assert process.wait(60) == 0, process.stderr.read()
    assert max(worst.values()) < 1e-5, {run: own for run, own in worst.items() if own > 1e-5}


def test_evaluation_is_divided_and_merged(tmp_path: Path) -> None:
    run = {"unit": "streams"}
    alone = made(tmp_path / "alone", ALONE, 8, run).evaluate().scores()
    found = World(3).run(
        lambda processes: (
            made(tmp_path / str(processes.rank), processes, 4, run, 2).evaluate().scores()
        )
    )
    for scores in found:
        for task, own in alone.items():
            assert scores[task] == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize("after", [1, 3])
def test_a_run_of_two_processes_continues_with_any_number(after: int, tmp_path: Path) -> None:
    run = {"unit": "streams", "double": True}
    expected = losses(made(tmp_path / "alone", ALONE, 4, run), 2)

    def first(processes: Any) -> Any:
        trainer = made(tmp_path / str(processes.rank), processes, 2, run, 2)
        losses(trainer, 1)
        return training_state(trainer)

    state = World(2).run(first)[0]

    def second(processes: Any) -> Any:
        trainer = made(tmp_path / str(processes.rank), processes, 2, run, 2)
        restore_training_state(trainer, *state)
        # The draws of the first step, as a state is that of the end of an epoch.
        draws = trainer.sampler.epoch(0)
        next(draws)
        return trainer._step(trainer._parts(next(draws), set()), 0).losses

    for found in World(after).run(second) if after > 1 else [second(ALONE)]:
        assert found == pytest.approx(expected[1]["losses"], rel=1e-9)
