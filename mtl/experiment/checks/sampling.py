"""Checks of options that change which sentences a pass over a corpus contains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mtl.config.run import LENGTH, Run
from mtl.errors import did_you_mean
from mtl.experiment.build import target_of
from mtl.experiment.context import run_context
from mtl.experiment.corpora import reads_pairs, tasks_of
from mtl.experiment.loaders import batch_limits
from mtl.targets import SentenceLabelTarget
from mtl.training.processes import current


def mistakes(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the errors in the curriculum and in balanced classes: key and message."""
    yield from _curriculum(run)
    yield from _one_batch(run)
    for corpus in run.corpora:
        balanced = [task for task in tasks_of(run, corpus) if run.tasks[task].class_balance]
        for task in balanced:
            path = f"tasks.{task}.class_balance"
            if not issubclass(target_of(run, task), SentenceLabelTarget):
                yield path, "expects one label per sentence; leave it out"
            elif task != balanced[0]:
                yield (
                    path,
                    f"the sentences of {corpus!r} are drawn by the labels of {balanced[0]!r} "
                    "already; leave one of the two out",
                )
            elif corpus in ordered(run):
                yield (
                    path,
                    "the curriculum draws these sentences already; leave one of the two out",
                )
            elif batch_limits(run, corpus).max_tokens is not None:
                yield path, _needs_sentences(corpus)


def _one_batch(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the errors of parts that cannot read the sentences of several corpora together."""
    if not run_context(run).one_batch:
        return
    path = "training.mixing"
    if len(run.corpora) < 2:
        yield path, "one_batch has no effect with a single corpus; leave it out"
    for corpus in run.corpora:
        if batch_limits(run, corpus).streams is not None:
            yield (
                path,
                f"{corpus!r} is text in streams, which cannot be mixed; leave out one_batch",
            )
    if pairs := [task for task in run.tasks if reads_pairs(run, task)]:
        yield (
            path,
            f"{pairs[0]!r} compares pairs of sentences, which cannot be mixed; leave out one_batch",
        )
    if run.distillation:
        yield (
            path,
            "the outputs of teachers belong to the batches of one corpus; leave out one_batch",
        )
    if current().several:
        yield (
            path,
            "one_batch: processes have different parts of a batch; train in one process",
        )


def _curriculum(run: Run) -> Iterator[tuple[str, str]]:
    if (curriculum := run.training.curriculum) is None:
        return
    by, path = curriculum.difficulty, "training.curriculum.difficulty"
    if by != LENGTH:
        if by not in run.tasks:
            near = did_you_mean(by, [*run.tasks, LENGTH])
            yield path, f"expected length or a task of the run, got {by!r}{near}"
            return
        target = target_of(run, by)
        if (target.level, target.values) != ("sentence", "numbers"):
            yield path, f"expected a task with a number per sentence, got {target.noun}"
            return
    path = "training.curriculum"
    if not (found := ordered(run)):
        yield path, "has no effect: running text is read in order, and the run has no other corpus"
    for corpus in found:
        if batch_limits(run, corpus).max_tokens is not None:
            yield path, _needs_sentences(corpus)


def ordered(run: Run) -> list[str]:
    """Return the corpora whose sentences the curriculum orders."""
    curriculum = run.training.curriculum
    if curriculum is None or curriculum.difficulty not in (LENGTH, *run.tasks):
        return []
    if curriculum.difficulty != LENGTH:
        return [run.tasks[curriculum.difficulty].corpus]
    return [name for name in run.corpora if batch_limits(run, name).streams is None]


def notes(run: Run, passes: Mapping[str, float]) -> Iterator[str]:
    """Yield a note if a curriculum does not reach all sentences.

    Args:
        run: The run.
        passes: Corpus to the number of passes over it in the whole run.
    """
    needed = run.training.curriculum.passes if run.training.curriculum else 0
    for corpus in ordered(run):
        if passes[corpus] <= needed:
            yield (
                f"training.curriculum: the run reads {corpus} {passes[corpus]:.3g} times, and "
                f"draws from all its sentences after {needed}; set fewer `passes`, or more epochs"
            )


def repeats(run: Run) -> bool:
    """Return whether passes repeat some sentences and leave out others."""
    return bool(ordered(run)) or any(task.class_balance for task in run.tasks.values())


def _needs_sentences(corpus: str) -> str:
    return (
        f"the batches of {corpus!r} have max_tokens, so their number would change from pass to "
        "pass; set `batch: {sentences: …}`"
    )
