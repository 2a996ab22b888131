"""A run with its model, ready to train, evaluate and predict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.encoding import Batcher
from mtl.data.loader import Loader
from mtl.errors import CheckpointError, ConfigError
from mtl.experiment.build import (
    balance_classes,
    build_targets,
    count_words,
    head_owners,
    language_models,
    make_model,
    number_words,
    show_text,
    vocabulary_classes,
)
from mtl.experiment.checks.labels import check_labels
from mtl.experiment.config import load_config
from mtl.experiment.corpora import cuts_subwords, subwords_of, tasks_of
from mtl.experiment.distillation.transfer_set import TransferSet
from mtl.experiment.frequencies import start_at_frequencies
from mtl.experiment.kinds import build
from mtl.experiment.loaders import make_loader
from mtl.experiment.pretrained import reads_subwords, set_pretrained
from mtl.experiment.vectors import load_vectors, set_vectors
from mtl.heads import Classifier, LabelSet
from mtl.inference.base import BasePredictor
from mtl.inference.predictor import Predictor
from mtl.metrics import UNDEFINED, Metric
from mtl.model import MultiTaskModel
from mtl.registry import OnImport
from mtl.runs.checkpoint import RUN, check_run_folder, load_subwords, load_vocabularies, to_device
from mtl.runs.checksums import check_files
from mtl.targets import Target
from mtl.text.example import Labels
from mtl.text.subwords import Subwords
from mtl.text.vocabulary import Vocabulary
from mtl.training.processes import ALONE, Processes, check_device, current
from mtl.training.selection import LOSS
from mtl.trunks import TRUNKS

if TYPE_CHECKING:
    from mtl.experiment.transfer import Start
    from mtl.training.cache import Cache
    from mtl.training.dynamic import Dynamic
    from mtl.training.evaluation import Evaluation

STREAMS = 10
"""The number of parallel streams in which running text is scored.

The first words of each stream have no context, so few streams give a better score."""


@dataclass(frozen=True)
class Experiment:
    """A run with its vocabularies, its targets and its model, but without its data.

    Args:
        run: The run, with all defaults.
        vocabularies: Feature to vocabulary.
        targets: Head to its target.
        model: The model.
        device: The device of the model.
        notes: Notes for the user on how the model was built.
        subwords: The subwords of corpora with `tokenize: subwords`, else None.
        started: The tasks whose heads have the weights of the run that this run starts from.
    """

    run: Run
    vocabularies: Mapping[str, Vocabulary]
    targets: Mapping[str, Target]
    model: MultiTaskModel
    device: torch.device
    notes: Sequence[str] = ()
    subwords: Subwords | None = None
    started: frozenset[str] = frozenset()

    @cached_property
    def batcher(self) -> Batcher:
        """The batcher, which maps words and labels to ids."""
        # Tasks that share a head share its target, so that their ids agree.
        owner = head_owners(self.run)
        targets = {task: self.targets[owner[task]] for task in self.run.tasks}
        return Batcher(self.vocabularies, targets)

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor, which applies the model to sentences."""
        return Predictor(
            self.model,
            self.batcher,
            schemes={name: task.scheme for name, task in self.run.tasks.items()},
            max_length=self.run.training.max_length,
            overlap=self.run.training.overlap,
        )

    def evaluate(
        self,
        corpora: Iterable[Corpus],
        split: str,
        tasks: Iterable[str] | None = None,
        *,
        streams: int = STREAMS,
        dynamic: Dynamic | None = None,
        cache: Cache | None = None,
        labels: bool = False,
        processes: Processes = ALONE,
        confidence: bool = False,
        abstain: float | None = None,
    ) -> Evaluation:
        """Return the scores on a split; corpora without this split are skipped.

        Args:
            corpora: Corpora of the run.
            split: "train", "dev" or "test".
            tasks: The tasks to score; None for all.
            streams: The most parallel streams in which running text is scored.
            dynamic: Dynamic evaluation: how language models learn from text that they have scored;
                see `measure`.
            cache: The cache of language models, which makes recent words more probable.
            labels: Whether to keep the gold and predicted labels, except of language models.
            processes: The processes of the run. Each of them scores a part of the split, without
                keeping labels, and all return the scores on the whole split.
            confidence: As for `score_labels`.
            abstain: As for `score_labels`.
        """
        from mtl.training.evaluation import Evaluation
        from mtl.training.likelihood import measure

        evaluations, several = [], processes.several
        wanted = set(self.run.tasks if tasks is None else tasks)
        for corpus in corpora:
            if split not in corpus.splits:
                continue
            metrics = make_metrics(self.run, wanted.intersection(tasks_of(self.run, corpus.name)))
            text = {task: metrics[task] for task in language_models(self.run) if task in metrics}
            if labelled := [task for task in metrics if task not in text]:
                found = score_labels(
                    self.run,
                    self.predictor,
                    [corpus],
                    split,
                    labelled,
                    labels=labels,
                    confidence=confidence,
                    abstain=abstain,
                    part=processes.part,
                )
                evaluations.append(Evaluation.merged(processes.gather(found)) if several else found)
            if text:
                # Language models are scored on streams of text; the predictor reads sentences.
                batches = make_loader(
                    self.run,
                    corpus,
                    split,
                    list(text),
                    batcher=self.batcher,
                    streams=streams,
                    part=processes.part,
                )
                likelihood = measure(
                    self.model, self.batcher, batches, text, dynamic=dynamic, cache=cache
                )
                every = processes.gather(likelihood)
                evaluations.append(Evaluation.merged(every) if several else likelihood)
        return Evaluation.joined(evaluations)

    def fit_thresholds(self, corpora: Iterable[Corpus], processes: Processes = ALONE) -> None:
        """Fit the thresholds of all heads that predict sets of labels on the development sets.

        Args:
            corpora: Corpora of the run.
            processes: The processes of the run; each scores a part of the sentences.
        """
        from mtl.training.evaluation import gather

        # Tasks that share a head share its thresholds, so the scores are collected per head.
        scored: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for corpus in corpora:
            for task in tasks_of(self.run, corpus.name):
                if not (self.batcher.targets[task].tuned and "dev" in corpus.splits):
                    continue
                own = corpus.splits["dev"].part(*processes.part)
                found = processes.gather(gather(self.predictor, own, task))
                scored[self.model.head_of[task]] += [part for part in found if part]
        for name, parts in scored.items():
            if not parts:  # no process has labels of the task
                continue
            head = self.model.heads[name]
            assert isinstance(head, Classifier)
            assert isinstance(head.objective, LabelSet)
            head.objective.fit(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def validate(self, corpora: Sequence[Corpus], processes: Processes = ALONE) -> Evaluation:
        """Fit the thresholds on the development sets, and return the scores on them.

        Args:
            corpora: Corpora of the run.
            processes: The processes of the run; each scores a part of the sentences.
        """
        self.fit_thresholds(corpora, processes)
        found = self.evaluate(corpora, "dev", processes=processes)
        task = loss_task(self.run)
        return replace(
            found, losses={task: self._dev_loss(task, corpora, processes)} if task else {}
        )

    def _dev_loss(self, task: str, corpora: Iterable[Corpus], processes: Processes) -> float:
        """Return the mean loss of a task on its development set; see `validate`."""
        from mtl.training.dev_loss import loss_sum

        (corpus,) = (own for own in corpora if own.name == self.run.tasks[task].corpus)
        loader = make_loader(
            self.run,
            corpus,
            "dev",
            [task],
            batcher=self.batcher,
            streams=STREAMS,
            part=processes.part,
        )
        assert isinstance(loader, Loader)
        sums = processes.gather(loss_sum(self.model, self.batcher, loader, task))
        labels = sum(own for _, own in sums)
        return sum(own for own, _ in sums) / labels if labels else UNDEFINED


def loss_task(run: Run) -> str | None:
    """Return the task whose loss on the development set selects the epoch, if it is a loss."""
    task, _, score = run.training.metric.partition(".")
    # A metric may have a score of this name.
    scored = score == LOSS and LOSS not in build("metric", run.tasks[task].metric).compute()
    return task if scored else None


def make_metrics(run: Run, tasks: Iterable[str]) -> dict[str, partial[Metric]]:
    """Return, for each task, a function that creates its metric."""
    wanted = set(tasks)
    return {
        name: partial(build, "metric", task.metric)
        for name, task in run.tasks.items()
        if name in wanted
    }


def score_labels(
    run: Run,
    predictor: BasePredictor,
    corpora: Iterable[Corpus],
    split: str,
    tasks: Iterable[str],
    *,
    labels: bool = False,
    part: tuple[int, int] = (0, 1),
    confidence: bool = False,
    abstain: float | None = None,
) -> Evaluation:
    """Return the scores of predicted labels on a split; corpora without it are skipped.

    Args:
        run: The run that describes the tasks.
        predictor: The predictor of a model with these tasks.
        corpora: Corpora of the run.
        split: "train", "dev" or "test".
        tasks: The tasks, none of them a language model.
        labels: Whether to keep the gold and predicted labels.
        part: The part of the split to score, from 0, and the number of parts.
        confidence: Whether to collect the confidences of the predictions.
        abstain: The threshold below which an answer does not count in `Evaluation.answered`.
    """
    from mtl.training.evaluation import Evaluation, evaluate

    wanted, evaluations = set(tasks), []
    for corpus in corpora:
        metrics = make_metrics(run, wanted.intersection(tasks_of(run, corpus.name)))
        if metrics and split in corpus.splits:
            found = evaluate(
                predictor,
                corpus.splits[split].part(*part),
                metrics,
                labels=labels,
                confidence=confidence,
                abstain=abstain,
            )
            evaluations.append(found)
    return Evaluation.joined(evaluations)


def gold_and_predicted(
    run: Run,
    predictor: BasePredictor,
    corpora: Iterable[Corpus],
    split: str,
    tasks: Sequence[str],
) -> dict[str, tuple[list[Labels], list[Labels]]]:
    """Return task to gold and predicted labels of a split; arguments as for `score_labels`."""
    from mtl.training.evaluation import labelled_predictions

    labels: dict[str, tuple[list[Labels], list[Labels]]] = {}
    for corpus in corpora:
        if split not in corpus.splits:
            continue
        served = [task for task in tasks if run.tasks[task].corpus == corpus.name]
        every = labelled_predictions(predictor, corpus.splits[split], served)
        for task, _, gold, predictions in every:
            golds, predicted = labels.setdefault(task, ([], []))
            golds += gold
            predicted += [own.labels for own in predictions]
    return labels


def prepare(
    run: Run,
    corpora: Mapping[str, Corpus],
    on_import: OnImport | None = None,
    transfer: TransferSet | None = None,
) -> Experiment:
    """Build the vocabularies and targets from the training data, and an untrained model.

    Args:
        run: The run.
        corpora: Its corpora, by name.
        on_import: Allows the import of parts outside mtl of the run that this one starts from; see
            `Registry.find`.
        transfer: Teachers, whose labels the model learns too, and text whose words it learns.

    Raises:
        ConfigError: The labels do not fit the heads, or the model does not fit into memory.
    """
    processes = current()
    if run.training.threads is not None:
        torch.set_num_threads(run.training.threads)
    elif processes.several:
        torch.set_num_threads(processes.threads())
    torch.manual_seed(run.seed)
    # Labels are checked first: an error must not wait until word vectors have been read.
    check_labels(run, corpora)
    transfer = transfer or TransferSet()
    counts = count_words(run, {**corpora, **transfer.texts})
    vectors = load_vectors(run, counts)
    start = _start(run, on_import)
    known = start.vocabularies if start else {}
    subwords = subwords_of(corpora)
    vocabularies = number_words(run, counts, subwords, vectors, known)
    kept, taught = _kept_labels(run, start), transfer.labels
    further = {t: [*kept.get(t, ()), *taught.get(t, ())] for t in {**kept, **taught}}
    targets = build_targets(run, corpora, vocabularies, further)
    device = to_device(run.training.device)
    check_device(processes, device)
    model = _made(run, vocabularies, targets, device)
    balance_classes(run, corpora, targets, model.heads)
    if run.training.label_prior:
        start_at_frequencies(run, corpora, targets, model.heads)
    show_text(run, corpora, targets, model.heads)
    # Weights of a previous run come last: they replace word vectors and pretrained weights.
    coverage = set_vectors(model, vocabularies, vectors, counts)
    if reads_subwords(run) and not start:
        set_pretrained(run, model)
    copied: frozenset[str] = frozenset()
    try:
        notes = [*transfer.notes, *([start.give(model, run, vocabularies)] if start else [])]
        if start and TRUNKS.find(run.trunk.type).starts_heads(run.trunk.options):
            from mtl.experiment.started_heads import give_heads

            heads, copied = give_heads(start, model, run, targets)
            notes += heads
    except CheckpointError as error:
        option = f"trunk.{_start_option(run)}"
        message = f"{error}; or set {option}=null to start without trained weights"
        raise CheckpointError(message) from error
    notes += coverage
    started = frozenset(task for task, owner in head_owners(run).items() if owner in copied)
    return Experiment(run, vocabularies, targets, model, device, notes, subwords, started)


def _kept_labels(run: Run, start: Start | None) -> dict[str, list[str]]:
    """Return task to the labels of the previous run, if the heads keep them."""
    if start is None or not TRUNKS.find(run.trunk.type).keeps_labels(run.trunk.options):
        return {}
    from mtl.experiment.started_heads import kept_labels

    return kept_labels(start, run)


def _start(run: Run, on_import: OnImport | None) -> Start | None:
    """Return the run that this run starts from, or None.

    Raises:
        CheckpointError: It is not a finished run.
    """
    trunk = TRUNKS.find(run.trunk.type)
    start = trunk.start_folder(run.trunk.options)
    if start is None:
        return None
    folder = Path(start)
    try:
        check_run_folder(folder)
    except CheckpointError as error:
        raise CheckpointError(f"trunk.{_start_option(run)}: {error}") from error
    from mtl.experiment.transfer import Start

    check_files(folder)
    start_run = load_config(folder / RUN, must_exist=False, on_import=on_import)
    return Start.read(folder, start_run)


def _start_option(run: Run) -> str:
    """Return the option of the trunk that names the run to start from."""
    return TRUNKS.find(run.trunk.type).loading_options(run.trunk.options)[0]


def restore(run: Run, folder: Path) -> Experiment:
    """Build the model of a run folder, with initial weights; the caller loads the trained ones."""
    vocabularies, targets = read_numberings(run, folder)
    device = to_device(run.training.device)
    model = _made(run, vocabularies, targets, device)
    subwords = load_subwords(folder) if any(map(cuts_subwords, run.corpora.values())) else None
    return Experiment(run, vocabularies, targets, model, device, subwords=subwords)


def _made(
    run: Run,
    vocabularies: Mapping[str, Vocabulary],
    targets: Mapping[str, Target],
    device: torch.device,
) -> MultiTaskModel:
    """Return the model of a run with its initial weights.

    Raises:
        ConfigError: It does not fit into memory.
    """
    try:
        return make_model(run, vocabularies, targets).to(device)
    except (MemoryError, RuntimeError) as error:  # torch raises RuntimeError if memory is short
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"the model cannot be built: {reason}; make it smaller") from error


def read_numberings(run: Run, folder: Path) -> tuple[dict[str, Vocabulary], dict[str, Target]]:
    """Return the vocabularies of a run folder by feature, and its targets by head.

    Raises:
        CheckpointError: They are missing or damaged, or belong to another run.
    """
    vocabularies, targets = load_vocabularies(folder, vocabulary_classes(run))
    heads = set(head_owners(run).values())
    if missing := heads - set(targets):
        raise CheckpointError(f"{folder}: has no labels for the head {min(missing)!r}; train again")
    if foreign := set(targets) - heads:
        raise CheckpointError(
            f"{folder}: has labels for the head {min(foreign)!r}, unknown to {RUN}; train again"
        )
    return vocabularies, targets
