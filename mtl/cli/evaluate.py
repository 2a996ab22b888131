"""`mtl evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import (
    DeviceOption,
    RunFolderArgument,
    TaskOption,
    TrustOption,
    finite,
    only_corpus,
    refuse_idle,
)
from mtl.cli.reliability import print_answered, print_errors
from mtl.cli.tables import plain_console, print_spread

if TYPE_CHECKING:
    from rich.console import Console

    from mtl.api import TrainedModel
    from mtl.metrics.base import Pair
    from mtl.training.evaluation import Evaluation


def evaluate(
    folder: RunFolderArgument,
    task: TaskOption = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    data: Annotated[
        Path | None,
        typer.Option(help="Score this file, in the format of the corpus, instead of the split."),
    ] = None,
    dynamic: Annotated[
        bool,
        typer.Option("--dynamic", help="Language models learn from the text after scoring it."),
    ] = False,
    lr: Annotated[
        float,
        typer.Option(callback=finite, min=0, max=1e6, help="With --dynamic: the learning rate."),
    ] = 0.002,
    decay: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=0,
            max=1,
            help="With --dynamic: the decay towards the trained weights.",
        ),
    ] = 0.0,
    plain: Annotated[
        bool, typer.Option("--plain", help="With --dynamic: use plain SGD; try --lr 0.1.")
    ] = False,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Language models favour words that followed similar states."),
    ] = False,
    window: Annotated[
        int, typer.Option(min=1, help="With --cache: the number of words in the cache.")
    ] = 2000,
    theta: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=0,
            help="With --cache: sharpness; higher favours the most similar states.",
        ),
    ] = 0.3,
    weight: Annotated[
        float,
        typer.Option(
            callback=finite, min=1e-9, max=1 - 1e-9, help="With --cache: the weight of the cache."
        ),
    ] = 0.1,
    streams: Annotated[
        int, typer.Option(min=1, max=10, help="Language models: the largest number of streams.")
    ] = 10,
    confusion: Annotated[
        bool,
        typer.Option("--confusion", help="Print confusion matrices of labels or span types."),
    ] = False,
    calibration: Annotated[
        bool,
        typer.Option(
            "--calibration",
            help="Compare confidences with the share of right answers. The dev set has fitted "
            "them, the test set is honest.",
        ),
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(
            callback=finite,
            min=0,
            max=1,
            metavar="PROBABILITY",
            help="Score also the answers of at least this confidence alone.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, which includes all scores per label.")
    ] = False,
    device: DeviceOption = None,
    trust: TrustOption = False,
    *,
    context: typer.Context,
) -> None:
    """Evaluate a trained model.

    Prints the scores of each task, with a table of scores per label. For a folder with several
    seeds, prints the mean and the standard deviation of their scores.
    """
    refuse_idle(context, ("lr", "decay", "plain"), "dynamic", dynamic)
    refuse_idle(context, ("window", "theta", "weight"), "cache", cache)
    from mtl import api
    from mtl.metrics.spread import spread
    from mtl.runs.checkpoint import seed_folders
    from mtl.runs.history import spread_to_json
    from mtl.training.cache import Cache
    from mtl.training.dynamic import Dynamic

    def score(own: Path) -> tuple[TrainedModel, Evaluation]:
        model = api.load(own, device=device, trust=trust)
        found = model.evaluate(
            split,
            task,
            data={} if data is None else {only_corpus(model, task): data},
            streams=streams,
            dynamic=Dynamic(lr, decay, plain) if dynamic else None,
            cache=Cache(window, theta, weight) if cache else None,
            confidence=calibration,
            abstain=abstain,
        )
        return model, found

    title = split if data is None else str(data)
    if seeds := seed_folders(folder):
        if calibration or abstain is not None:
            name = "--calibration" if calibration else "--abstain"
            message = f"{folder} has several seeds; name one of them, such as {seeds[0]}"
            raise typer.BadParameter(message, param_hint=name)
        evaluations = [score(own)[1] for own in seeds]
        scores = spread([evaluation.scores() for evaluation in evaluations])
        if as_json:
            typer.echo(json.dumps(spread_to_json(scores), indent=1))
        else:
            print_spread(f"{title}, {len(seeds)} seeds", scores, evaluations[0].units())
        return
    model, found = score(folder)
    for name in model.selection.named(task):
        if name not in found.metrics and not (dynamic or cache):
            typer.echo(f"{name}: not scored, its corpus has no split {split!r}", err=True)
    for name in found.unscored():
        text = f"{name}: not scored, the score is undefined for the labels of {title}"
        typer.echo(text, err=True)
    if calibration or abstain is not None:
        for name in found.metrics:
            if name not in found.reliability:
                typer.echo(f"{name}: has no confidences", err=True)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    _print(plain_console(), title, found, confusion)
    if calibration and found.reliability:
        print_errors(title, found)
    if abstain is not None:
        print_answered(title, found, abstain)


def _print(console: Console, title: str, found: Evaluation, confusion: bool) -> None:
    from mtl.display.tables import print_rows
    from mtl.display.training import score_cells, score_names

    rows = [[name, *score_cells(found, name)] for name in found.metrics]
    print_rows(console, title, ["task", *score_names(found)], rows)
    header = ["label", "precision", "recall", "f1", "support"]
    for name, metric in found.metrics.items():
        if by_label := metric.per_label():
            print_rows(console, f"{name} by label", header, _label_rows(by_label))
        if confusion and (pairs := found.pairs.get(name)):
            print_rows(console, f"{name}: predicted labels in columns", *_confusion_rows(pairs))
    for name, labels in found.unseen.items():
        shown = ", ".join(f"{label} ({count})" for label, count in labels.most_common(10))
        text = f"{name}: labels that do not occur in train, counted as errors: {shown}"
        console.print(text, soft_wrap=True)


def _label_rows(by_label: dict[str, dict[str, float]]) -> list[list[str]]:
    rows = []
    for label, scores in by_label.items():
        cells = [f"{100 * scores[name]:.2f}" for name in ("precision", "recall", "f1")]
        rows.append([label, *cells, f"{scores['support']:,.0f}"])
    return rows


_SHOWN = 8
"""The most labels in a confusion matrix; the others are added up, so that it fits a terminal."""


def _confusion_rows(pairs: Mapping[Pair, int]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the confusion matrix, with the labels of most errors."""
    from mtl.metrics.confusion import confusion_matrix

    names, counts = confusion_matrix(pairs, _SHOWN)
    rows = [[name, *(f"{n:,}" for n in row)] for name, row in zip(names, counts, strict=True)]
    return ["gold", *names], rows
