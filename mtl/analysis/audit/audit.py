"""Examine the labels of a corpus by models that were not trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from mtl.analysis.audit.doubts import Doubt, sentence_doubts, set_doubts, token_doubts
from mtl.analysis.audit.folds import (
    HELD_OUT,
    AuditedCorpus,
    auditable_tasks,
    audited_corpora,
    fold_run,
)
from mtl.analysis.audit.issues import Issue, ranked, write_issues
from mtl.analysis.audit.spans import span_doubts
from mtl.api import train_run
from mtl.display.reading import show_import
from mtl.errors import MtlError
from mtl.experiment import load_config, load_corpora
from mtl.experiment.config import check_run
from mtl.experiment.folder import check_place
from mtl.inference.base import BasePredictor
from mtl.inference.inputs import Sentence
from mtl.inference.probabilities import probabilities
from mtl.options import count as counted
from mtl.text.example import Example, of_tokens
from mtl.trained_model import TrainedModel

ISSUES = "audit.jsonl"
"""The file of the issues in the output folder."""
_CONTENT = r"fold-\d+|audit\..*"
"""Pattern of the names in the output folder."""


@dataclass(frozen=True)
class AuditedTask:
    """The labels of a task that were examined.

    Args:
        labels: The number of labels: of tokens with tags, of sentences otherwise.
        issues: The number of issues.
    """

    labels: int
    issues: int


@dataclass(frozen=True)
class Audit:
    """The suspicious labels of some tasks.

    Args:
        folder: The folder with the runs of all folds and the file of the issues.
        issues: The issues, the most suspicious first.
        tasks: Task to the counts of its labels.
        notes: Notes for the user.
    """

    folder: Path
    issues: Sequence[Issue]
    tasks: dict[str, AuditedTask]
    notes: Sequence[str]


def audit(
    config: Path,
    overrides: Sequence[str] = (),
    *,
    output: Path,
    folds: int = 5,
    tasks: Sequence[str] | None = None,
    resume: bool = False,
    trust: bool = False,
    console: Console | None = None,
) -> Audit:
    """Rank the training labels of a run by their probability under models that have not seen them.

    The training sentences are divided into folds: by document if the files mark documents, and by
    sentence otherwise. For each fold, a model is trained on the other folds, in a run folder of its
    own. It gives the probabilities of the labels of the fold that was held out (Northcutt et al.
    2021). The held-out sentences have no part in the choice of the best epoch.

    Args:
        config: The run file.
        overrides: Changes to the run file, such as `["training.epochs=5"]`.
        output: The folder of all trainings, and of `audit.jsonl`.
        folds: The number of folds. The seed of the run assigns the sentences to them.
        tasks: The tasks whose labels are examined; None: all tasks with labels in files, one per
            token or sentence, or a set of labels per sentence.
        resume: Whether to continue where an earlier call stopped.
        trust: As for `mtl.train`.
        console: Console for the progress; None for standard error.

    Raises:
        MtlError: An error in the configuration or the data; no task can be examined; or the folder
            exists.
    """
    run = load_config(config, overrides, on_import=show_import if trust else None)
    corpora = load_corpora(run)
    wanted = auditable_tasks(run, corpora, tasks)
    audited = audited_corpora(run, wanted, folds)
    runs = [check_run(fold_run(run, audited, folds, number)) for number in range(folds)]
    load_corpora(runs[0])  # too few sentences are an error before training
    check_place(output, resume, _CONTENT)
    console = console or Console(stderr=True)
    notes = [_division(own, folds) for own in audited]
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    for note in notes:
        tell(note)
    issues: list[Issue] = []
    labels = dict.fromkeys(wanted, 0)
    for number, own_run in enumerate(runs, 1):
        tell(f"fold {number} of {folds}")
        folder = output / f"fold-{number}"
        model = train_run(own_run, folder, resume=resume, progress=False, trust=trust)
        held_out = load_corpora(own_run)
        for corpus in audited:
            split = held_out[corpus.name].splits[HELD_OUT]
            examples = split.examples(range(len(split)))
            for task in corpus.tasks:
                own = [place for place, example in enumerate(examples) if task in example.labels]
                gold = [examples[place] for place in own]
                labels[task] += sum(map(partial(_label_count, task), gold))
                found = doubts(model, gold, task)
                rows = split.rows[own].tolist()
                for row, example, in_sentence in zip(rows, gold, found, strict=True):
                    issues += [_issue(corpus, task, row, example, doubt) for doubt in in_sentence]
    issues = ranked(issues)
    write_issues(issues, output / ISSUES)
    counts = {
        task: AuditedTask(labels[task], sum(issue.task == task for issue in issues))
        for task in wanted
    }
    return Audit(output, issues, counts, notes)


def _division(corpus: AuditedCorpus, folds: int) -> str:
    size = counted(len(corpus.places.lines), "sentence")
    if corpus.documents:
        whole = counted(corpus.places.marked, "document")
        return f"{corpus.name}: {size} in {whole}, divided into {folds} folds of whole documents"
    return f"{corpus.name}: {size}, divided into {folds} folds"


def _label_count(task: str, example: Example) -> int:
    value = example.labels[task]
    return sum(label is not None for label in value) if isinstance(value, tuple) else 1


def doubts(model: TrainedModel, examples: Sequence[Example], task: str) -> list[list[Doubt]]:
    """Return the doubts about the labels of a task, a list per sentence.

    Args:
        model: A model that was not trained on the sentences.
        examples: Sentences with labels of the task.
        task: The task.

    Raises:
        MtlError: The labels of the task are neither single labels nor sets.
    """
    predictor: BasePredictor = model.predictor
    target = predictor.targets[task]
    scheme = predictor.schemes.get(task)
    if target.plain_labels and scheme:
        return span_doubts(predictor, examples, task, scheme)
    if target.plain_labels:
        labels, found = probabilities(predictor, [*map(Sentence, examples)], task)
        if target.level == "token":
            return [
                list(token_doubts(labels, own, of_tokens(example.labels[task])))
                for example, own in zip(examples, found, strict=True)
            ]
        return [
            list(sentence_doubts(labels, own, str(example.labels[task])))
            for example, own in zip(examples, found, strict=True)
        ]
    if target.values != "sets" or target.level != "sentence":
        raise MtlError(f"task {task!r}: has {target.noun}, not labels")
    return list(_set_doubts(predictor, examples, task))


def _set_doubts(
    predictor: BasePredictor, examples: Sequence[Example], task: str
) -> Iterator[list[Doubt]]:
    predictions = predictor.run(map(Sentence, examples), [task], confidence=True)
    for example, prediction in zip(examples, predictions, strict=True):
        answer, given = prediction[task], example.labels[task]
        assert isinstance(answer.confidence, dict)
        assert isinstance(answer.labels, frozenset)
        assert isinstance(given, frozenset)
        yield list(set_doubts(answer.confidence, given, answer.labels))


def _issue(corpus: AuditedCorpus, task: str, row: int, example: Example, doubt: Doubt) -> Issue:
    file = int(corpus.places.files[row])
    return Issue(
        task=task,
        kind=doubt.kind,
        given=doubt.given,
        suggested=doubt.suggested,
        score=doubt.score,
        given_probability=doubt.given_probability,
        suggested_probability=doubt.suggested_probability,
        file=str(corpus.paths[file]),
        checksum=corpus.checksums[file],
        line=example.line,
        sentence=int(corpus.places.numbers[row]),
        start=doubt.start,
        end=doubt.end,
        tokens=example.tokens,
        changes=doubt.changes,
        second=example.second,
    )
