"""`mtl check`."""

from __future__ import annotations

import shlex

import typer

from mtl.cli.arguments import OverrideArguments, RunFileArgument, TrustOption, announce


def check(
    run: RunFileArgument, overrides: OverrideArguments = None, trust: TrustOption = False
) -> None:
    """Check a run file and its data.

    Prints the labels with their counts, the plan and the first sentences; trains nothing. If the
    run file has ranges for mtl tune, they are checked and listed, and the plan is for the first
    value of each.
    """
    announce(run)
    from mtl.api import load_transfer_set
    from mtl.display.reading import show_import, show_reading
    from mtl.experiment import load_corpora, make_trainer, prepare
    from mtl.experiment.config import load_search_space
    from mtl.experiment.label_counts import describe_labels
    from mtl.experiment.plan import describe, make_plan

    on_import = show_import if trust else None
    space = load_search_space(run, overrides or [], on_import=on_import)
    config = space.run()
    corpora = load_corpora(config, progress=show_reading)
    transfer = load_transfer_set(config, corpora, on_import, show_reading)
    experiment = prepare(config, corpora, on_import, transfer)
    plan = make_plan(experiment, corpora, make_trainer(experiment, corpora))
    for line in (*describe_labels(plan.labels), *describe(plan)):
        typer.echo(line)
    for name, corpus in corpora.items():
        example = corpus.splits["train"][0]
        typer.echo(f"\nfirst sentence of {name}:")
        for text in example.texts:
            typer.echo(f"  tokens: {' '.join(text[:20])}")
        for task, labels in example.labels.items():
            target = experiment.batcher.targets[task]
            gold = target.comparable(labels)
            gold = labels if gold is None else gold
            typer.echo(f"  {task}: {target.text(gold[:20] if isinstance(gold, tuple) else gold)}")
    if space.ranges:
        typer.echo("\nranges to search (the plan above is for the first value of each):")
        for path, own in space.ranges.items():
            typer.echo(f"  {path}: {own}")
        typer.echo(f"\n{run}: no errors; search with mtl tune")
        return
    command = shlex.join(["mtl", "train", str(run), *(overrides or [])])
    typer.echo(f"\n{run}: no errors; next: {command}{' --trust' if trust else ''}")
