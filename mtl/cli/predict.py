"""`mtl predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from mtl.cli.arguments import DeviceOption, TaskOption, TrustOption, finite
from mtl.cli.given import refuse_beside_paths
from mtl.cli.predict_input import check_suffix, form_of, is_page, read_input
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.cli.formats import LineWriter, TableWriter
    from mtl.display.labelling import LabellingProgress
    from mtl.experiment.task_selection import TextUnit
    from mtl.inference.inputs import Sentence
    from mtl.inference.prediction import Prediction
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
    weights = {"--method": method, "--token": token, "--steps": steps}
    for name, value in weights.items():
        if value is not None and not explain:
            raise typer.BadParameter("has no effect without --explain", param_hint=name)
    if output_format == "auto" and output is not None:
        output_format = "html" if is_page(output) else check_suffix(output)
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
    if output_format in ("text", "html") and not explain:
        message = f"{output_format} shows words shaded by weights; add --explain"
        raise typer.BadParameter(message, param_hint="--format")
    if corpus is not None and workers > 1:
        raise typer.BadParameter("needs one process; leave out --workers", param_hint="--corpus")
    if output_format == "text" and (workers > 1 or output):
        message = "text is for a terminal; leave out --workers and --output"
        raise typer.BadParameter(message, param_hint="--format")
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
    from mtl.display.labelling import LabellingProgress
    from mtl.inference.base import CHUNK_OF_MATRICES
    from mtl.inference.cutting import CHUNK

    tasks = model.selection.labelling(task, characters=True)
    whole_unit: TextUnit | None = "record" if whole else None if unit == "auto" else unit
    source = None if file is None or str(file) == "-" else file
    progress = LabellingProgress(source, bar=output is not None or not sys.stdout.isatty())
    attends = not model.members and any(map(model.predictor.attention, tasks))
    if explain and method is None and not attends:
        method = "integrated"
    if given or gazetteer or nbest:
        refuse_beside_paths(bool(given or gazetteer), nbest, confidence, abstain, explain)
    if explain and method is not None and method != "attention":
        from mtl.cli.explanations import chosen_form, write_explanations
        from mtl.inference.attribution import STEPS

        refused = {
            "--confidence": confidence,
            "--abstain": abstain is not None,
            "--workers": workers > 1,
            "--steps": steps is not None and method != "integrated",
        }
        for name in filter(refused.get, refused):
            message = f"has no effect with --method {method}"
            raise typer.BadParameter(message, param_hint=name)
        form = chosen_form(output_format, output)
        texts = read_input(model, source, input_format, tasks, whole_unit, progress).sentences
        explained = model.explain(
            texts,
            tasks,
            method=method,
            token=token,
            steps=STEPS if steps is None else steps,
            unit=whole_unit,
        )
        write_explanations(explained, form, output, f"Explanations of {folder}", progress)
        return
    for name, value in {"--token": token, "--steps": steps}.items():
        if value is not None:
            message = "has no effect with --method attention"
            raise typer.BadParameter(message, param_hint=name)
    if output_format == "html":
        message = "html has no attention weights; expected conll, jsonl or text"
        raise typer.BadParameter(message, param_hint="--format")
    if explain:
        attending = model.selection.attending(task)
        matrices = [own for own in attending if model.predictor.attention(own) == "matrix"]
        if matrices and output_format != "jsonl":
            names = ", ".join(matrices)
            raise MtlError(f"{names}: the attention weights are matrices; add --format jsonl")
        if output_format == "text":
            task = tasks = attending
    found = read_input(
        model, source, input_format, tasks, whole_unit, progress, given or (), gazetteer or ()
    )
    written: str = output_format
    if output_format == "auto":
        written = found.form if found.table and not explain else "conll"
        if output is not None and form_of(output) != "text":
            written = form_of(output)
    if explain and written in ("csv", "tsv"):
        message = "tables have no attention weights; expected conll, jsonl or text"
        raise typer.BadParameter(message, param_hint="--format")
    if nbest and written in ("csv", "tsv"):
        message = "tables have one label sequence; expected conll or jsonl"
        raise typer.BadParameter(message, param_hint="--format")
    interactive = source is None and sys.stdin.isatty()
    size = CHUNK_OF_MATRICES if explain and matrices else CHUNK
    label = Labeller(model, task, confidence, explain, whole_unit, abstain, nbest or 0)
    if written == "text":
        from mtl.cli.shading import write_text

        notes = _Notes()
        for prediction in label.predictions(found.sentences):
            sys.stdout.write(write_text(prediction))
            notes.add(prediction)
        notes.show()
        return
    from mtl.cli.formats import writer_of

    writer = writer_of(model, written, tasks, confidence, found.table)
    with progress, _opened(output) as out:
        if interactive:  # at a terminal each line is answered at once
            notes = _write(label, writer, found.sentences, progress, out, chunk_size=1)
        elif workers == 1:
            notes = _write(label, writer, found.sentences, progress, out)
        else:
            notes = _write_parallel(label, writer, found.sentences, progress, out, workers, size)
    notes.show()


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Open the output."""
    if output is None:
        yield sys.stdout
        return
    from mtl.files import atomic_text

    with atomic_text(output) as out:
        yield out


@dataclass(frozen=True)
class Labeller:
    """Labels sentences by a model, with the options of the command.

    It is pickled for other processes.

    Args:
        model: The model.
        task: The tasks that were named.
        confidence: Whether to write the probabilities of labels.
        explain: Whether to write attention weights.
        unit: The unit of text that the tasks label.
        abstain: The least confidence of an answer; None: any.
        n_best: The number of label sequences.
    """

    model: TrainedModel
    task: list[str] | None
    confidence: bool
    explain: bool
    unit: TextUnit | None
    abstain: float | None = None
    n_best: int = 0

    def predictions(
        self, sentences: Iterable[Sentence], chunk_size: int | None = None
    ) -> Iterator[Prediction]:
        """Return the predictions for a stream of sentences."""
        return self.model.annotate(
            sentences,
            self.task,
            confidence=self.confidence,
            attention=self.explain,
            unit=self.unit,
            chunk_size=chunk_size,
            abstain=self.abstain,
            n_best=self.n_best,
        )

    def __call__(self, part: _Part) -> _Rows:
        """Return the output for a chunk."""
        found = list(self.predictions(part.chunk))
        text, notes = "".join(map(part.writer.row, found)), _Notes()
        for prediction in found:
            notes.add(prediction)
        return _Rows(text, len(found), _count(part.chunk), part.position, notes)


class _Notes:
    """Counts predictions for the notes after the last one."""

    def __init__(self) -> None:
        from mtl.inference.abstention import Coverage

        self._blank = 0
        self._coverage = Coverage()

    def add(self, prediction: Prediction) -> None:
        """Count a prediction."""
        self._blank += prediction.is_blank and any(map(prediction.lacks_label, prediction.by_task))
        self._coverage.add(prediction)

    def merge(self, other: _Notes) -> None:
        """Add the counts of other predictions."""
        self._blank += other._blank
        self._coverage.merge(other._coverage)

    def show(self) -> None:
        """Print the notes on standard error."""
        if self._blank:
            subject = "text has" if self._blank == 1 else "texts have"
            print(f"note: {self._blank:,} {subject} no words, and so no label", file=sys.stderr)
        for line in self._coverage.lines():
            print(line, file=sys.stderr)


class _Part(NamedTuple):
    """A chunk of sentences, and the position of the input at which it ends."""

    writer: LineWriter | TableWriter
    chunk: list[Sentence]
    position: int | None


class _Rows(NamedTuple):
    """The output for a chunk."""

    text: str
    sentences: int
    tokens: int
    position: int | None
    notes: _Notes


def _count(sentences: Iterable[Sentence]) -> int:
    return sum(len(sentence.example) for sentence in sentences)


def _write(
    label: Labeller,
    writer: LineWriter | TableWriter,
    sentences: Iterator[Sentence],
    progress: LabellingProgress,
    out: IO[str],
    chunk_size: int | None = None,
) -> _Notes:
    """Label sentences in this process, write them, and return their notes."""
    from mtl.cli.formats import show_names
    from mtl.inference.cutting import CHUNK, first_chunk

    predictions = label.predictions(sentences, chunk_size)
    # The names of the output follow from the fields of the first records.
    head = first_chunk(predictions, chunk_size or CHUNK)
    out.write(writer.begin(head))
    show_names(writer)
    notes = _Notes()
    for number, prediction in enumerate(chain(head, predictions), 1):
        out.write(writer.row(prediction))
        notes.add(prediction)
        progress.add(1, len(prediction.sentence.example), progress.position)
        # A file is read when it is complete; to flush a compressed one would change its bytes.
        if out is sys.stdout and (chunk_size == 1 or number % CHUNK == 0):
            out.flush()
    return notes


def _write_parallel(
    label: Labeller,
    writer: LineWriter | TableWriter,
    sentences: Iterator[Sentence],
    progress: LabellingProgress,
    out: IO[str],
    count: int,
    size: int,
) -> _Notes:
    """Label sentences in several processes; write and return the same as `_write`.

    This process labels the first chunk while the others start; for one chunk they do not start.
    """
    from mtl.cli.formats import show_names
    from mtl.data.workers import Workers
    from mtl.inference.cutting import CHUNK, bounded

    def parts() -> Iterator[_Part]:
        # The names of the output follow from the fields of the first records.
        first = next(bounded(sentences, CHUNK), [])
        yield _Part(writer, first, progress.position)
        for chunk in bounded(sentences, size):
            yield _Part(writer, chunk, progress.position)

    rest = parts()
    first = next(rest)
    failed, second = None, None
    try:
        second = next(rest, None)
    except MtlError as error:
        failed = error
    with ExitStack() as stack:
        pool = stack.enter_context(Workers(label, count)) if second else None
        head = list(label.predictions(first.chunk))
        out.write(writer.begin(head))
        show_names(writer)
        out.writelines(map(writer.row, head))
        progress.add(len(head), _count(first.chunk), first.position)
        notes = _Notes()
        for prediction in head:
            notes.add(prediction)
        if pool and second:
            for rows in pool.map(chain([second], rest)):
                out.write(rows.text)
                if out is sys.stdout:
                    out.flush()
                progress.add(rows.sentences, rows.tokens, rows.position)
                notes.merge(rows.notes)
    if failed:
        raise failed
    return notes
