"""Every run that shows a sharing or a weighting trains, on a few sentences in place of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.config.run import Run
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from tests.training.runs import epochs_of, sentence, steps_of

CONFIGS = Path(__file__).parents[2] / "configs"
RUNS = [
    *sorted((CONFIGS / "sharing").glob("*.yaml")),
    *sorted((CONFIGS / "weighting").glob("*.yaml")),
    CONFIGS / "ewt_genre_adversary.yaml",
    CONFIGS / "reviews_adversary.yaml",
]
GENRES = ["answers", "email", "newsgroup", "reviews", "weblog"]
SMALL = {
    "embedding": {"words": {"dim": 8, "min_count": 1}, "characters": None, "affixes": None},
    "trunk.hidden_size": 8,
    "training": {"epochs": 4, "patience": None, "average": None, "optimizer": {"lr": 0.02}},
    "training.batch": {"sentences": 4, "max_tokens": None},
}


def written(number: int, corpus: str) -> str:
    """Return a sentence as the files of a corpus have it."""
    made: dict[str, Any] = sentence(number)
    rows = list(zip(made["tokens"], made["pos"], made["ner"], strict=True))
    if corpus.startswith("reviews"):
        return f"{number % 2}\t{' '.join(made['tokens'])}"
    if corpus == "uner":
        return (
            "\n".join(f"{i}\t{word}\t{tag}\t-\t-" for i, (word, _, tag) in enumerate(rows, 1))
            + "\n"
        )
    if corpus == "conll2000":
        return "\n".join(f"{word} {tag} B-{tag}P" for word, tag, _ in rows) + "\n"
    comment = f"# sent_id = {GENRES[number % 5]}-{number}"
    lines = [f"{i}\t{word}\t_\t{tag}" + 6 * "\t_" for i, (word, tag, _) in enumerate(rows, 1)]
    return "\n".join([comment, *lines]) + "\n"


def on_tiny_data(run: Run, folder: Path) -> Run:
    """Return the run with other files for its corpora, of twenty sentences each."""
    corpora = {}
    for name, corpus in run.corpora.items():
        path = folder / f"{name}.txt"
        path.write_text("\n".join(written(n, name) for n in range(20)) + "\n", encoding="utf-8")
        files = {split: [str(path)] for split in ("train", "dev", "test")}
        changes = {"files": files, "splits": {}, "expect": {}}
        corpora[name] = corpus.model_copy(update=changes)
    return run.model_copy(update={"corpora": corpora})


@pytest.mark.sampled(3)
@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_the_run_trains(path: Path, tmp_path: Path) -> None:
    run = on_tiny_data(load_config(path, SMALL, must_exist=False), tmp_path)
    corpora = load_corpora(run)
    trainer = make_trainer(prepare(run, corpora), corpora)
    events = list(trainer.run())
    first, *_, last = epochs_of(iter(events))
    assert set(first.losses) == set(last.losses) == set(run.tasks)
    against = {task for task in run.tasks if task not in trainer.selection.averaged}
    for task in run.tasks.keys() - against:
        assert last.losses[task] < first.losses[task]
    penalties = {name for step in steps_of(iter(events)) for name in step.penalties}
    assert ("adversary" in penalties) == bool(run.sharing.options.get("adversary"))
