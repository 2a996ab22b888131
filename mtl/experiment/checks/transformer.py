"""Checks of a run whose trunk is a transformer."""

from __future__ import annotations

from collections.abc import Iterator

from mtl.config.run import Run
from mtl.experiment.pretrained import MARKS, is_transformer, reads_subwords


def mistakes(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what does not go with the trunk, or with what it reads: key and message."""
    if reads_subwords(run) and run.embedding:
        yield (
            "embedding",
            "a pretrained transformer has its own; set it to {}, or its slots to null",
        )
    if not reads_subwords(run) and not run.embedding:
        yield "embedding", "expected at least one of its slots, such as words: {}"
    if not is_transformer(run):
        return
    for name, task in run.tasks.items():
        if task.source.text not in (None, "same"):
            yield (
                f"tasks.{name}",
                "a transformer has seen the words on both sides of a word, and so the one that a "
                "language model is to give; take another trunk",
            )
    positions = run.trunk.options["positions"]
    limit = positions and positions - MARKS * reads_subwords(run)
    if limit and run.training.max_length > limit:
        yield (
            "training.max_length",
            f"the transformer has room for {limit} words, got {run.training.max_length}",
        )
