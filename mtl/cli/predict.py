"""`mtl predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtl.cli.arguments import DeviceOption, TaskOption, TrustOption, finite, refuse
from mtl.cli.given import refuse_beside_paths
from mtl.cli.predict_input import Input, check_suffix, form_of, is_page, read_input
from mtl.cli.predict_output import Labeller, print_shaded, write_predictions
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.experiment.task_selection import TextUnit
    from mtl.trained_model import TrainedModel


def predict(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The run folder, or a bundle (model.mtl).")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The input; default, and -: standard input."),
    ] = None,
    task: TaskOption = None,
    output_format: Annotated[
        Literal["auto", "conll", "jsonl", "csv", "tsv", "text", "html"],
        typer.Option(
            "--format",
            help="The output format. auto: csv or tsv for a table, text for weights of words, "
            "else conll. With --explain, text shades words by their weights, and html is a page.",
        ),
    ] = "auto",
    input_format: Annotated[
        Literal["auto", "text", "paragraphs", "conll", "jsonl", "csv", "tsv"],
        typer.Option(
            "--input",
            help="The input format. auto: from the file name. text: each line is a text. "
            "paragraphs: texts are separated by blank lines.",
        ),
    ] = "auto",
    unit: Annotated[
        Literal["auto", "sentence", "record"],
        typer.Option(
            help="The unit of text that is labelled: each sentence, or the whole record (line, "
            "paragraph, row or JSON object). auto: as each task was trained."
        ),
    ] = "auto",
    whole: Annotated[bool, typer.Option("--whole", hidden=True)] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Write the probabilities of labels.")
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(
            callback=finite,
            min=0,
            max=1,
            metavar="PROBABILITY",
            help="Leave out answers of a lower confidence; the share of answers is printed at the "
            "end. See mtl calibrate.",
        ),
    ] = None,
    nbest: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=100,
            help="Number of label sequences to write per sentence, with their probabilities.",
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=COLUMN",
            help="Read labels that the words must have from a column of CoNLL, counted from 0, or "
            "a field of JSONL. A|B allows A or B, and _ any label.",
        ),
    ] = None,
    gazetteer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=FILE",
            help="Read a list with a phrase, a tab and a label per line. Words of a listed phrase "
            "can only get its label.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Write the weight of each word for each answer."),
    ] = False,
    method: Annotated[
        Literal["attention", "integrated", "gradient", "occlusion"] | None,
        typer.Option(
            help="With --explain: attention weights, integrated gradients, gradient × input, or "
            "occlusion. Default: attention if a head has it, else integrated."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="With --explain: explain the tags of this word. Default: each span, or each tag "
            "of tasks without spans.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --method integrated: the number of points of the integral. Default: 32.",
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The corpus whose learned vector all tasks read, for models with "
            "trunk.corpus_dim. Default: each task reads the vector of its own corpus.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The output file; default: standard output. Its suffix selects the format, "
            "unless --format is set, and with .gz, compression.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes, each with one thread.")
    ] = 1,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Label raw text, CoNLL, JSONL, CSV or TSV.

    The input may have any length, and may be compressed (.gz). For JSONL and tables, the output
    contains all fields or columns of the input, one object or row per input. A table is read with
    the settings of the training data. A text without words gets no label.

    Raw text is split into words; the output contains the position of each word. If all tasks were
    trained on sentences, the text is also split into sentences. If a task was trained on records,
    such as the rows of a table, each line gets one label, and taggers read it by sentence.

    For tasks on sentence pairs, the input is two sentences per line, separated by a tab; JSONL with
    the field "text_b" or "tokens_b"; or a table.
    """
    if not explain:
        weights = {"--method": method, "--token": token, "--steps": steps}
        refuse(weights, "has no effect without --explain")
    if output_format == "auto" and output is not None:
        if is_page(output):
            output_format = "html"
        else:
            check_suffix(output)
    if folder.is_file():
        from mtl.cli.bundle import predict_bundle

        predict_bundle(
            folder,
            file,
            task,
            {
                "--format": output_format,
                "--input": input_format,
                "--unit": "record" if whole else unit,
                "--output": None if output is None else str(output),
                "--abstain": None if abstain is None else str(abstain),
            },
            {"--confidence": confidence},
            {
                "--explain": explain,
                "--nbest": nbest is not None,
                "--given": bool(given),
                "--gazetteer": bool(gazetteer),
                "--workers": workers > 1,
                "--device": device not in (None, "cpu"),
                "--corpus": corpus is not None,
                f"--format {output_format}": output_format in ("text", "html"),
                "--trust": trust,
            },
        )
        return
    _check_format(output_format, explain, several=workers > 1, output=output)
    if workers > 1:
        refuse({"--corpus": corpus}, "needs one process; leave out --workers")
    model = _load(folder, corpus, device, trust)
    from mtl.cli.formats import writer_of
    from mtl.display.labelling import LabellingProgress
    from mtl.inference.base import CHUNK_OF_MATRICES
    from mtl.inference.cutting import CHUNK

    tasks = model.selection.labelling(task, characters=True)
    text_unit: TextUnit | None = "record" if whole else None if unit == "auto" else unit
    source = None if file is None or str(file) == "-" else file
    progress = LabellingProgress(source, bar=output is not None or not sys.stdout.isatty())
    if given or gazetteer or nbest:
        refuse_beside_paths(bool(given or gazetteer), nbest, confidence, abstain, explain)
    if nbest:
        _check_paths(model, tasks)
    if explain and method is None:
        attends = not model.members and any(map(model.predictor.attention, tasks))
        method = "attention" if attends else "integrated"
    if method is not None and method != "attention":
        refused = {"--confidence": confidence, "--abstain": abstain, "--workers": workers > 1}
        refused |= {"--steps": steps} if method != "integrated" else {}
        refuse(refused, f"has no effect with --method {method}")
        from mtl.cli.explanations import chosen_form, write_explanations
        from mtl.inference.attribution import STEPS

        shown_as = chosen_form(output_format, output)
        texts = read_input(model, source, input_format, tasks, text_unit, progress).sentences
        steps = STEPS if steps is None else steps
        explained = model.explain(
            texts, tasks, method=method, token=token, steps=steps, unit=text_unit
        )
        write_explanations(explained, shown_as, output, f"Explanations of {folder}", progress)
        return
    matrices = False
    if explain:
        refuse({"--token": token, "--steps": steps}, "has no effect with --method attention")
        attending, matrices = _attending(model, task, output_format)
        if output_format == "text":
            task = tasks = attending
    found = read_input(
        model, source, input_format, tasks, text_unit, progress, given or (), gazetteer or ()
    )
    form = _labels_form(output_format, found, output, explain, bool(nbest))
    label = Labeller(model, task, confidence, explain, text_unit, abstain, nbest or 0)
    if form == "text":
        print_shaded(label, found.sentences)
        return
    write_predictions(
        label,
        writer_of(model, form, tasks, confidence, found.table),
        found.sentences,
        progress,
        output,
        interactive=source is None and sys.stdin.isatty(),
        workers=workers,
        size=CHUNK_OF_MATRICES if matrices else CHUNK,
    )


def _check_paths(model: TrainedModel, tasks: Sequence[str]) -> None:
    """Raise BadParameter if no task has label sequences."""
    from mtl.inference.paths import has_paths

    if not any(has_paths(model.predictor.head(task)) for task in tasks):
        message = f"no task has one label per token: {', '.join(tasks)}"
        raise typer.BadParameter(message, param_hint="--nbest")


def _check_format(form: str, explain: bool, *, several: bool, output: Path | None) -> None:
    """Raise BadParameter for a format that the other options do not allow."""
    message = ""
    if form in ("text", "html") and not explain:
        message = f"{form} shows words shaded by weights; add --explain"
    elif form == "text" and (several or output):
        message = "text is for a terminal; leave out --workers and --output"
    if message:
        raise typer.BadParameter(message, param_hint="--format")


def _load(folder: Path, corpus: str | None, device: str | None, trust: bool) -> TrainedModel:
    """Load a model, and let it read the vector of a corpus, if one is named."""
    from mtl.cli.collection import no_collection_at_exit
    from mtl.inference.process import without_collection

    no_collection_at_exit()
    with without_collection():
        from mtl.trained_model import load

        model = load(folder, device=device, trust=trust)
    if corpus is not None:
        for network in model.networks:
            if network.corpora is None:
                raise MtlError(
                    f"{folder}: --corpus has no effect on a model without vectors of corpora; see "
                    "trunk.corpus_dim"
                )
            network.corpora.choose(corpus)
    return model


def _attending(model: TrainedModel, named: list[str] | None, form: str) -> tuple[list[str], bool]:
    """Return the tasks with attention, and whether any of them has matrices of weights.

    Raises:
        BadParameter: The format has no place for attention weights.
        MtlError: A named task has no attention, or the format has no place for matrices.
    """
    if form == "html":
        message = "html has no attention weights; expected conll, jsonl or text"
        raise typer.BadParameter(message, param_hint="--format")
    attending = model.selection.attending(named)
    matrices = [task for task in attending if model.predictor.attention(task) == "matrix"]
    if matrices and form != "jsonl":
        names = ", ".join(matrices)
        raise MtlError(f"{names}: the attention weights are matrices; add --format jsonl")
    return attending, bool(matrices)


def _labels_form(wanted: str, found: Input, output: Path | None, explain: bool, paths: bool) -> str:
    """Return the format in which labels are written.

    Raises:
        BadParameter: The format has no attention weights, or no label sequences.
    """
    form = wanted
    if wanted == "auto":
        form = found.form if found.table and not explain else "conll"
        if output is not None and form_of(output) != "text":
            form = form_of(output)
    message = ""
    if explain and form in ("csv", "tsv"):
        message = "tables have no attention weights; expected conll, jsonl or text"
    elif paths and form in ("csv", "tsv"):
        message = "tables have one label sequence; expected conll or jsonl"
    if message:
        raise typer.BadParameter(message, param_hint="--format")
    return form
