"""Facts about a run that its parts may need to check their options."""

from __future__ import annotations

from mtl.config.run import Run
from mtl.data.mixing import MIXING
from mtl.experiment.corpora import reads_pairs, tasks_of
from mtl.experiment.loaders import batch_limits
from mtl.experiment.pretrained import reads_subwords
from mtl.options import RunContext
from mtl.training.processes import current
from mtl.trunks import TRUNKS


def run_context(run: Run) -> RunContext:
    """Return the facts about a run."""
    texts = {name: own.source.text for name, own in run.tasks.items()}
    used = {own.corpus for own in run.tasks.values()}
    limits = {corpus: batch_limits(run, corpus) for corpus in used}
    return RunContext(
        tasks=tuple(run.tasks),
        corpora={corpus: tuple(tasks_of(run, corpus)) for corpus in run.corpora},
        texts={name: text for name, text in texts.items() if text is not None},
        spans=frozenset(name for name, own in run.tasks.items() if own.scheme),
        single=frozenset(
            name
            for name, own in run.tasks.items()
            if any(t.plain_labels for t in own.source.targets)
        ),
        pairs=frozenset(name for name in run.tasks if reads_pairs(run, name)),
        scored=frozenset(scored_tasks(run)),
        reads_subwords=reads_subwords(run),
        starts=TRUNKS.find(run.trunk.type).start_folder(run.trunk.options) is not None,
        chunks={
            name: limits[own.corpus].bptt
            for name, own in run.tasks.items()
            if limits[own.corpus].streams is not None
        },
        epochs=run.training.epochs,
        processes=current().world,
        one_batch=MIXING.find(run.training.mixing.type).mixes_corpora(run.training.mixing.options),
    )


def scored_tasks(run: Run) -> list[str]:
    """Return the tasks whose corpus has a development set."""
    return [
        name for name, task in run.tasks.items() if "dev" in run.corpora[task.corpus].split_names
    ]
